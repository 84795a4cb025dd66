/* SPDX-License-Identifier: MIT */
/* Taking CPU time from the vCPUs of a logged domain; throttle_budget.h has the arithmetic. */
#include "sched_internal.h"
#include "throttle_budget.h"

#include <hv/domain.h>
#include <hv/errno.h>
#include <hv/sched.h>
#include <stddef.h>

/* v->throttle_end: the wait of a vCPU that had used up its budget is over. */
void sched_throttle_end(struct timer *timer)
{
    struct vcpu *v = (struct vcpu *)(void *)((char *)timer - offsetof(struct vcpu, throttle_end));

    spin_lock(&sched_lock);
    if (v->throttle.until_ns <= time_now_ns()) {
        v->throttle.until_ns = 0;
        sched_recheck(v);
    }
    sched_unlock();
}

/* What it has run until now is counted before: a new percent begins with a whole period. */
static void throttle_locked(struct vcpu *v, unsigned percent)
{
    uint64_t now_ns = time_now_ns();

    if (percent == v->throttle.percent) {
        return;
    }
    if (v->state == VCPU_RUNNING) {
        sched_charge(v, now_ns);
        sched_kick_later((unsigned)v->last_cpu); /* which sets its budget's timer */
    }
    throttle_set(&v->throttle, percent, now_ns);
    sched_recheck(v);
}

void sched_domain_may_throttle(struct domain *d, bool may)
{
    uint64_t now_ns = time_now_ns();

    spin_lock(&sched_lock);
    d->may_throttle = may;
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        struct vcpu *v = d->vcpus[i];

        if (v == NULL) {
            continue;
        }
        throttle_locked(v, 0);
        for (unsigned hold = 0; may && hold < VCPU_HOLDS; hold++) {
            v->held_ns[hold] = 0;
            v->hold_began_ns = now_ns;
        }
    }
    sched_unlock();
}

int sched_throttle(struct domain *d, struct vcpu *v, unsigned percent)
{
    int error = 0;

    spin_lock(&sched_lock);
    if (!d->may_throttle) {
        error = -EINVAL;
    }
    for (uint32_t i = 0; error == 0 && i < d->max_vcpus; i++) {
        if (d->vcpus[i] && (v == NULL || v == d->vcpus[i])) {
            throttle_locked(d->vcpus[i], percent);
        }
    }
    sched_unlock();
    return error;
}
