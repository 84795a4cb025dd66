/* SPDX-License-Identifier: MIT */
#include "throttle_policy.h"

static unsigned step_up(unsigned percent)
{
    if (percent == 0)
        return THROTTLE_FIRST_PERCENT;
    percent += THROTTLE_STEP_PERCENT;
    return percent < THROTTLE_MAX_PERCENT ? percent : THROTTLE_MAX_PERCENT;
}

static unsigned step_down(unsigned percent)
{
    if (percent == THROTTLE_MAX_PERCENT) /* the last step up was a short one */
        return percent - percent % THROTTLE_STEP_PERCENT;
    return percent > THROTTLE_FIRST_PERCENT ? percent - THROTTLE_STEP_PERCENT : 0;
}

/*
 * What it would dirty with nothing taken away. A writer that a percent does not slow down by as
 * much would look faster with each step: he may have been slow all along.
 */
static uint64_t free_rate(const struct throttle_vcpu *vcpu)
{
    uint64_t all = vcpu->dirty_pages_per_s * 100 / (100 - vcpu->percent);

    return vcpu->free_pages_per_s && all > vcpu->free_pages_per_s ? vcpu->free_pages_per_s : all;
}

static bool is_pressing(uint64_t dirty_pages_per_s, uint64_t send_pages_per_s)
{
    return dirty_pages_per_s > send_pages_per_s / 2;
}

static bool writes(const struct throttle_vcpu *vcpu, const struct throttle_measure *measure,
                   unsigned n)
{
    return free_rate(vcpu) > measure->send_pages_per_s / 2 / n;
}

/* What would have to be taken from each writer for the guest to press no more. */
static unsigned find_target(const struct throttle_measure *measure,
                            const struct throttle_vcpu *vcpus, unsigned n)
{
    uint64_t half = measure->send_pages_per_s / 2, free = 0, now = 0, others, percent;

    for (unsigned i = 0; i < n; i++) {
        if (!writes(&vcpus[i], measure, n))
            continue;
        free += free_rate(&vcpus[i]);
        now += vcpus[i].dirty_pages_per_s;
    }
    others = measure->dirty_pages_per_s > now ? measure->dirty_pages_per_s - now : 0;
    if (others >= half || free == 0)
        return 0; /* nobody can tell: by the least of steps */
    percent = (half - others) * 100 / free;
    return percent < 100 ? 100 - (unsigned)percent : 0;
}

static unsigned approach(unsigned percent, unsigned target)
{
    unsigned next = step_up(percent), half_way = (percent + target) / 2;

    return next > half_way ? next : half_way;
}

/*
 * Without a writer all stay: a vCPU that runs for 1 % of a short round may have done nothing in it.
 */
static bool raise_writers(const struct throttle_measure *measure, struct throttle_vcpu *vcpus,
                          unsigned n)
{
    unsigned target = find_target(measure, vcpus, n);
    bool found = false, changed = false;

    for (unsigned i = 0; i < n; i++)
        found |= writes(&vcpus[i], measure, n);
    for (unsigned i = 0; found && i < n; i++) {
        unsigned before = vcpus[i].percent;
        unsigned percent =
            writes(&vcpus[i], measure, n) ? approach(before, target) : step_down(before);

        changed |= percent != vcpus[i].percent;
        vcpus[i].percent = percent;
    }
    return changed;
}

/*
 * What so many pages become with a step less. Not by what it did freely: of pages that it wrote
 * many times in a look then, only one counted.
 */
static uint64_t with_step_less(uint64_t pages, const struct throttle_vcpu *vcpu)
{
    return pages * (100 - step_down(vcpu->percent)) / (100 - vcpu->percent);
}

/* What the guest would dirty with a step less for all. */
static uint64_t rate_with_step_less(const struct throttle_measure *measure,
                                    const struct throttle_vcpu *vcpus, unsigned n)
{
    uint64_t now = 0, then = 0, most = 0;

    for (unsigned i = 0; i < n; i++) {
        uint64_t all = with_step_less(measure->dirty_pages_per_s, &vcpus[i]);

        now += vcpus[i].dirty_pages_per_s;
        then += with_step_less(vcpus[i].dirty_pages_per_s, &vcpus[i]);
        most = all > most ? all : most;
    }
    if (measure->sampled) /* few pages, and few of those were seen: they may be anybody's */
        return most;
    /* What it dirties by other hands than its vCPUs' stays as it is. */
    return then + (measure->dirty_pages_per_s > now ? measure->dirty_pages_per_s - now : 0);
}

static bool lower_if_harmless(const struct throttle_measure *measure, struct throttle_vcpu *vcpus,
                              unsigned n)
{
    bool changed = false;

    if (is_pressing(rate_with_step_less(measure, vcpus, n), measure->send_pages_per_s))
        return false;
    for (unsigned i = 0; i < n; i++) {
        changed |= vcpus[i].percent != 0;
        vcpus[i].percent = step_down(vcpus[i].percent);
    }
    return changed;
}

bool throttle_decide(unsigned *pressing, const struct throttle_measure *measure,
                     struct throttle_vcpu *vcpus, unsigned n)
{
    if (n == 0)
        return false;
    for (unsigned i = 0; i < n; i++)
        if (vcpus[i].percent == 0)
            vcpus[i].free_pages_per_s = vcpus[i].dirty_pages_per_s;
    if (!is_pressing(measure->dirty_pages_per_s, measure->send_pages_per_s)) {
        *pressing = 0;
        return lower_if_harmless(measure, vcpus, n);
    }
    if (++*pressing < THROTTLE_PATIENCE)
        return false;
    return raise_writers(measure, vcpus, n);
}
