/* SPDX-License-Identifier: MIT */
#include "restore_lane.h"

#include "migrate/migrate_step.h"
#include "restore_build.h"
#include "stream/stream_view.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SLICE_NS 100000000L

/* Returns whether it was clear. Relaxed: the bits are added up when the threads have been joined.
 */
static bool bit_set(uint8_t *bits, uint64_t i)
{
    uint8_t mask = (uint8_t)(1u << (i % 8));

    return !(__atomic_fetch_or(&bits[i / 8], mask, __ATOMIC_RELAXED) & mask);
}

static bool bit_is_set(const uint8_t *bits, uint64_t i)
{
    return __atomic_load_n(&bits[i / 8], __ATOMIC_RELAXED) & (1u << (i % 8));
}

static int write_pages(struct restore_builder *b, const uint64_t *gfns, unsigned n,
                       const void *data, struct gw_error *err)
{
    return n ? b->host->ops->write_pages(b->host->ctx, b->domid, gfns, n, data, err) : 0;
}

/* A page that was never written since the guest was made is zero already. */
static int store_pages(struct restore_lane *lane, const struct stream_pages *pages,
                       struct gw_error *err)
{
    struct restore_builder *b = lane->builder;
    uint64_t full[STREAM_PAGES_MAX], zero[STREAM_PAGES_MAX], index = 0;
    unsigned full_n = 0, zero_n = 0;

    for (uint32_t i = 0; i < pages->count; i++) {
        uint64_t word = stream_pages_word(pages, i), gfn = stream_word_gfn(word);

        stream_memory_index(&b->memory, gfn, &index);
        lane->seen_pages += bit_set(b->seen, index);
        if (stream_word_type(word) == STREAM_PFN_NORMAL) {
            full[full_n++] = gfn;
            bit_set(b->written, index);
        } else if (bit_is_set(b->written, index)) {
            zero[zero_n++] = gfn;
        }
    }
    lane->pages += pages->count;
    lane->zero_pages += pages->count - pages->with_contents;
    if (write_pages(b, full, full_n, pages->contents, err))
        return -1;
    return write_pages(b, zero, zero_n, NULL, err);
}

/* Compares what was read with the n pages from number `first` on. */
static void compare_pages(struct restore_lane *lane, const struct stream_pages *pages,
                          uint32_t first, uint32_t n, const uint8_t **contents)
{
    static const uint8_t zero_page[STREAM_PAGE_BYTES];
    uint64_t index = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t word = stream_pages_word(pages, first + i);
        const uint8_t *theirs = zero_page;

        if (stream_word_type(word) == STREAM_PFN_NORMAL) {
            theirs = *contents;
            *contents += STREAM_PAGE_BYTES;
        }
        stream_memory_index(&lane->builder->memory, stream_word_gfn(word), &index);
        lane->verified_pages += bit_set(lane->builder->verified, index);
        if (memcmp(theirs, lane->view.pages[i], STREAM_PAGE_BYTES) != 0) {
            if (lane->different_pages++ == 0)
                lane->first_different_gfn = stream_word_gfn(word);
        }
    }
}

static int verify_pages(struct restore_lane *lane, const struct stream_pages *pages,
                        struct gw_error *err)
{
    struct restore_builder *b = lane->builder;
    const uint8_t *contents = pages->contents;
    uint64_t gfns[MIGRATE_BATCH_PAGES];

    if (page_view_alloc(&lane->view, err))
        return -1;
    for (uint32_t done = 0, n; done < pages->count; done += n) {
        for (n = 0; n < MIGRATE_BATCH_PAGES && done + n < pages->count; n++)
            gfns[n] = stream_word_gfn(stream_pages_word(pages, done + n));
        if (page_view_read(&lane->view, b->host, b->domid, gfns, n, err))
            return -1;
        compare_pages(lane, pages, done, n, &contents);
    }
    return 0;
}

int restore_lane_take_pages(struct restore_lane *lane, const struct stream_record *record,
                            struct gw_error *err)
{
    struct stream_pages pages;
    const char *why;

    if (stream_parser_view_pages(lane->parser, record, &lane->builder->memory, &pages, &why))
        return gw_error_set(err, GW_EXIT_CONFIG, "%s", why);
    lane->carried += pages.count;
    if (lane->verifying)
        return migrate_step("dest-verify", err) || verify_pages(lane, &pages, err) ? -1 : 0;
    return migrate_step("dest-pages", err) || store_pages(lane, &pages, err) ? -1 : 0;
}

/* Marks come one at a time: the source waits for the answer to one before it sends the next. */
int restore_lane_take_mark(struct restore_lane *lane, const struct stream_record *record,
                           struct gw_error *err)
{
    struct restore_builder *b = lane->builder;
    struct stream_mark mark = {0};

    if (record->length == sizeof(mark))
        memcpy(&mark, record->body, sizeof(mark));
    if (!b->mark || !b->verified || lane->verifying || mark.number != lane->marks + 1)
        return gw_error_set(err, GW_EXIT_CONFIG, "a mark where none may be");
    /* Pairs with the addition below: no lane meets a mark while another has the last one before
     * it. */
    if (atomic_load_explicit(&b->marks_met, memory_order_acquire) < lane->marks * b->lanes_n)
        return gw_error_set(err, GW_EXIT_CONFIG, "mark %u came before mark %u was answered",
                            mark.number, lane->marks);
    lane->marks = mark.number;
    /* Pairs with itself in other lanes: their pages are written before the answer is. */
    if (atomic_fetch_add_explicit(&b->marks_met, 1, memory_order_acq_rel) + 1 <
        mark.number * b->lanes_n)
        return 0;
    return b->mark(b->accept_arg, mark.number, err);
}

