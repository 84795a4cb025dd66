/* SPDX-License-Identifier: MIT */
#include "precopy.h"

#include "handover/handover.h"
#include "migrate/migrate_step.h"
#include "precopy_mark.h"
#include "precopy_round.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PACE_STEP_MS     50u
#define THROTTLE_STEP_MS 10u
#define HANDOVER_TRIPS   2u /* END and READY, GO and RESUMED */

uint64_t precopy_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct precopy_view view_of(const struct precopy *p)
{
    return (struct precopy_view){
        .rounds = p->rounds,
        .n = p->n,
        .elapsed_ms = precopy_now_ms() - p->began_ms,
        .bandwidth_bytes_per_s = p->limits.bandwidth_bytes_per_s,
        /* The state takes as long there as here: nobody can try before. */
        .fixed_ms = 2 * p->state_ms + p->harvest_ms + HANDOVER_TRIPS * p->trip_ms,
    };
}

/* What the throttle is told of the round that is over, and what it made of it. */
static int throttle(struct precopy *p, struct gw_error *err)
{
    struct precopy_round *round = &p->rounds[p->n - 1];
    struct precopy_view view = view_of(p);
    uint64_t ms = round->ms ? round->ms : 1, pages, send_ms;
    bool enabled = p->limits.throttle == GW_THROTTLE_AUTO;

    precopy_measure_speed(&view, &pages, &send_ms);
    const struct throttle_measure measure = {.ms = ms,
                                             .dirty_pages_per_s = round->dirtied * 1000 / ms,
                                             .send_pages_per_s = pages * 1000 / send_ms};
    if (throttle_round(&p->throttle, &measure, enabled, err))
        return -1;
    round->full_throttle = !enabled || p->throttle.n == 0 || p->throttle.exhausted;
    round->vcpus = p->throttle.n;
    for (unsigned i = 0; i < p->throttle.n; i++)
        round->throttle_percent[i] = (uint8_t)p->throttle.vcpus[i].percent;
    return 0;
}

static int finish_round(struct precopy *p, struct gw_error *err)
{
    struct precopy_round *round = &p->rounds[p->n++];

    round->ms = precopy_now_ms() - p->began_ms - round->start_ms;
    if (!p->stopped && throttle(p, err))
        return -1;
    if (!p->stopped) {
        struct precopy_view view = view_of(p);
        round->estimate_ms = p->estimate_ms = precopy_estimate_ms(&view);
    }
    if (p->on_round)
        p->on_round(p->arg, p);
    return 0;
}

static int diverged(struct precopy *p, struct gw_error *err)
{
    struct precopy_view view = view_of(p);
    uint64_t pages, ms;

    precopy_measure_speed(&view, &pages, &ms);
    return gw_error_set(err, GW_EXIT_MIGRATE_DIVERGED,
                        "%s after %u rounds: to stop it now would take about %llu ms, %u are "
                        "allowed (%llu pages left, %llu pages/s sent); allow more with "
                        "--max-downtime, or use --on-timeout stop",
                        p->why, p->n, (unsigned long long)p->estimate_ms, p->limits.max_downtime_ms,
                        (unsigned long long)p->left, (unsigned long long)(pages * 1000 / ms));
}

/* Brings the limits up to date. Returns whether what there is to decide has changed. */
static bool refresh(struct precopy *p)
{
    const struct gw_migrate_limits before = p->limits, *now = &p->limits;

    if (p->refresh)
        p->refresh(p->arg, &p->limits);
    return now->timeout_ms != before.timeout_ms || now->max_downtime_ms != before.max_downtime_ms ||
           now->on_timeout != before.on_timeout || now->max_rounds != before.max_rounds ||
           now->throttle != before.throttle;
}

/*
 * Rounds do not help, and only the time that we were given keeps us at it: spread the rounds over
 * it. What is dirtied in between counts for the next round, not for its successor.
 */
static int pace(struct precopy *p, struct gw_error *err)
{
    const struct timespec step = {.tv_nsec = PACE_STEP_MS * 1000000L};
    const uint64_t began = precopy_now_ms(), end = p->began_ms + p->limits.timeout_ms;
    uint64_t now = began;
    unsigned rounds_left = p->limits.max_rounds - p->n;

    if (!p->why || end <= now)
        return 0;
    for (uint64_t until = now + (end - now) / (rounds_left + 1);
         now < until && !handover_cancelled && !refresh(p); now = precopy_now_ms())
        nanosleep(&step, NULL);
    if (precopy_round_harvest(p, true, false, err))
        return -1;
    p->rounds[p->n].dirtied = 0;
    throttle_note_pace(&p->throttle, precopy_now_ms() - began);
    return 0;
}

