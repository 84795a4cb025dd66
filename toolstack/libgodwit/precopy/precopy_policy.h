/* SPDX-License-Identifier: MIT */
/*
 * When to stop the guest and send the rest, and when to give up: pure functions of what was
 * measured. docs/design/migration.md, "When to stop", has the rules in words.
 */
#ifndef PRECOPY_POLICY_H
#define PRECOPY_POLICY_H

#include "stream/stream_format.h"
#include <libgodwit/migrate.h>
#include <stdbool.h>
#include <stdint.h>

struct precopy_round {
    uint64_t start_ms;   /* since the migration began */
    uint64_t ms;         /* from the first page to the look at the log */
    uint64_t send_ms;    /* of them, for the pages */
    uint64_t pages;      /* sent */
    uint64_t zero_pages; /* of them, as a mark */
    uint64_t skipped;    /* not sent, because the guest had written them again by then */
    uint64_t dirtied;    /* what the log had after the round: the next one's pages */
    uint64_t bytes;
    uint64_t estimate_ms; /* of the downtime, had it been stopped then */
    bool full_throttle;   /* the guest ran as slowly as it may, or must not be slowed down */
    bool final;           /* the guest stood still */
    uint32_t *heat;       /* dirtied pages per bucket of memory; NULL: not counted */
    unsigned vcpus;       /* that are counted */
    uint8_t throttle_percent[STREAM_VCPUS_MAX]; /* for the next round */
};

struct precopy_view {
    const struct precopy_round *rounds; /* those that are over, the guest running */
    unsigned n;                         /* > 0 */
    uint64_t elapsed_ms;                /* since the migration began */
    uint64_t fixed_ms;                  /* measured: what a stop takes with no page left to send */
    uint64_t bandwidth_bytes_per_s;     /* the limit; 0: none */
};

enum precopy_verdict { PRECOPY_GO_ON, PRECOPY_STOP, PRECOPY_GIVE_UP };

/* The limits with their defaults in place of 0. */
struct gw_migrate_limits precopy_limits_fill(struct gw_migrate_limits limits);

/*
 * limits: filled. ret_why: a few words for people, why the guest is stopped or the migration given
 * up; why it is "not converging" although it goes on; or NULL.
 */
enum precopy_verdict precopy_decide(const struct gw_migrate_limits *limits,
                                    const struct precopy_view *view, const char **ret_why);

/*
 * What can be sent: *ret_pages in *ret_ms, neither of them 0. From the last rounds, and never more
 * than the limit lets through.
 */
void precopy_measure_speed(const struct precopy_view *view, uint64_t *ret_pages, uint64_t *ret_ms);

/* How long the guest would stand still if it was stopped now, in ms. */
uint64_t precopy_estimate_ms(const struct precopy_view *view);

/* true: the last rounds did not bring the end nearer. */
bool precopy_is_stuck(const struct precopy_view *view);

#endif
