/* SPDX-License-Identifier: MIT */
#include "precopy.h"

#include "migrate_step.h"
#include "stream_view.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t precopy_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A frame that was not there when we began cannot be at the destination either. */
static int check_known(const struct save_source *s, uint64_t gfn, struct gw_error *err)
{
    uint64_t index;

    if (stream_memory_index(&s->memory, gfn, &index))
        return 0;
    return gw_error_set(err, GW_EXIT_FAILED,
                        "the guest wrote to frame 0x%llx, which it did not have before",
                        (unsigned long long)gfn);
}

/* Takes the log; afterwards `wanted` holds what it held before (if kept) and what was taken. */
static int take_log(struct precopy *p, bool final, uint64_t *ret_dirtied, struct gw_error *err)
{
    struct save_source *s = p->source;
    const uint8_t *bits;
    uint64_t dirtied = 0;

    if (s->host->ops->log_take(s->host->ctx, s->guest.domid, s->gfn_limit, final, &bits, err))
        return -1;
    for (uint64_t byte = 0; byte < (s->gfn_limit + 7) / 8; byte++) {
        for (unsigned rest = bits[byte]; rest; rest &= rest - 1) {
            uint64_t gfn = byte * 8 + (unsigned)__builtin_ctz(rest);
            if (gfn < s->gfn_limit && check_known(s, gfn, err))
                return -1;
            dirtied += gfn < s->gfn_limit;
        }
        p->wanted[byte] |= bits[byte];
    }
    *ret_dirtied = dirtied;
    return 0;
}

/* Sends the wanted pages (NULL: all) and keeps the record of it. */
static int send_round(struct precopy *p, const uint8_t *wanted, uint64_t expected,
                      struct gw_error *err)
{
    struct save_source *s = p->source;
    struct precopy_round *round = &p->rounds[p->n];
    uint64_t pages = s->pages, zero_pages = s->zero_pages, bytes = save_source_bytes(s);
    uint64_t began = precopy_now_ms();

    if (save_source_send_pages(s, wanted, expected, err))
        return -1;
    round->pages = s->pages - pages;
    round->zero_pages = s->zero_pages - zero_pages;
    round->bytes = save_source_bytes(s) - bytes;
    round->ms = precopy_now_ms() - began;
    return 0;
}

static void round_done(struct precopy *p)
{
    p->n++;
    if (p->on_round)
        p->on_round(p->on_round_arg, p);
}

static int send_live_rounds(struct precopy *p, struct gw_error *err)
{
    size_t bytes = (size_t)(p->source->gfn_limit + 7) / 8;
    uint64_t expected = p->source->memory_pages;
    const uint8_t *wanted = NULL;
    char step[32];

    do {
        snprintf(step, sizeof(step), "source-round%u", p->n);
        if (migrate_step(step, err) || send_round(p, wanted, expected, err))
            return -1;
        memset(p->wanted, 0, bytes);
        if (take_log(p, false, &p->rounds[p->n].dirtied, err))
            return -1;
        wanted = p->wanted;
        expected = p->rounds[p->n].dirtied;
        round_done(p);
    } while (!precopy_should_stop(&p->limits, p->rounds, p->n, &p->why_stopped));
    return 0;
}

static int stop_guest(struct precopy *p, struct gw_error *err)
{
    struct save_source *s = p->source;
    bool paused;

    /* Before the pause, so that a guest that shut down by itself is not taken for a running one. */
    if (s->host->ops->is_paused(s->host->ctx, s->guest.domid, &paused, err))
        return -1;
    p->stopped_at_ms = precopy_now_ms();
    handover_guard_add(p->guard, HANDOVER_STOPPED);
    if (s->host->ops->pause(s->host->ctx, s->guest.domid, err)) {
        handover_guard_drop(p->guard, HANDOVER_STOPPED);
        return -1;
    }
    if (save_source_take_state(s, err) ||
        s->host->ops->is_paused(s->host->ctx, s->guest.domid, &paused, err))
        return -1;
    s->host->ops->settle_console(s->host->ctx, s->guest.domid);
    return migrate_step("source-stopped", err);
}

/* The round after the stop: what was taken last and not sent yet, and what came since. */
static int send_last_round(struct precopy *p, struct gw_error *err)
{
    uint64_t fresh;

    if (take_log(p, true, &fresh, err) || migrate_step("source-final", err))
        return -1;
    if (send_round(p, p->wanted, p->rounds[p->n - 1].dirtied + fresh, err))
        return -1;
    round_done(p);
    return 0;
}

static int start_log(struct precopy *p, struct gw_error *err)
{
    handover_guard_add(p->guard, HANDOVER_LOGGING);
    if (p->source->host->ops->log_start(p->source->host->ctx, p->source->guest.domid, err) == 0)
        return 0;
    handover_guard_drop(p->guard, HANDOVER_LOGGING);
    return -1;
}

int precopy_run(struct precopy *p, struct gw_error *err)
{
    struct save_source *s = p->source;

    if (p->limits.max_rounds > PRECOPY_ROUNDS_MAX)
        p->limits.max_rounds = PRECOPY_ROUNDS_MAX;
    p->wanted = calloc(1, (size_t)(s->gfn_limit + 7) / 8 + sizeof(uint64_t));
    if (!p->wanted)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    atomic_store_explicit(&p->guard->domid, s->guest.domid, memory_order_relaxed);
    p->guard->was_paused = s->guest.config.paused;
    int rc = start_log(p, err) || migrate_step("source-log", err) || send_live_rounds(p, err) ||
             stop_guest(p, err) || send_last_round(p, err);
    free(p->wanted);
    p->wanted = NULL;
    return rc ? -1 : 0;
}

int precopy_undo(struct handover_guard *guard, struct migrate_host *host, struct gw_error *err)
{
    uint32_t domid = atomic_load_explicit(&guard->domid, memory_order_relaxed);
    struct gw_error second = {0};
    int rc = 0;

    if (handover_guard_has(guard, HANDOVER_STOPPED)) {
        rc = host->ops->unpause(host->ctx, domid, err);
        handover_guard_drop(guard, HANDOVER_STOPPED);
    }
    if (handover_guard_has(guard, HANDOVER_LOGGING)) {
        rc |= host->ops->log_stop(host->ctx, domid, rc ? &second : err);
        handover_guard_drop(guard, HANDOVER_LOGGING);
    }
    return rc ? -1 : 0;
}
