/* SPDX-License-Identifier: MIT */
/*
 * Between the files of the scheduler: sched.c (the queue, and who runs next), sched_state.c (sleep,
 * wake-up, on and off), sched_pause.c, sched_throttle.c, sched_account.c (where time goes) and
 * sched_switch.c (how a CPU changes vCPU).
 */
#ifndef DOMAIN_SCHED_INTERNAL_H
#define DOMAIN_SCHED_INTERNAL_H

#include <hv/cpu.h>
#include <hv/spinlock.h>
#include <hv/vcpu.h>
#include <port/inline.h>
#include <stdatomic.h>

/* A leaf, for all that the scheduler keeps. Released by sched_unlock alone, which then kicks. */
extern struct spinlock sched_lock;
void sched_unlock(void);

/* With the lock, from here on. The CPU is kicked once the lock is free. */
void sched_kick_later(unsigned id);
/* v is RUNNABLE, not queued, and comes back from a sleep or a pause. */
void sched_enqueue(struct vcpu *v, uint64_t now_ns);
/* Something that may_run looks at has changed. */
void sched_recheck(struct vcpu *v);

/* The time in the state that v leaves is counted. */
void sched_set_state(struct vcpu *v, enum vcpu_state state, uint64_t now_ns);
/* v is RUNNING: counts what it has run since it was charged last. */
void sched_charge(struct vcpu *v, uint64_t now_ns);
/* v wakes up, and is still BLOCKED: what it has slept uses up its window. */
void sched_charge_sleep(struct vcpu *v, uint64_t now_ns);

/* Registers and stores of v are in memory: acquire pairs with the release in unload. Any lock. */
static inline bool sched_is_unloaded(const struct vcpu *v)
{
    return atomic_load_explicit(&v->cpu, memory_order_acquire) < 0;
}

/* Without the lock, which whoever is to stop needs as well; it is not fair. */
static inline void sched_wait_unloaded(const struct vcpu *v)
{
    while (!sched_is_unloaded(v)) {
        port_cpu_relax();
    }
}

/*
 * prev, which this CPU has loaded (or NULL), has been charged and put where it belongs; returns
 * what this CPU runs next: prev, another vCPU, or NULL, in which case this CPU counts as idle. No
 * lock is held.
 */
struct vcpu *sched_pick(struct cpu *cpu, struct vcpu *prev);

/* What vcpu.throttle_end fires. */
void sched_throttle_end(struct timer *timer);

#endif
