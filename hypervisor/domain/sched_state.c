/* SPDX-License-Identifier: MIT */
/* A vCPU sleeps, wakes up, is switched off and on. docs/design/scheduler.md has the states. */
#include "sched_hold.h"
#include "sched_internal.h"

#include <hv/domain.h>
#include <hv/evtchn.h>
#include <hv/sched.h>

void sched_wake(struct vcpu *v)
{
    /*
     * Whoever makes an interrupt pending does so under a lock that sched_block_current takes after
     * it has set BLOCKED: one of the two sees the other. So most calls end here, without the lock.
     */
    if (__atomic_load_n(&v->state, __ATOMIC_RELAXED) != VCPU_BLOCKED) {
        return;
    }
    spin_lock(&sched_lock);
    if (v->state == VCPU_BLOCKED) {
        uint64_t now_ns = time_now_ns();
        sched_charge_sleep(v, now_ns);
        sched_set_state(v, VCPU_RUNNABLE, now_ns);
        if (may_run(v)) {
            sched_enqueue(v, now_ns);
        }
    }
    sched_unlock();
}

/* The current vCPU leaves RUNNING; the switch happens on the way out of EL2. */
static void leave_running(enum vcpu_state state)
{
    struct vcpu *v = vcpu_current();
    uint64_t now_ns = time_now_ns();

    spin_lock(&sched_lock);
    sched_charge(v, now_ns);
    sched_set_state(v, state, now_ns);
    atomic_store_explicit(&this_cpu()->need_resched, true, memory_order_relaxed);
    sched_unlock();
}

void sched_block_current(void)
{
    struct vcpu *v = vcpu_current();

    if (atomic_load_explicit(&v->evtchn_upcall_check, memory_order_relaxed)) {
        evtchn_update_upcall(v);
    }
    if (vgic_has_pending(v)) {
        return;
    }
    leave_running(VCPU_BLOCKED);
    if (vgic_has_pending(v)) {
        sched_wake(v);
    }
}

void sched_vcpu_off_current(void)
{
    leave_running(VCPU_OFF);
}

bool sched_vcpu_is_off(const struct vcpu *v)
{
    return __atomic_load_n(&v->state, __ATOMIC_RELAXED) == VCPU_OFF;
}

/* Takes the lock with v OFF and its registers saved; false, without the lock: it is not OFF. */
static bool lock_if_off(const struct vcpu *v)
{
    for (;;) {
        spin_lock(&sched_lock);
        if (v->state != VCPU_OFF) {
            sched_unlock();
            return false;
        }
        if (sched_is_unloaded(v)) {
            return true;
        }
        sched_unlock();
        sched_wait_unloaded(v);
    }
}

static void turn_on(struct vcpu *v)
{
    uint64_t now_ns = time_now_ns();

    sched_set_state(v, VCPU_RUNNABLE, now_ns);
    if (may_run(v)) {
        sched_enqueue(v, now_ns);
    }
}

bool sched_vcpu_on(struct vcpu *v)
{
    if (!lock_if_off(v)) {
        return false;
    }
    turn_on(v);
    sched_unlock();
    return true;
}

bool sched_vcpu_start(struct vcpu *v, uint64_t pc, uint64_t context_id)
{
    if (!lock_if_off(v)) {
        return false;
    }
    vcpu_reset(v, pc, context_id);
    turn_on(v);
    sched_unlock();
    return true;
}
