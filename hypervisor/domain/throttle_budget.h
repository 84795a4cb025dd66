/* SPDX-License-Identifier: MIT */
/*
 * The CPU time of a throttled vCPU: a budget per period. It begins when the vCPU is chosen after
 * the last one is over. Who has used it up waits for the end of the period, longer if he used more.
 * The scheduler's lock.
 */
#ifndef DOMAIN_THROTTLE_BUDGET_H
#define DOMAIN_THROTTLE_BUDGET_H

#include <hv/vcpu.h>

#define THROTTLE_PERIOD_NS UINT64_C(20000000)
#define THROTTLE_DEBT_PERIODS                                                                      \
    10u /* longest wait: a host that stood still is not the guest's debt */
#define THROTTLE_PERCENT_MAX 99u

static inline bool throttle_is_on(const struct vcpu_throttle *throttle)
{
    return throttle->percent != 0;
}

static inline uint64_t throttle_budget_ns(const struct vcpu_throttle *throttle)
{
    return THROTTLE_PERIOD_NS / 100 * (100 - throttle->percent);
}

static inline void throttle_set(struct vcpu_throttle *throttle, unsigned percent, uint64_t now_ns)
{
    *throttle = (struct vcpu_throttle){.percent = percent, .began_ns = now_ns};
}

/* It has been chosen to run; how long it may. */
static inline uint64_t throttle_run(struct vcpu_throttle *throttle, uint64_t now_ns)
{
    uint64_t budget_ns = throttle_budget_ns(throttle);

    if (now_ns - throttle->began_ns >= THROTTLE_PERIOD_NS) {
        throttle->began_ns = now_ns;
        throttle->used_ns = 0;
    }
    return throttle->used_ns < budget_ns ? budget_ns - throttle->used_ns : 0;
}

/* It has run. True: it may not until throttle->until_ns, which is not 0 then. */
static inline bool throttle_charge(struct vcpu_throttle *throttle, uint64_t ran_ns)
{
    uint64_t wait_ns;

    throttle->used_ns += ran_ns;
    if (throttle->used_ns < throttle_budget_ns(throttle)) {
        return false;
    }
    wait_ns = throttle->used_ns / (100 - throttle->percent) * 100;
    if (wait_ns > THROTTLE_DEBT_PERIODS * THROTTLE_PERIOD_NS) {
        wait_ns = THROTTLE_DEBT_PERIODS * THROTTLE_PERIOD_NS;
    }
    throttle->until_ns =
        throttle->began_ns + (wait_ns > THROTTLE_PERIOD_NS ? wait_ns : THROTTLE_PERIOD_NS);
    throttle->used_ns = 0;
    return true;
}

#endif
