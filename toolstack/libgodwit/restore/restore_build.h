/* SPDX-License-Identifier: MIT */
/* Builds a guest from the checked records of a stream. */
#ifndef RESTORE_BUILD_H
#define RESTORE_BUILD_H

#include "handover/handover_guard.h"
#include "host/migrate_host.h"
#include "restore_lane.h"
#include "stream/stream_parser.h"

struct restore_builder {
    struct migrate_host *host;
    struct stream_parser *parser;
    /* Further connections; their parsers are set by the caller, before the first record. */
    unsigned sides;
    struct stream_parser *side_parsers; /* sides of them */
    struct handover_guard *guard;       /* learns what there is to undo */
    /* Called at STATIC_DATA_END, when the guest exists; NULL: nothing to do. */
    int (*accept)(void *arg, struct gw_error *err);
    /* Called by any lane when all of them have met this mark; NULL: there may be none. */
    int (*mark)(void *arg, uint32_t number, struct gw_error *err);
    void *accept_arg; /* of both */
    /* Called after each record of pages of the main stream; NULL: nothing to do. */
    void (*on_pages)(void *arg, const struct restore_builder *builder);
    void *pages_arg;
    bool only_try; /* set by the caller: ends where the guest has been created, without pages */

    struct stream_config config;
    char *text;                                    /* what config.text points to */
    char incoming_name[STREAM_NAME_BYTES_MAX + 1]; /* the guest's name until it may run */
    struct stream_memory memory;
    uint64_t memory_pages;
    uint32_t domid;
    bool created;

    uint8_t *seen, *written, *verified;            /* bit per page, see stream_memory_index */
    uint8_t *readonly;                             /* bit per page; NULL: there are none */
    unsigned lanes_n;                              /* 1 + sides */
    struct restore_lane lanes[STREAM_STREAMS_MAX]; /* the first is the main stream's */
    struct stream_lane_end lane_ends[STREAM_STREAMS_MAX - 1];
    bool introduced, lanes_ended;        /* GODWIT_LANE, GODWIT_LANE_ENDS came */
    _Atomic uint32_t marks_met;          /* by all lanes together: see restore_lane_take_mark */
    _Atomic bool given_up;               /* a lane failed. Relaxed: a hint to the others to end. */
    uint64_t seen_pages, verified_pages; /* all lanes', as the following, from END on */
    bool verifying;
    void *state; /* of CPUs and devices; loaded last, since the guest's clock runs from then on */
    uint32_t state_bytes;
    uint64_t pages, zero_pages; /* counted as sent, repeats included */
    bool compare_sums;          /* set by the caller: restore --verify */
    uint32_t *sums;             /* of each page; NULL: none came */
    uint64_t summed_pages;
    uint64_t different_pages, first_different_gfn;
};

/* Takes records until END. On success the guest is complete, and paused under its incoming name;
 * with only_try it is empty. */
int restore_build(struct restore_builder *builder, struct gw_error *err);

/* Destroys the guest, which was created; on failure it is still there. */
int restore_build_take_back(struct restore_builder *builder, struct gw_error *err);
/* Destroys what was built. Fine at any time. */
void restore_build_undo(struct restore_builder *builder);
/* The same for a process that was killed: destroys the guest that the guard tells of, if it is
 * there. */
void restore_build_mend(struct handover_guard *guard, const struct migrate_opener *opener);

/* The name while a guest is incoming. */
void restore_incoming_name(const char *name, char ret_name[STREAM_NAME_BYTES_MAX + 1]);

/* Frees the builder's memory; the guest stays. */
void restore_build_free(struct restore_builder *builder);

#endif
