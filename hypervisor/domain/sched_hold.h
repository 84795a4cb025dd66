/* SPDX-License-Identifier: MIT */
/* Whether a vCPU may run, and how long it was kept from it while it wanted to. Scheduler lock. */
#ifndef DOMAIN_SCHED_HOLD_H
#define DOMAIN_SCHED_HOLD_H

#include <hv/domain.h>
#include <hv/vcpu.h>

static inline bool is_ended(const struct domain *d)
{
    return d->shut_down || d->dying != DOMAIN_ALIVE;
}

static inline bool is_paused(const struct vcpu *v)
{
    return v->pause_count != 0 || v->domain->pause_count != 0;
}

static inline bool may_run(const struct vcpu *v)
{
    return !is_paused(v) && !is_ended(v->domain) && v->throttle.until_ns == 0;
}

static inline enum vcpu_hold hold_of(const struct vcpu *v)
{
    if (v->state != VCPU_RUNNABLE || is_ended(v->domain)) {
        return VCPU_HOLD_NONE;
    }
    if (is_paused(v)) {
        return VCPU_HOLD_PAUSE;
    }
    return v->throttle.until_ns != 0 ? VCPU_HOLD_THROTTLE : VCPU_HOLD_NONE;
}

/* The state, or something that may_run looks at, has changed. */
static inline void update_hold(struct vcpu *v, uint64_t now_ns)
{
    enum vcpu_hold hold = hold_of(v);

    if (hold != v->hold) {
        v->held_ns[v->hold] += now_ns - v->hold_began_ns;
        v->hold = hold;
        v->hold_began_ns = now_ns;
    }
}

static inline uint64_t held_ns(const struct vcpu *v, enum vcpu_hold hold, uint64_t now_ns)
{
    return v->held_ns[hold] + (v->hold == hold ? now_ns - v->hold_began_ns : 0);
}

#endif
