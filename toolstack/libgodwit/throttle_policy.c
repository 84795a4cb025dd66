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

/* What it would dirty with that much taken away. */
static uint64_t rate_at(const struct throttle_vcpu *vcpu, unsigned percent)
{
    return vcpu->dirty_pages_per_s * (100 - percent) / (100 - vcpu->percent);
}

static bool is_pressing(uint64_t dirty_pages_per_s, uint64_t send_pages_per_s)
{
    return dirty_pages_per_s > send_pages_per_s / 2;
}

static bool writes(const struct throttle_vcpu *vcpu, const struct throttle_measure *measure,
                   unsigned n)
{
    return rate_at(vcpu, 0) > measure->send_pages_per_s / 2 / n;
}

/*
 * Without a writer all stay: a vCPU that runs for 1 % of a short round may have done nothing in it.
 */
static bool raise_writers(const struct throttle_measure *measure, struct throttle_vcpu *vcpus,
                          unsigned n)
{
    bool found = false, changed = false;

    for (unsigned i = 0; i < n; i++)
        found |= writes(&vcpus[i], measure, n);
    for (unsigned i = 0; found && i < n; i++) {
        bool writer = writes(&vcpus[i], measure, n);
        unsigned percent = writer ? step_up(vcpus[i].percent) : step_down(vcpus[i].percent);

        changed |= percent != vcpus[i].percent;
        vcpus[i].percent = percent;
    }
    return changed;
}

/* What the guest dirties by other hands than its vCPUs' stays as it is. */
static bool lower_if_harmless(const struct throttle_measure *measure, struct throttle_vcpu *vcpus,
                              unsigned n)
{
    uint64_t now = 0, then = 0, others;
    bool changed = false;

    for (unsigned i = 0; i < n; i++) {
        now += vcpus[i].dirty_pages_per_s;
        then += rate_at(&vcpus[i], step_down(vcpus[i].percent));
    }
    others = measure->dirty_pages_per_s > now ? measure->dirty_pages_per_s - now : 0;
    if (is_pressing(then + others, measure->send_pages_per_s))
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
    if (!is_pressing(measure->dirty_pages_per_s, measure->send_pages_per_s)) {
        *pressing = 0;
        return lower_if_harmless(measure, vcpus, n);
    }
    if (++*pressing < THROTTLE_PATIENCE)
        return false;
    return raise_writers(measure, vcpus, n);
}