/* A round in which no page is sent hears nothing from the other side. */
static int listen_to_peer(const struct precopy *p, struct gw_error *err)
{
    struct handover_io *io = p->source->writer.io;

    if (io->in_fd >= 0 && handover_io_has_input(io))
        return handover_expect(io, HANDOVER_REFUSED, NULL, 0, err);
    return 0;
}

/* 1: stop the guest. 0: another round. -1: failed, or given up. */
static int judge(struct precopy *p, struct gw_error *err)
{
    struct precopy_view view = view_of(p);

    if (handover_cancelled) /* with nothing left to send nobody else notices */
        return gw_error_set(err, GW_EXIT_MIGRATE_CANCELLED, "cancelled");
    if (p->out_of_time && p->limits.on_timeout == GW_ON_TIMEOUT_CANCEL) {
        p->why = "out of time";
        return diverged(p, err);
    }
    if (p->out_of_time) { /* within a round: what was measured of it says little */
        p->why = "out of time";
        return 1;
    }
    refresh(p);
    switch (precopy_decide(&p->limits, &view, &p->why)) {
    case PRECOPY_STOP:
        return 1;
    case PRECOPY_GIVE_UP:
        return diverged(p, err);
    default:
        return 0;
    }
}

/*
 * Most pages were not sent, because the guest had written them again by then. Until it is slower
 * the next round would do no better, and rounds are few.
 */
static void await_throttle(const struct precopy *p)
{
    const struct timespec step = {.tv_nsec = THROTTLE_STEP_MS * 1000000L};
    const struct precopy_round *round = &p->rounds[p->n];
    uint64_t end_ms = p->began_ms + round->start_ms + throttle_look_ms(&p->throttle);

    if (p->limits.throttle != GW_THROTTLE_AUTO || round->skipped <= round->pages)
        return;
    while (precopy_now_ms() < end_ms && !handover_cancelled && !p->out_of_time)
        nanosleep(&step, NULL);
}

/* How long a message and its answer take, with nothing on the way before them. */
static int measure_trip(struct precopy *p, struct gw_error *err)
{
    return precopy_mark(p, &p->trip_ms, err);
}

/* The round's pages are there once they have been written there, and not a trip later. */
static int await_pages(struct precopy *p, struct gw_error *err)
{
    uint64_t ms;

    if (precopy_mark(p, &ms, err))
        return -1;
    p->trip_ms = ms < p->trip_ms ? ms : p->trip_ms;
    p->rounds[p->n].send_ms += ms - p->trip_ms;
    return 0;
}

static int send_live_rounds(struct precopy *p, struct gw_error *err)
{
    char step[32];
    int verdict;

    p->left = p->source->memory_pages;
    do {
        snprintf(step, sizeof(step), "source-round%u", p->n);
        if (migrate_step(step, err) || (p->n > 0 && pace(p, err)) || listen_to_peer(p, err) ||
            precopy_round_send(p, p->n > 0, err) || await_pages(p, err))
            return -1;
        await_throttle(p);
        if (precopy_round_harvest(p, false, false, err) || finish_round(p, err))
            return -1;
        verdict = judge(p, err);
    } while (verdict == 0);
    return verdict < 0 ? -1 : 0;
}

static int stop_guest(struct precopy *p, struct gw_error *err)
{
    struct save_source *s = p->source;
    uint64_t began_ns;
    bool paused;

    /* Before the pause, so that a guest that shut down by itself is not taken for a running one. */
    if (s->host->ops->is_paused(s->host->ctx, s->guest.domid, &paused, err))
        return -1;
    if (p->on_stop)
        p->on_stop(p->arg);
    p->stopped_at_ms = precopy_now_ms();
    began_ns = migrate_now_ns(); /* what came before is not downtime */
    p->stopped = true;
    handover_guard_add(p->guard, HANDOVER_STOPPED);
    if (s->host->ops->pause(s->host->ctx, s->guest.domid, err)) {
        handover_guard_drop(p->guard, HANDOVER_STOPPED);
        return -1;
    }
    if (save_source_take_state(s, err) ||
        s->host->ops->is_paused(s->host->ctx, s->guest.domid, &paused, err))
        return -1;
    s->host->ops->settle_console(s->host->ctx, s->guest.domid);
    migrate_times_add(&s->times, MIGRATE_STOP, began_ns);
    return migrate_step("source-stopped", err);
}

