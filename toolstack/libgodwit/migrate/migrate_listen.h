/* SPDX-License-Identifier: MIT */
/* One accepted connection of the listener, in a process of its own. */
#ifndef MIGRATE_LISTEN_H
#define MIGRATE_LISTEN_H

#include <libgodwit/migrate.h>

#define MIGRATE_LISTEN_STALL_MS 60000

/* "address: what happened", through the options' log. */
void migrate_listen_log(const struct gw_listen_options *options, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Receives at most one guest on the socket and logs one line. Takes over the socket. Runs in a
 * child of the listener; SIGTERM takes back what is half received.
 */
void migrate_listen_serve(const struct gw_listen_options *options, int socket);

#endif
