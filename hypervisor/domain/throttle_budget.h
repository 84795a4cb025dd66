/* SPDX-License-Identifier: MIT */
/*
 * A throttled vCPU has a window in each period, and the rest of it belongs to nobody. The period
 * begins when it is chosen after the last one is over; what it sleeps in the window is used up,
 * too, so that who needs little CPU time to write much does less as well. Only what it waits for a
 * CPU is not. After its window it waits for the end of the period, longer if it ran longer. The
 * scheduler's lock.
 */
#ifndef DOMAIN_THROTTLE_BUDGET_H
#define DOMAIN_THROTTLE_BUDGET_H

#include <hv/vcpu.h>

#define THROTTLE_PERIOD_NS    UINT64_C(20000000) /* at the least */
#define THROTTLE_WINDOW_NS    UINT64_C(2000000)  /* at the least: a shorter one is all switching */
#define THROTTLE_DEBT_PERIODS 2u /* longest wait: a host's hiccup is not the guest's debt */
#define THROTTLE_PERCENT_MAX  99u

static inline bool throttle_is_on(const struct vcpu_throttle *throttle)
{
    return throttle->percent != 0;
}

static inline uint64_t throttle_period_ns(const struct vcpu_throttle *throttle)
{
    uint64_t period_ns = THROTTLE_WINDOW_NS * 100 / (100 - throttle->percent);

    return period_ns > THROTTLE_PERIOD_NS ? period_ns : THROTTLE_PERIOD_NS;
}

static inline uint64_t throttle_window_ns(const struct vcpu_throttle *throttle)
{
    return throttle_period_ns(throttle) * (100 - throttle->percent) / 100;
}

static inline void throttle_set(struct vcpu_throttle *throttle, unsigned percent, uint64_t now_ns)
{
    *throttle = (struct vcpu_throttle){.percent = percent, .began_ns = now_ns};
}

/* It has been chosen to run; how long it may. */
static inline uint64_t throttle_run(struct vcpu_throttle *throttle, uint64_t now_ns)
{
    uint64_t window_ns = throttle_window_ns(throttle);

    if (now_ns - throttle->began_ns >= throttle_period_ns(throttle)) {
        throttle->began_ns = now_ns;
        throttle->used_ns = 0;
    }
    return throttle->used_ns < window_ns ? window_ns - throttle->used_ns : 0;
}

static inline bool throttle_use(struct vcpu_throttle *throttle, uint64_t ns, uint64_t wait_ns)
{
    throttle->used_ns += ns;
    if (throttle->used_ns < throttle_window_ns(throttle)) {
        return false;
    }
    throttle->until_ns = throttle->began_ns + wait_ns;
    throttle->used_ns = 0;
    return true;
}

/* It has run. True: it may not until throttle->until_ns, which is not 0 then. */
static inline bool throttle_charge(struct vcpu_throttle *throttle, uint64_t ran_ns)
{
    uint64_t period_ns = throttle_period_ns(throttle);
    uint64_t wait_ns = (throttle->used_ns + ran_ns) / (100 - throttle->percent) * 100;

    if (wait_ns > THROTTLE_DEBT_PERIODS * period_ns) {
        wait_ns = THROTTLE_DEBT_PERIODS * period_ns;
    }
    return throttle_use(throttle, ran_ns, wait_ns > period_ns ? wait_ns : period_ns);
}

/* It wakes up. As throttle_charge; who has slept until the next period owes nothing. */
static inline bool throttle_wake(struct vcpu_throttle *throttle, uint64_t slept_ns, uint64_t now_ns)
{
    uint64_t period_ns = throttle_period_ns(throttle);

    if (throttle->until_ns != 0 || now_ns - throttle->began_ns >= period_ns) {
        return false;
    }
    return throttle_use(throttle, slept_ns, period_ns);
}

#endif