/* The round after the stop: what was taken last and not sent yet, and what came since. */
static int send_last_round(struct precopy *p, struct gw_error *err)
{
    if (precopy_round_harvest(p, true, true, err) || migrate_step("source-final", err) ||
        precopy_round_send(p, true, err))
        return -1;
    return finish_round(p, err);
}

static int start_log(struct precopy *p, struct gw_error *err)
{
    const struct migrate_host *host = p->source->host;
    uint32_t domid = p->source->guest.domid;

    handover_guard_add(p->guard, HANDOVER_LOGGING);
    if (host->ops->log_start(host->ctx, domid, err) == 0)
        return throttle_begin(&p->throttle, p->source->host, p->guard, domid, err);
    handover_guard_drop(p->guard, HANDOVER_LOGGING);
    return -1;
}

static int time_state(struct precopy *p, uint64_t *ret_ms, struct gw_error *err)
{
    const struct migrate_host *host = p->source->host;
    uint64_t began = precopy_now_ms();
    uint32_t bytes;
    void *state;

    if (host->ops->get_state(host->ctx, p->source->guest.domid, &state, &bytes, err))
        return -1;
    free(state);
    *ret_ms = precopy_now_ms() - began;
    return 0;
}

/*
 * How long the state takes, by taking it while the guest runs: that stops it for a moment. Whatever
 * kept this process from a CPU just then is not the state's: a long time is measured once more.
 */
static int measure_state(struct precopy *p, struct gw_error *err)
{
    uint64_t again_ms;

    if (time_state(p, &p->state_ms, err))
        return -1;
    if (p->state_ms * 2 <= p->limits.max_downtime_ms)
        return 0;
    if (time_state(p, &again_ms, err))
        return -1;
    p->state_ms = again_ms < p->state_ms ? again_ms : p->state_ms;
    return 0;
}

static int allocate(struct precopy *p, struct gw_error *err)
{
    size_t bytes = precopy_bitmap_bytes(p->source);

    p->limits = precopy_limits_fill(p->limits);
    p->bucket_pages = (p->source->memory_pages + PRECOPY_HEAT_BUCKETS - 1) / PRECOPY_HEAT_BUCKETS;
    p->rounds = calloc(GW_ROUNDS_MAX + 1, sizeof(*p->rounds));
    p->wanted = calloc(1, bytes);
    p->unsent = calloc(1, bytes);
    p->sent = calloc(1, bytes);
    if (!p->rounds || !p->wanted || !p->unsent || !p->sent)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    return 0;
}

int precopy_run(struct precopy *p, struct gw_error *err)
{
    if (allocate(p, err))
        return -1;
    if (start_log(p, err) || migrate_step("source-log", err) || measure_state(p, err) ||
        measure_trip(p, err) || send_live_rounds(p, err) || stop_guest(p, err))
        return -1;
    return send_last_round(p, err);
}

void precopy_free(struct precopy *p)
{
    for (unsigned i = 0; p->rounds && i <= GW_ROUNDS_MAX; i++)
        free(p->rounds[i].heat);
    free(p->rounds);
    free(p->wanted);
    free(p->unsent);
    free(p->sent);
    p->rounds = NULL;
    p->wanted = p->unsent = p->sent = NULL;
    p->n = 0;
}

/* Keeps the first error. */
static int also(int rc, int next, struct gw_error *err, const struct gw_error *next_err)
{
    if (next && !rc)
        *err = *next_err;
    return rc || next ? -1 : 0;
}

int precopy_undo(struct handover_guard *guard, struct migrate_host *host, struct gw_error *err)
{
    uint32_t domid = atomic_load_explicit(&guard->domid, memory_order_relaxed);
    struct gw_error next = {0};
    int rc = also(0, throttle_undo(guard, host, &next), err, &next);

    if (handover_guard_has(guard, HANDOVER_NOTED)) {
        rc = also(rc, host->ops->hold(host->ctx, domid, NULL, &next), err, &next);
        handover_guard_drop(guard, HANDOVER_NOTED);
    }
    if (handover_guard_has(guard, HANDOVER_STOPPED)) {
        int failed = host->ops->unpause(host->ctx, domid, &next);
        rc = also(rc, failed && next.code != GW_EXIT_NO_GUEST, err, &next); /* it may have ended */
        handover_guard_drop(guard, HANDOVER_STOPPED);
    }
    if (handover_guard_has(guard, HANDOVER_LOGGING)) {
        rc = also(rc, host->ops->log_stop(host->ctx, domid, &next), err, &next);
        handover_guard_drop(guard, HANDOVER_LOGGING);
    }
    return rc;
}
