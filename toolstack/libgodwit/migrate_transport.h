/* SPDX-License-Identifier: MIT */
/*
 * One connection to the receiver, carried by a process of its own whose standard input and output
 * are the channel. Several connections know nothing of each other: who opens more than one joins
 * them by what is sent on them.
 */
#ifndef MIGRATE_TRANSPORT_H
#define MIGRATE_TRANSPORT_H

#include "handover_io.h"
#include <libgodwit/migrate.h>
#include <sys/types.h>

struct migrate_transport {
    pid_t pid; /* 0: not running */
    struct handover_io io;
};

/*
 * Opens a connection; call it once for each. Sets io's two descriptors and leaves the rest of io to
 * the caller. Does not wait for the other side: a receiver that cannot be reached shows as the end
 * of the input. Forks, so open all connections before threads start.
 */
int migrate_transport_start(struct migrate_transport *transport, const struct gw_transport *how,
                            struct gw_error *err);
/*
 * Closes the channel and waits for the command; kills it if it does not end by itself. Returns
 * its wait status, or -1 if none was running. Idempotent.
 */
int migrate_transport_stop(struct migrate_transport *transport);

#endif
