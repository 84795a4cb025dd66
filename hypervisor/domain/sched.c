/* SPDX-License-Identifier: MIT */
/*
 * Who runs next, and where: one queue for all CPUs, ordered by virtual run time, one lock:
 * kicks and the slice timer come after it, and throttle_end is armed under it. States and the
 * reasons are in docs/design/scheduler.md.
 */
#include "sched_hold.h"
#include "sched_internal.h"
#include "throttle_budget.h"

#include <hv/domain.h>
#include <hv/sched.h>
#include <hv/time.h>
#include <stddef.h>

#define SLICE_NS       UINT64_C(5000000)
#define PREEMPT_GAP_NS UINT64_C(1000000) /* a woken vCPU must be this far behind to preempt */

struct spinlock sched_lock = SPINLOCK_INIT;
static struct vcpu *queue;            /* RUNNABLE and allowed to run; lowest virtual time first */
static uint64_t queue_time_ns;        /* virtual time of all; never goes back */
static uint64_t idle_cpus;            /* bit per CPU that waits for work and was not kicked yet */
static struct vcpu *running[CPU_MAX]; /* what sched_pick gave each CPU last; NULL: idle */
static uint64_t kicks;                /* bit per CPU to be kicked once the lock is free */
static struct timer slice[CPU_MAX];
static struct timer budget[CPU_MAX]; /* of the throttled vCPU that runs there */

static void look_again(struct timer *timer)
{
    atomic_store_explicit(&this_cpu()->need_resched, true, memory_order_relaxed);
}

void sched_init_cpu(void)
{
    timer_init(&slice[this_cpu()->id], look_again);
    timer_init(&budget[this_cpu()->id], look_again);
}

void sched_unlock(void)
{
    uint64_t todo = kicks;

    kicks = 0;
    spin_unlock(&sched_lock);
    while (todo) {
        cpu_kick((unsigned)__builtin_ctzll(todo));
        todo &= todo - 1;
    }
}

void sched_kick_later(unsigned id)
{
    kicks |= UINT64_C(1) << id;
}

/* Virtual time of a vCPU that may be running at this moment. */
static uint64_t vruntime_now(const struct vcpu *v, uint64_t now_ns)
{
    return v->vruntime_ns + (v->state == VCPU_RUNNING ? now_ns - v->charged_at_ns : 0);
}

static void queue_insert(struct vcpu *v)
{
    struct vcpu **link = &queue;

    while (*link && (*link)->vruntime_ns <= v->vruntime_ns) {
        link = &(*link)->queue_next;
    }
    v->queue_next = *link;
    *link = v;
    v->queued = true;
}

static void queue_remove(struct vcpu *v)
{
    struct vcpu **link = &queue;

    while (*link != v) {
        link = &(*link)->queue_next;
    }
    *link = v->queue_next;
    v->queued = false;
}

/* Finds a CPU for a vCPU that was just queued: an idle one, or those that must share now. */
static void find_cpu_for(const struct vcpu *v, uint64_t now_ns)
{
    if (idle_cpus) {
        unsigned id = (unsigned)__builtin_ctzll(idle_cpus);
        if (v->last_cpu >= 0 && (idle_cpus >> v->last_cpu & 1)) {
            id = (unsigned)v->last_cpu;
        }
        idle_cpus &= ~(UINT64_C(1) << id);
        sched_kick_later(id);
        return;
    }
    for (unsigned id = 0; id < cpu_count(); id++) {
        const struct vcpu *other = running[id];
        bool alone = cpus[id].slice_end_ns == 0; /* no slice is set: it would run for ever */
        if (other && (alone || vruntime_now(other, now_ns) > v->vruntime_ns + PREEMPT_GAP_NS)) {
            sched_kick_later(id);
        }
    }
}

/* Virtual time has come as far as the last one that runs or waits. */
static void update_queue_time(uint64_t now_ns)
{
    uint64_t lowest = queue ? queue->vruntime_ns : UINT64_MAX;

    for (unsigned id = 0; id < cpu_count(); id++) {
        if (running[id] && vruntime_now(running[id], now_ns) < lowest) {
            lowest = vruntime_now(running[id], now_ns);
        }
    }
    if (lowest != UINT64_MAX && lowest > queue_time_ns) {
        queue_time_ns = lowest;
    }
}

