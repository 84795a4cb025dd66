/* SPDX-License-Identifier: MIT */
/* What a vCPU's time goes to: its states, what it runs, sleeps and waits, and its budget. */
#include "sched_hold.h"
#include "sched_internal.h"
#include "throttle_budget.h"

#include <hv/domain.h>
#include <hv/sched.h>

void sched_set_state(struct vcpu *v, enum vcpu_state state, uint64_t now_ns)
{
    v->state_time_ns[v->state] += now_ns - v->state_entry_ns;
    /* sched_wake reads it without the lock. */
    __atomic_store_n(&v->state, state, __ATOMIC_RELAXED);
    v->state_entry_ns = now_ns;
    update_hold(v, now_ns);
}

/* Its window is over. A dying domain's timers may have been cancelled already, for good. */
static void arm_throttle_end(struct vcpu *v)
{
    if (v->domain->dying == DOMAIN_ALIVE) {
        timer_set(&v->throttle_end, v->throttle.until_ns);
    }
}

void sched_charge(struct vcpu *v, uint64_t now_ns)
{
    uint64_t ran = now_ns - v->charged_at_ns;

    v->run_time_ns += ran;
    v->vruntime_ns += ran;
    v->charged_at_ns = now_ns;
    if (throttle_is_on(&v->throttle) && throttle_charge(&v->throttle, ran)) {
        arm_throttle_end(v);
    }
}

void sched_charge_sleep(struct vcpu *v, uint64_t now_ns)
{
    uint64_t since_ns = v->state_entry_ns;

    if (since_ns < v->throttle.began_ns) {
        since_ns = v->throttle.began_ns;
    }
    if (throttle_is_on(&v->throttle) && throttle_wake(&v->throttle, now_ns - since_ns, now_ns)) {
        arm_throttle_end(v);
    }
}

struct sched_holds sched_vcpu_holds(const struct vcpu *v)
{
    spin_lock(&sched_lock);
    uint64_t now_ns = time_now_ns();
    struct sched_holds holds = {
        .throttle_percent = v->throttle.percent,
        .pause_ns = held_ns(v, VCPU_HOLD_PAUSE, now_ns),
        .throttle_ns = held_ns(v, VCPU_HOLD_THROTTLE, now_ns),
    };
    sched_unlock();
    return holds;
}

uint64_t sched_run_time_ns(const struct vcpu *v)
{
    spin_lock(&sched_lock);
    uint64_t ran = v->run_time_ns;
    if (v->state == VCPU_RUNNING) {
        ran += time_now_ns() - v->charged_at_ns;
    }
    sched_unlock();
    return ran;
}
