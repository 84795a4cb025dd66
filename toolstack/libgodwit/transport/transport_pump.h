/* SPDX-License-Identifier: MIT */
/* The loop of a relay: two pipes, a socket and a codec, waiting for whichever is ready. */
#ifndef TRANSPORT_PUMP_H
#define TRANSPORT_PUMP_H

#include "transport_codec.h"

struct transport_pump {
    int socket, in_fd, out_fd; /* out_fd becomes -1 when it is closed */
    int ready_fd;              /* becomes -1 after its one byte */
    const char *peer;
    unsigned greet_ms, stall_ms;
    struct transport_codec codec;
    struct transport_wire wire;
    struct transport_queue to_seal, opened;
    char *who; /* TRANSPORT_WHO_BYTES: filled in when greeted */
    struct gw_error *err;

    bool greeted, in_ended, finished, peer_done, failed;
    int64_t moved_ms;  /* when the socket last took something, or had nothing to take */
    int64_t taken_ms;  /* the same of our side */
    int64_t linger_ms; /* when everything had been sent; 0: not yet */
    int64_t alone_ms;  /* when the other side ended, or the connection; 0: not yet */
};

/* Buffers only; -1: out of memory. */
int transport_pump_make(struct transport_pump *pump);

/*
 * Runs until both directions have ended, or until the connection fails: then what had come is still
 * handed on, and pump->err says why. The descriptors stay the caller's, except out_fd and ready_fd.
 */
void transport_pump_run(struct transport_pump *pump);

#endif
