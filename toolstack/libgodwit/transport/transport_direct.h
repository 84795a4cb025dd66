/* SPDX-License-Identifier: MIT */
/*
 * A connection without TLS. There are no keys to keep, so no process stands between the socket and
 * those who speak: they read and write it themselves, as they do the pipes of a command.
 */
#ifndef TRANSPORT_DIRECT_H
#define TRANSPORT_DIRECT_H

#include "handover/handover_io.h"
#include <libgodwit/migrate.h>

/*
 * A socket connected to how->host, non-blocking; -1: err is filled in. Names are resolved, and the
 * connection is made, by a child without descriptors of ours, for connect_ms at most. io says how
 * long to wait for it and for whom; its descriptors are not used. Forks.
 */
int transport_direct_connect(const struct gw_transport *how, const struct handover_io *io,
                             unsigned connect_ms, struct gw_error *err);

/*
 * Makes an accepted socket ready to be read by a process that can do nothing but read() (so it
 * blocks; writes of messages, after poll(), find room all the same) and notices a machine that is
 * gone within about stall_ms.
 */
int transport_direct_accept(int socket, unsigned stall_ms, struct gw_error *err);

/*
 * Says that nothing more comes, and waits up to 2 s for the other side to say the same: a socket
 * that is closed with unread input throws away our last words. Closes it.
 */
void transport_direct_close(int socket);

/*
 * From now on, in a process that waits for its worker: if the other side has gone, or nobody here
 * has taken what came for stall_ms, raises SIGTERM a few seconds later, as a worker that works
 * would have ended. Once in a process; uses SIGALRM. *ret_why: what happened, NULL: nothing yet.
 */
void transport_direct_watch(int socket, unsigned stall_ms);
const char *transport_direct_unwatch(void);

#endif