/* --- side lanes ------------------------------------------------------------------------------ */

static int take_introduction(struct restore_lane *lane, const struct stream_record *record,
                             struct gw_error *err)
{
    struct stream_lane said = {0};

    if (record->length == sizeof(said))
        memcpy(&said, record->body, sizeof(said));
    if (said.index != lane->index || said.count != lane->builder->lanes_n)
        return gw_error_set(err, GW_EXIT_CONFIG, "connection %u says that it is number %u of %u",
                            lane->index + 1, said.index + 1, said.count);
    lane->introduced = true;
    return 0;
}

static bool is_same_memory(const struct stream_memory *a, const struct stream_memory *b)
{
    return a->count == b->count &&
           memcmp(a->ranges, b->ranges, a->count * sizeof(a->ranges[0])) == 0;
}

static int take_memory(struct restore_lane *lane, const struct stream_record *record,
                       struct gw_error *err)
{
    struct stream_memory memory;
    const char *why = "connections describe different memory";

    if (stream_view_memory(record->body, record->length, &memory, &why) ||
        !is_same_memory(&memory, &lane->builder->memory))
        return gw_error_set(err, GW_EXIT_CONFIG, "%s", why);
    lane->described = true;
    return 0;
}

static int take_side_record(struct restore_lane *lane, const struct stream_record *record,
                            struct gw_error *err)
{
    switch (record->type) {
    case STREAM_LANE:
        return take_introduction(lane, record, err);
    case STREAM_MEMORY:
        return take_memory(lane, record, err);
    case STREAM_VERIFY:
        lane->verifying = true;
        return 0;
    case STREAM_MARK:
        if (lane->introduced && lane->described)
            return restore_lane_take_mark(lane, record, err);
        break;
    case STREAM_DIGEST:
        memcpy(&lane->crc32, record->body, sizeof(lane->crc32));
        return 0;
    case STREAM_PAGE_DATA:
        if (lane->introduced && lane->described)
            return restore_lane_take_pages(lane, record, err);
        break;
    case STREAM_END:
        if (lane->introduced && lane->described)
            return 0;
        break;
    default:
        break;
    }
    return gw_error_set(err, GW_EXIT_CONFIG, "records out of order on a further connection");
}

static void give_up(struct restore_lane *lane)
{
    lane->blamed = !atomic_exchange_explicit(&lane->builder->given_up, true, memory_order_relaxed);
}

static void *run(void *arg)
{
    struct restore_lane *lane = arg;
    struct stream_record record;

    do {
        if (stream_parser_next(lane->parser, &record, &lane->error) ||
            take_side_record(lane, &record, &lane->error)) {
            give_up(lane);
            break;
        }
    } while (record.type != STREAM_END);
    return NULL;
}

int restore_lanes_start(struct restore_builder *b, struct gw_error *err)
{
    sigset_t all, before;
    int rc = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the thread that began it */
    for (unsigned i = 0; i < b->lanes_n; i++)
        b->lanes[i].parser->io.given_up = &b->given_up;
    for (unsigned i = 1; rc == 0 && i < b->lanes_n; i++) {
        b->lanes[i].parser->io.cancelled = NULL; /* the main lane sees to it */
        rc = pthread_create(&b->lanes[i].thread, NULL, run, &b->lanes[i]);
        b->lanes[i].running = rc == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc ? gw_error_errno(err, rc, "cannot start a thread") : 0;
}

static void join_one(struct restore_lane *lane, const volatile sig_atomic_t *cancelled)
{
    struct timespec until;

    do {
        if (cancelled && *cancelled)
            give_up(&lane->builder->lanes[0]);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += SLICE_NS;
        if (until.tv_nsec >= 1000000000L) {
            until.tv_nsec -= 1000000000L;
            until.tv_sec++;
        }
    } while (pthread_timedjoin_np(lane->thread, NULL, &until) != 0);
    lane->running = false;
}

int restore_lanes_join(struct restore_builder *b, int rc, struct gw_error *err)
{
    if (rc)
        give_up(&b->lanes[0]);
    for (unsigned i = 1; i < b->lanes_n; i++)
        if (b->lanes[i].running)
            join_one(&b->lanes[i], b->lanes[0].parser->io.cancelled);
    for (unsigned i = 1; i < b->lanes_n; i++)
        if (b->lanes[i].blamed)
            *err = b->lanes[i].error;
    if (!err->code && atomic_load_explicit(&b->given_up, memory_order_relaxed))
        gw_error_set(err, GW_EXIT_MIGRATE_CANCELLED, "cancelled");
    return err->code ? -1 : 0;
}

int restore_lanes_compare(const struct restore_builder *b, struct gw_error *err)
{
    for (unsigned i = 1; i < b->lanes_n; i++) {
        const struct stream_lane_end *said = &b->lane_ends[i - 1];

        if (said->pages != b->lanes[i].carried || said->crc32 != b->lanes[i].crc32)
            return gw_error_set(
                err, GW_EXIT_CONFIG, "connection %u carried %llu pages, and the source sent %llu",
                i + 1, (unsigned long long)b->lanes[i].carried, (unsigned long long)said->pages);
    }
    return 0;
}
