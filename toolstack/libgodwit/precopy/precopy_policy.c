/* SPDX-License-Identifier: MIT */
#include "precopy_policy.h"

#define ROUNDS       30u
#define ENOUGH_PAGES 64u /* a shorter round has no speed worth the name */
#define STUCK_ROUNDS 2u

struct gw_migrate_limits precopy_limits_fill(struct gw_migrate_limits limits)
{
    if (limits.max_downtime_ms == 0)
        limits.max_downtime_ms = GW_MAX_DOWNTIME_MS;
    if (limits.max_rounds == 0)
        limits.max_rounds = limits.timeout_ms ? GW_ROUNDS_MAX : ROUNDS;
    if (limits.max_rounds > GW_ROUNDS_MAX)
        limits.max_rounds = GW_ROUNDS_MAX;
    return limits;
}

/*
 * The speed of the last rounds: what they sent is what the guest writes, so it is as compressible
 * as what is left. The first round also sent pages that nobody writes. It only serves for want of
 * another, and its zero pages, which cost next to nothing, do not count then.
 */
void precopy_measure_speed(const struct precopy_view *v, uint64_t *ret_pages, uint64_t *ret_ms)
{
    uint64_t pages = 0, ms = 0, bytes = 0, least_ms;

    for (unsigned i = v->n; i-- > 1 && pages < 4 * ENOUGH_PAGES;) {
        pages += v->rounds[i].pages;
        bytes += v->rounds[i].bytes;
        ms += v->rounds[i].send_ms;
    }
    if (pages < ENOUGH_PAGES) {
        pages += v->rounds[0].pages - v->rounds[0].zero_pages;
        bytes += v->rounds[0].bytes;
        ms += v->rounds[0].send_ms;
    }
    /* A limit lets the last piece of a round through before its time is up. */
    least_ms = v->bandwidth_bytes_per_s ? bytes * 1000 / v->bandwidth_bytes_per_s : 0;
    ms = ms > least_ms ? ms : least_ms;
    *ret_pages = pages ? pages : 1;
    *ret_ms = ms ? ms : 1;
}

uint64_t precopy_estimate_ms(const struct precopy_view *v)
{
    uint64_t pages, ms;

    precopy_measure_speed(v, &pages, &ms);
    return v->fixed_ms + (v->rounds[v->n - 1].dirtied * ms + pages - 1) / pages;
}

static uint64_t least_left(const struct precopy_round *rounds, unsigned n)
{
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < n; i++)
        least = rounds[i].dirtied < least ? rounds[i].dirtied : least;
    return least;
}

bool precopy_is_stuck(const struct precopy_view *v)
{
    unsigned before = v->n - STUCK_ROUNDS;

    /* Nine tenths: slow progress is progress, but not for ever. */
    return v->n > STUCK_ROUNDS &&
           least_left(v->rounds + before, STUCK_ROUNDS) * 10 >= least_left(v->rounds, before) * 9;
}

/* Nothing that is still allowed will bring the downtime below the limit. */
static bool is_hopeless(const struct gw_migrate_limits *limits, const struct precopy_view *v)
{
    if (v->fixed_ms > limits->max_downtime_ms && v->n > 1)
        return true;
    return precopy_is_stuck(v) && v->rounds[v->n - 1].full_throttle &&
           v->rounds[v->n - 2].full_throttle;
}

/* Whether the speed of so few pages may be that of all that are left. */
static bool is_speed_known(const struct precopy_view *v)
{
    uint64_t pages, ms;

    precopy_measure_speed(v, &pages, &ms);
    return pages >= ENOUGH_PAGES || pages >= v->rounds[v->n - 1].dirtied;
}

enum precopy_verdict precopy_decide(const struct gw_migrate_limits *limits,
                                    const struct precopy_view *v, const char **ret_why)
{
    bool hopeless = is_hopeless(limits, v);
    bool stuck = hopeless || precopy_is_stuck(v);
    bool is_over = limits->timeout_ms && v->elapsed_ms >= limits->timeout_ms;

    *ret_why = "short enough";
    if (precopy_estimate_ms(v) <= limits->max_downtime_ms &&
        (is_speed_known(v) || is_over || v->n >= limits->max_rounds))
        return PRECOPY_STOP;
    if (is_over)
        *ret_why = "out of time";
    else if (v->n >= limits->max_rounds)
        *ret_why = "last round";
    else if (!hopeless || limits->timeout_ms) { /* with a timeout: perhaps it calms down */
        *ret_why = stuck ? "not converging" : NULL;
        return PRECOPY_GO_ON;
    } else
        *ret_why = "not converging";
    return limits->on_timeout == GW_ON_TIMEOUT_STOP ? PRECOPY_STOP : PRECOPY_GIVE_UP;
}
