/* SPDX-License-Identifier: MIT */
/* Sends a running guest's memory in rounds, then stops it and sends the rest. */
#ifndef PRECOPY_H
#define PRECOPY_H

#include "handover/handover_guard.h"
#include "precopy_policy.h"
#include "save/save_source.h"
#include "throttle.h"

#define PRECOPY_HEAT_BUCKETS 256u

struct precopy {
    struct save_source *source;
    struct handover_guard *guard;
    uint64_t began_ms;               /* monotonic clock: when the migration began */
    struct gw_migrate_limits limits; /* precopy_limits_fill() */
    /* Brings the limits up to date; often called. NULL: they do not change. */
    void (*refresh)(void *arg, struct gw_migrate_limits *limits);
    void (*on_round)(void *arg, const struct precopy *precopy); /* after each round; may be NULL */
    void (*on_stop)(void *arg); /* right before the guest is stopped; may be NULL */
    void *arg;                  /* of all three */

    struct precopy_round *rounds; /* GW_ROUNDS_MAX + 1; the last one with the guest stopped */
    unsigned n;
    uint8_t *wanted; /* frames to send next */
    uint8_t *unsent; /* frames of this round that there was no time for */
    uint8_t *sent;   /* frames sent at least once */
    uint64_t left;   /* pages wanted */
    uint64_t resent; /* pages sent that had been sent before */
    bool out_of_time;
    bool stopped;
    struct throttle throttle;
    uint64_t bucket_pages;         /* of heat */
    uint64_t state_ms, harvest_ms; /* measured: the last time */
    uint64_t trip_ms;     /* measured: a message to the destination and its answer, at the least */
    uint64_t estimate_ms; /* after the last round */
    const char *why; /* it stopped, gave up, or does not get nearer to the end; NULL: all is well */
    uint64_t stopped_at_ms; /* monotonic clock, taken before the guest was stopped */
};

/*
 * Turns logging on, sends rounds, pauses the guest, sends what was left. On success the guest is
 * paused, logging is still on and all memory has been sent. On failure it may be either: see
 * precopy_undo. GW_EXIT_MIGRATE_DIVERGED: the limits do not allow to stop it. The rounds stay until
 * precopy_free().
 */
int precopy_run(struct precopy *precopy, struct gw_error *err);
void precopy_free(struct precopy *precopy);

/*
 * Guest on and unthrottled, logging off, as the guard's duties tell. Goes on after an error; err is
 * of the first.
 */
int precopy_undo(struct handover_guard *guard, struct migrate_host *host, struct gw_error *err);

uint64_t precopy_now_ms(void);

#endif
