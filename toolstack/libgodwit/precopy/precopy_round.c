/* SPDX-License-Identifier: MIT */
#include "precopy_round.h"

#include "stream/stream_view.h"
#include <stdlib.h>
#include <string.h>

size_t precopy_bitmap_bytes(const struct save_source *source)
{
    return (size_t)((source->gfn_limit + 63) / 64 * sizeof(uint64_t));
}

bool precopy_is_out_of_time(struct precopy *p)
{
    if (p->refresh)
        p->refresh(p->arg, &p->limits);
    if (p->limits.timeout_ms && precopy_now_ms() - p->began_ms >= p->limits.timeout_ms)
        p->out_of_time = true;
    return p->out_of_time;
}

/* Leaves a page for later: nothing tells the log that it is missing. */
static void put_off(struct precopy *p, const uint64_t *gfns, unsigned n, bool *ret_skip)
{
    for (unsigned i = 0; i < n; i++) {
        p->unsent[gfns[i] / 8] |= (uint8_t)(1u << gfns[i] % 8);
        ret_skip[i] = true;
    }
}

static void note_sent(struct precopy *p, const uint64_t *gfns, unsigned n, const bool *skip)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t bit = (uint8_t)(1u << gfns[i] % 8);

        if (skip[i])
            continue;
        p->resent += (p->sent[gfns[i] / 8] & bit) != 0;
        p->sent[gfns[i] / 8] |= bit;
    }
}

/*
 * Called right before pages are read. Those that the log has again are not sent: the next round has
 * them. Without the log's answer all are sent, which is right, too.
 */
static void choose(void *arg, const uint64_t *gfns, unsigned n, bool *ret_skip)
{
    struct precopy *p = arg;
    const struct save_source *s = p->source;
    struct gw_error unused = {0};

    if (!p->stopped && (handover_cancelled || precopy_is_out_of_time(p)))
        put_off(p, gfns, n, ret_skip);
    else if (!p->stopped &&
             s->host->ops->log_peek(s->host->ctx, s->guest.domid, gfns, n, ret_skip, &unused))
        memset(ret_skip, 0, n * sizeof(*ret_skip));
    note_sent(p, gfns, n, ret_skip);
}

int precopy_round_send(struct precopy *p, bool known, struct gw_error *err)
{
    struct save_source *s = p->source;
    struct precopy_round *round = &p->rounds[p->n];
    uint64_t pages = s->pages, zero_pages = s->zero_pages, skipped = s->skipped_pages;
    uint64_t bytes = save_source_bytes(s);
    uint64_t began = precopy_now_ms();

    round->start_ms = began - p->began_ms;
    round->final = p->stopped;
    s->skip = choose;
    s->skip_arg = p;
    int rc = save_source_send_pages(s, known ? p->wanted : NULL, p->left, err);
    s->skip = NULL;
    if (rc)
        return -1;
    round->pages = s->pages - pages;
    round->zero_pages = s->zero_pages - zero_pages;
    round->skipped = s->skipped_pages - skipped;
    round->bytes = save_source_bytes(s) - bytes;
    round->send_ms = precopy_now_ms() - began;
    return 0;
}

/* A frame that was not there when we began cannot be at the destination either. */
static int count_page(struct precopy *p, struct precopy_round *round, uint64_t gfn,
                      struct gw_error *err)
{
    uint64_t index;

    if (!stream_memory_index(&p->source->memory, gfn, &index))
        return gw_error_set(err, GW_EXIT_FAILED,
                            "the guest wrote to frame 0x%llx, which it did not have before",
                            (unsigned long long)gfn);
    round->dirtied++;
    if (round->heat)
        round->heat[index / p->bucket_pages]++;
    return 0;
}

/* All marks of one word of the log, whose first bit is frame `gfn`. */
static int count_word(struct precopy *p, struct precopy_round *round, uint64_t gfn, uint64_t word,
                      struct gw_error *err)
{
    for (; word; word &= word - 1)
        if (count_page(p, round, gfn + (unsigned)__builtin_ctzll(word), err))
            return -1;
    return 0;
}

/* Most words are zero, in all three bitmaps: with the guest stopped each costs downtime. */
static int merge(struct precopy *p, struct precopy_round *round, const uint8_t *bits, bool keep,
                 struct gw_error *err)
{
    uint64_t taken, unsent, wanted;

    p->left = 0;
    for (size_t at = 0; at < precopy_bitmap_bytes(p->source); at += sizeof(taken)) {
        memcpy(&taken, bits + at, sizeof(taken));
        memcpy(&unsent, p->unsent + at, sizeof(unsent));
        memcpy(&wanted, p->wanted + at, sizeof(wanted));
        wanted = (keep ? wanted : 0) | taken | unsent;
        memcpy(p->wanted + at, &wanted, sizeof(wanted));
        p->left += (unsigned)__builtin_popcountll(wanted);
        if (taken && count_word(p, round, at * 8, taken, err))
            return -1;
        if (unsent)
            memset(p->unsent + at, 0, sizeof(unsent));
    }
    return 0;
}

int precopy_round_harvest(struct precopy *p, bool keep, bool final, struct gw_error *err)
{
    struct save_source *s = p->source;
    struct precopy_round *round = &p->rounds[p->n];
    uint64_t began = precopy_now_ms(), began_ns = migrate_now_ns();
    const uint8_t *bits;

    if (s->host->ops->log_take(s->host->ctx, s->guest.domid, s->gfn_limit, final, &bits, err))
        return -1;
    p->harvest_ms = precopy_now_ms() - began;
    migrate_times_add(&s->times, MIGRATE_HARVEST, began_ns);
    if (!round->heat) /* for pictures only: without memory there are none */
        round->heat = calloc(PRECOPY_HEAT_BUCKETS, sizeof(*round->heat));
    return merge(p, round, bits, keep, err);
}