void sched_enqueue(struct vcpu *v, uint64_t now_ns)
{
    update_queue_time(now_ns);
    /* Sleeping earns no more than one slice of credit. */
    if (v->vruntime_ns + SLICE_NS < queue_time_ns) {
        v->vruntime_ns = queue_time_ns - SLICE_NS;
    }
    queue_insert(v);
    find_cpu_for(v, now_ns);
}

void sched_recheck(struct vcpu *v)
{
    bool allowed = may_run(v);

    update_hold(v, time_now_ns());
    if (v->queued && !allowed) {
        queue_remove(v);
    } else if (v->state == VCPU_RUNNABLE && !v->queued && allowed) {
        sched_enqueue(v, time_now_ns());
    } else if (v->state == VCPU_RUNNING && !allowed) {
        sched_kick_later((unsigned)v->last_cpu);
    }
}

void sched_yield_current(void)
{
    struct vcpu *v = vcpu_current();
    struct cpu *cpu = this_cpu();

    spin_lock(&sched_lock);
    if (queue && queue->vruntime_ns >= v->vruntime_ns) {
        v->vruntime_ns = queue->vruntime_ns + 1;
    }
    cpu->slice_end_ns = 1;
    atomic_store_explicit(&cpu->need_resched, true, memory_order_relaxed);
    sched_unlock();
}

/* prev is RUNNING: may it go on? */
static bool keeps_cpu(const struct cpu *cpu, const struct vcpu *prev, uint64_t now_ns)
{
    if (!may_run(prev)) {
        return false;
    }
    if (!queue) {
        return true;
    }
    bool slice_over = cpu->slice_end_ns != 0 && now_ns >= cpu->slice_end_ns;
    uint64_t gap = slice_over ? 0 : PREEMPT_GAP_NS;
    return queue->vruntime_ns + gap > prev->vruntime_ns;
}

/* As long as somebody waits, whoever runs has a slice. True: a new one has begun. */
static bool set_slice(struct cpu *cpu, uint64_t now_ns)
{
    if (!running[cpu->id] || !queue) {
        cpu->slice_end_ns = 0;
    } else if (cpu->slice_end_ns <= now_ns) {
        cpu->slice_end_ns = now_ns + SLICE_NS;
        return true;
    }
    return false;
}

static struct vcpu *take_first(struct cpu *cpu, uint64_t now_ns)
{
    struct vcpu *next = queue;

    if (!next) {
        idle_cpus |= UINT64_C(1) << cpu->id;
        return NULL;
    }
    queue_remove(next);
    sched_set_state(next, VCPU_RUNNING, now_ns);
    next->charged_at_ns = now_ns;
    next->last_cpu = (int)cpu->id;
    cpu->slice_end_ns = 0;
    return next;
}

struct vcpu *sched_pick(struct cpu *cpu, struct vcpu *prev)
{
    uint64_t now_ns = time_now_ns(), budget_ns = 0;
    struct vcpu *next = prev;

    spin_lock(&sched_lock);
    idle_cpus &= ~(UINT64_C(1) << cpu->id);
    if (prev && prev->state == VCPU_RUNNING && prev->last_cpu == (int)cpu->id) {
        sched_charge(prev, now_ns);
        if (!keeps_cpu(cpu, prev, now_ns)) {
            sched_set_state(prev, VCPU_RUNNABLE, now_ns);
            if (may_run(prev)) {
                queue_insert(prev);
            }
            next = take_first(cpu, now_ns);
        }
    } else {
        next = take_first(cpu, now_ns);
    }
    running[cpu->id] = next;
    if (next && throttle_is_on(&next->throttle)) {
        budget_ns = throttle_run(&next->throttle, now_ns);
    }
    bool new_slice = set_slice(cpu, now_ns);
    sched_unlock();
    if (new_slice) {
        timer_set(&slice[cpu->id], cpu->slice_end_ns);
    }
    if (budget_ns != 0) {
        timer_set(&budget[cpu->id], now_ns + budget_ns);
    }
    return next;
}
