/* SPDX-License-Identifier: MIT */
#include "precopy_policy.h"

uint64_t precopy_estimate_ms(const struct precopy_round *round)
{
    /* Below this a round is too short to have a speed: assume the emulated worst, 1 page per ms. */
    if (round->pages < 64)
        return round->dirtied;
    return round->dirtied * (round->ms ? round->ms : 1) / round->pages;
}

static bool is_no_progress(const struct precopy_round *round)
{
    return round->dirtied * 10 >= round->pages * 9;
}

bool precopy_should_stop(const struct precopy_limits *limits, const struct precopy_round *rounds,
                         unsigned n, const char **ret_why)
{
    const struct precopy_round *last = &rounds[n - 1];

    *ret_why = "few pages left";
    if (last->dirtied <= limits->few_pages)
        return true;
    *ret_why = "short enough";
    if (n > 1 && precopy_estimate_ms(last) <= limits->max_downtime_ms)
        return true;
    *ret_why = "last round";
    if (n >= limits->max_rounds)
        return true;
    /* Twice in a row nearly as much was dirtied as was sent: more rounds do not make it less. */
    *ret_why = "not converging";
    return n > 2 && is_no_progress(last) && is_no_progress(&rounds[n - 2]);
}
