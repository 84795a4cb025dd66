/* SPDX-License-Identifier: MIT */
/* Sends a running guest's memory in rounds, then stops it and sends the rest. */
#ifndef PRECOPY_H
#define PRECOPY_H

#include "handover_guard.h"
#include "precopy_policy.h"
#include "save_source.h"

#define PRECOPY_ROUNDS_MAX 64

struct precopy {
    struct save_source *source;
    struct handover_guard *guard;
    struct precopy_limits limits;
    void (*on_round)(void *arg, const struct precopy *precopy); /* after each round; may be NULL */
    void *on_round_arg;

    uint8_t *wanted;                                     /* frames to send next */
    struct precopy_round rounds[PRECOPY_ROUNDS_MAX + 1]; /* the last one with the guest stopped */
    unsigned n;
    const char *why_stopped;
    uint64_t stopped_at_ms; /* monotonic clock, taken before the guest was stopped */
};

/*
 * Turns logging on, sends rounds, pauses the guest, sends what was left. On success the guest is
 * paused, logging is still on and all memory has been sent. On failure it may be either: see
 * precopy_undo.
 */
int precopy_run(struct precopy *precopy, struct gw_error *err);

/* Guest on, logging off, as the guard's duties tell. Goes on after an error; err is of the first.
 */
int precopy_undo(struct handover_guard *guard, struct migrate_host *host, struct gw_error *err);

uint64_t precopy_now_ms(void);

#endif
