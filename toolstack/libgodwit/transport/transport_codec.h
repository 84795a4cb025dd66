/* SPDX-License-Identifier: MIT */
/*
 * What a relay does with bytes between the plain side and the wire. A codec sees queues only: the
 * relay alone reads and writes descriptors.
 */
#ifndef TRANSPORT_CODEC_H
#define TRANSPORT_CODEC_H

#include "transport_queue.h"
#include <libgodwit/error.h>

#define TRANSPORT_WHO_BYTES 128

struct transport_wire {
    struct transport_queue in, out; /* from and to the socket */
    bool in_ended;                  /* nothing more will come */
};

struct transport_codec {
    /* Goes on with the greeting. 1: done, 0: needs more from the wire, -1: refused. */
    int (*greet)(void *ctx, struct gw_error *err);
    /* Takes what it can from plain into wire.out. */
    int (*seal)(void *ctx, struct transport_queue *plain, struct gw_error *err);
    /* Takes what it can from wire.in into plain. *ret_ended: the other side said that it is done.
     */
    int (*open)(void *ctx, struct transport_queue *plain, bool *ret_ended, struct gw_error *err);
    /* Nothing more will be sealed. */
    void (*finish)(void *ctx);
    /* Who the other side has shown to be, for logs: at most TRANSPORT_WHO_BYTES, printable. */
    const char *(*who)(void *ctx);
    void *ctx;
};

#endif
