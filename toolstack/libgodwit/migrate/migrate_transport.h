/* SPDX-License-Identifier: MIT */
/*
 * One connection to the receiver: a socket, or carried by a process of its own whose standard input
 * and output are the channel. Several connections know nothing of each other: who opens more than
 * one joins them by what is sent on them.
 */
#ifndef MIGRATE_TRANSPORT_H
#define MIGRATE_TRANSPORT_H

#include "handover/handover_io.h"
#include "transport/transport_relay.h"
#include <libgodwit/migrate.h>
#include <sys/types.h>

struct migrate_transport {
    pid_t pid;      /* of what carries it; 0: not running */
    bool is_direct; /* nobody does: both of io's descriptors are one socket */
    struct handover_io io;
    struct transport_status *status; /* of a socket's process; NULL: a command */
    _Atomic bool lost;               /* io has met the end of the connection */
    struct gw_error reason;          /* what it said of its end, once it was stopped */
};

/*
 * Opens a connection; call it once for each. Sets io's two descriptors; the rest of io is the
 * caller's, and filled in before. What carries a connection is not waited for: a receiver that
 * cannot be reached then shows as the end of the input. Forks, so open all connections before
 * threads start.
 */
int migrate_transport_start(struct migrate_transport *transport, const struct gw_transport *how,
                            struct gw_error *err);
/*
 * Closes the channel and waits for the command; kills it if it does not end by itself. Returns
 * its wait status (0 for a socket that nobody carries), or -1 if none was running. Idempotent.
 */
int migrate_transport_stop(struct migrate_transport *transport);
/*
 * After the end: if err says no more than that the connection ended, and the process that carried
 * it knows why, err says that instead.
 */
void migrate_transport_explain(const struct migrate_transport *transport, struct gw_error *err);

#endif
