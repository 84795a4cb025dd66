/* SPDX-License-Identifier: MIT */
/*
 * The process that holds a migration's socket and the keys of its TLS: it moves bytes between the
 * socket and two pipes, and can do nothing else. The processes at the other ends of the pipes see
 * what they would see of a command such as ssh.
 */
#ifndef TRANSPORT_RELAY_H
#define TRANSPORT_RELAY_H

#include "transport_codec.h"
#include <libgodwit/migrate.h>
#include <sys/types.h>

/* In memory that both processes see: what the relay knows, written before its pipes close. */
struct transport_status {
    struct gw_error error;         /* why it ended; code 0: the connection ended in order */
    char who[TRANSPORT_WHO_BYTES]; /* once greeted */
};

struct transport_relay {
    const struct gw_transport *how;
    const char *peer; /* for messages */
    int socket;       /* an accepted connection; -1: connect to how->host */
    int in_fd;        /* what our side sends */
    int out_fd;       /* what our side receives */
    int ready_fd;     /* gets one byte when the other side has shown who it is; -1: nobody asks */
    unsigned greet_ms, stall_ms;
    struct transport_status *status;
};

/* NULL: out of memory (err is filled in). */
struct transport_status *transport_status_make(struct gw_error *err);
void transport_status_free(struct transport_status *status); /* NULL is fine */

/*
 * Forks the relay and returns its process id; -1: err is filled in. The caller closes its copies of
 * the descriptors. The relay ends when both directions have ended, when the connection breaks, or
 * when its parent dies.
 */
pid_t transport_relay_start(const struct transport_relay *relay, struct gw_error *err);

#endif
