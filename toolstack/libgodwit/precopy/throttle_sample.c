/* SPDX-License-Identifier: MIT */
#include "throttle_sample.h"

/* A page that each vCPU writes now and then, of a stack, stands for as many as it is one of. */
static bool is_chance(uint64_t pages, uint64_t most, unsigned pages_per_hit)
{
    return pages < (uint64_t)THROTTLE_SAMPLE_FEW * pages_per_hit &&
           pages * THROTTLE_SAMPLE_FAR <= most;
}

void throttle_sample_rates(const struct throttle_measure *look, const uint64_t *pages,
                           unsigned pages_per_hit, struct throttle_vcpu *vcpus, unsigned n)
{
    uint64_t ms = look->ms ? look->ms : 1, most = 0, sum = 0, rate;

    for (unsigned i = 0; i < n; i++)
        most = pages[i] > most ? pages[i] : most;
    for (unsigned i = 0; i < n; i++)
        sum += is_chance(pages[i], most, pages_per_hit) ? 0 : pages[i];
    rate = (sum + sum / 2) * 1000 / ms;
    rate = rate < look->dirty_pages_per_s ? rate : look->dirty_pages_per_s;
    for (unsigned i = 0; i < n; i++)
        vcpus[i].dirty_pages_per_s =
            sum && !is_chance(pages[i], most, pages_per_hit) ? rate * pages[i] / sum : 0;
}

unsigned throttle_sample_look_ms(uint64_t dirty_pages_per_s, unsigned pages_per_hit, unsigned n)
{
    uint64_t pages = (uint64_t)THROTTLE_SAMPLE_HITS(n) * pages_per_hit;
    uint64_t ms = pages * 1000 / (dirty_pages_per_s ? dirty_pages_per_s : 1);

    return ms < THROTTLE_SAMPLE_LOOK_MS ? (unsigned)ms : THROTTLE_SAMPLE_LOOK_MS;
}
