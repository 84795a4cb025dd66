/* SPDX-License-Identifier: MIT */
/* The messages beside the stream: docs/stream.md, "The handover". */
#ifndef HANDOVER_H
#define HANDOVER_H

#include "handover_io.h"

#define HANDOVER_MAGIC    0x484F5747u
#define HANDOVER_VERSION  1u
#define HANDOVER_BODY_MAX 1024u

enum handover_type {
    HANDOVER_HELLO = 1,
    HANDOVER_ACCEPT = 2,
    HANDOVER_READY = 3,
    HANDOVER_GO = 4,
    HANDOVER_RESUMED = 5,
    HANDOVER_REFUSED = 6,
    HANDOVER_BEGIN = 7,
    HANDOVER_TOKEN = 8,
    HANDOVER_JOIN = 9,
    HANDOVER_JOINED = 10,
    HANDOVER_ASK = 11,
    HANDOVER_TOLD = 12,
    HANDOVER_MARKED = 13,
};

struct handover_header {
    uint32_t magic, type, length, reserved;
};

/* What a destination can do beyond version 1. A source uses nothing else. */
enum handover_capability {
    HANDOVER_CAN_ZSTD = 1u << 0,    /* GODWIT_PAGES_ZSTD */
    HANDOVER_CAN_STREAMS = 1u << 1, /* BEGIN, JOIN and what follows from them */
    HANDOVER_CAN_TELL = 1u << 2,    /* ASK */
    HANDOVER_CAN_MARK = 1u << 3,    /* GODWIT_MARK, and MARKED for it */
    HANDOVER_CAN_TRY = 1u << 4,     /* HANDOVER_BEGIN_TRY */
};

struct handover_hello {
    uint32_t version, capabilities;
};

struct handover_ready {
    uint64_t pages, zero_pages, verified_pages;
};

#define HANDOVER_TOKEN_BYTES 16u

/* The guest is built, taken back, and only then accepted: nothing follows. */
#define HANDOVER_BEGIN_TRY 1u

struct handover_begin {
    uint32_t streams, flags;
};

struct handover_join {
    uint8_t token[HANDOVER_TOKEN_BYTES];
    uint32_t index, reserved;
};

struct handover_ask {
    uint8_t uuid[16];
};

/* All that stood before the mark of this number, on all connections, has been used. */
struct handover_marked {
    uint32_t number, reserved;
};

/* Where a guest is that was sent there. */
enum handover_whereabouts {
    HANDOVER_NOT_HERE = 0,
    HANDOVER_ARRIVING = 1,  /* a process still works on it, and may let it run */
    HANDOVER_NEVER_RAN = 2, /* NAME--incoming, left behind, paused for good */
    HANDOVER_HERE = 3,      /* under its name: running, paused or ended, it is this host's */
};

struct handover_told {
    uint32_t where, reserved;
};

struct handover_message {
    uint32_t type, length;
    uint8_t body[HANDOVER_BODY_MAX + 1]; /* a zero follows the body */
};

/* Sends a message; never gives way to a speaking peer. length <= HANDOVER_BODY_MAX. */
int handover_send(struct handover_io *io, uint32_t type, const void *body, uint32_t length,
                  struct gw_error *err);
/* Tells the other side why it did not work. Failing to tell is not an error. */
void handover_refuse(struct handover_io *io, const struct gw_error *why);

/* The next message, checked in form. */
int handover_receive(struct handover_io *io, struct handover_message *ret_message,
                     struct gw_error *err);

/*
 * Waits for a message of this type with exactly `length` bytes, copied to ret_body. REFUSED instead
 * becomes the error, in the other side's words; anything else is an error too.
 */
int handover_expect(struct handover_io *io, uint32_t type, void *ret_body, uint32_t length,
                    struct gw_error *err);

#endif
