/* SPDX-License-Identifier: MIT */
/* The command that carries a migration: its standard input and output are the channel. */
#ifndef MIGRATE_TRANSPORT_H
#define MIGRATE_TRANSPORT_H

#include "handover_io.h"
#include <sys/types.h>

struct migrate_transport {
    pid_t pid; /* 0: not running */
    struct handover_io io;
};

int migrate_transport_start(struct migrate_transport *transport, char *const *command,
                            struct gw_error *err);
/*
 * Closes the channel and waits for the command; kills it if it does not end by itself. Returns
 * its wait status, or -1 if none was running. Idempotent.
 */
int migrate_transport_stop(struct migrate_transport *transport);

#endif
