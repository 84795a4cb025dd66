/* SPDX-License-Identifier: MIT */
/*
 * The pages of one connection, stored or compared. With several connections each has a lane, and
 * all but the main one's a thread. A frame always comes on the same connection, so lanes never work
 * on one page; they share the bitmaps, whose bits are set atomically and read when all lanes are
 * over.
 */
#ifndef RESTORE_LANE_H
#define RESTORE_LANE_H

#include "pages/page_view.h"
#include "stream/stream_parser.h"
#include <pthread.h>

struct restore_builder;

struct restore_lane {
    struct restore_builder *builder;
    struct stream_parser *parser;
    unsigned index;
    bool verifying;
    uint64_t seen_pages, verified_pages; /* each page once */
    uint64_t pages, zero_pages;          /* counted as sent, repeats included */
    uint64_t carried;                    /* the same with the comparison's */
    uint64_t different_pages, first_different_gfn;
    struct page_view view; /* of ours, to compare; allocated with the first */
    uint32_t marks;        /* met */
    uint32_t crc32;        /* in its last GODWIT_DIGEST */
    bool introduced, described;
    bool running; /* thread is valid */
    bool blamed;  /* the first that failed */
    pthread_t thread;
    struct gw_error error;
};

/* A PAGE_DATA record. The guest exists. */
int restore_lane_take_pages(struct restore_lane *lane, const struct stream_record *record,
                            struct gw_error *err);

/* GODWIT_MARK. The last lane to meet one has it answered. */
int restore_lane_take_mark(struct restore_lane *lane, const struct stream_record *record,
                           struct gw_error *err);

/* Starts the threads of all side lanes. */
int restore_lanes_start(struct restore_builder *builder, struct gw_error *err);

/*
 * Waits for them to end, and has them give up if the user cancels or rc (the main lane's) is not 0.
 * -1: one of all lanes failed; err is the reason of the first.
 */
int restore_lanes_join(struct restore_builder *builder, int rc, struct gw_error *err);

/* GODWIT_LANE_ENDS against what came: -1 if a side connection lost something. After the join. */
int restore_lanes_compare(const struct restore_builder *builder, struct gw_error *err);

#endif
