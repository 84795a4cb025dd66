/* SPDX-License-Identifier: MIT */
/*
 * Who may run and who runs next: one queue for all CPUs, ordered by virtual run time, one lock:
 * kicks and the slice timer come after it, and throttle_end is armed under it. States and the
 * reasons are in docs/design/scheduler.md.
 */
#include "sched_hold.h"
#include "sched_internal.h"
#include "throttle_budget.h"

#include <hv/domain.h>
#include <hv/errno.h>
#include <hv/evtchn.h>
#include <hv/sched.h>
#include <hv/spinlock.h>
#include <hv/vtimer.h>
#include <port/inline.h>
#include <stddef.h>

#define SLICE_NS       UINT64_C(5000000)
#define PREEMPT_GAP_NS UINT64_C(1000000) /* a woken vCPU must be this far behind to preempt */

static struct spinlock sched_lock = SPINLOCK_INIT;
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

static void sched_unlock(void)
{
    uint64_t todo = kicks;

    kicks = 0;
    spin_unlock(&sched_lock);
    while (todo) {
        cpu_kick((unsigned)__builtin_ctzll(todo));
        todo &= todo - 1;
    }
}

static void kick_later(unsigned id)
{
    kicks |= UINT64_C(1) << id;
}

static void set_state(struct vcpu *v, enum vcpu_state state, uint64_t now_ns)
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

static void charge(struct vcpu *v, uint64_t now_ns)
{
    uint64_t ran = now_ns - v->charged_at_ns;

    v->run_time_ns += ran;
    v->vruntime_ns += ran;
    v->charged_at_ns = now_ns;
    if (throttle_is_on(&v->throttle) && throttle_charge(&v->throttle, ran)) {
        arm_throttle_end(v);
    }
}

/* It wakes up, and is still BLOCKED. */
static void charge_sleep(struct vcpu *v, uint64_t now_ns)
{
    uint64_t since_ns = v->state_entry_ns;

    if (since_ns < v->throttle.began_ns) {
        since_ns = v->throttle.began_ns;
    }
    if (throttle_is_on(&v->throttle) && throttle_wake(&v->throttle, now_ns - since_ns, now_ns)) {
        arm_throttle_end(v);
    }
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
        kick_later(id);
        return;
    }
    for (unsigned id = 0; id < cpu_count(); id++) {
        const struct vcpu *other = running[id];
        bool alone = cpus[id].slice_end_ns == 0; /* no slice is set: it would run for ever */
        if (other && (alone || vruntime_now(other, now_ns) > v->vruntime_ns + PREEMPT_GAP_NS)) {
            kick_later(id);
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

/* v is RUNNABLE, not queued, and comes back from a sleep or a pause. */
static void enqueue(struct vcpu *v, uint64_t now_ns)
{
    update_queue_time(now_ns);
    /* Sleeping earns no more than one slice of credit. */
    if (v->vruntime_ns + SLICE_NS < queue_time_ns) {
        v->vruntime_ns = queue_time_ns - SLICE_NS;
    }
    queue_insert(v);
    find_cpu_for(v, now_ns);
}

/* Something that may_run looks at has changed. */
static void recheck(struct vcpu *v)
{
    bool allowed = may_run(v);

    update_hold(v, time_now_ns());
    if (v->queued && !allowed) {
        queue_remove(v);
    } else if (v->state == VCPU_RUNNABLE && !v->queued && allowed) {
        enqueue(v, time_now_ns());
    } else if (v->state == VCPU_RUNNING && !allowed) {
        kick_later((unsigned)v->last_cpu);
    }
}

static void recheck_all(struct domain *d)
{
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        if (d->vcpus[i]) {
            recheck(d->vcpus[i]);
        }
    }
}

void sched_domain_recheck(struct domain *d)
{
    spin_lock(&sched_lock);
    recheck_all(d);
    sched_unlock();
}

void sched_domain_pause(struct domain *d)
{
    spin_lock(&sched_lock);
    if (d->pause_count++ == 0) {
        d->paused_at_ticks = time_counter();
    }
    recheck_all(d);
    sched_unlock();
}

/*
 * What a loaded domain has waited until now is hidden from it. Its vCPUs are still held: nothing
 * waited for their timers while the clock stood. Scheduler lock, dropped meanwhile.
 */
static void start_clock(struct domain *d)
{
    d->cntvoff_ticks += time_counter() - d->paused_at_ticks;
    /* Release pairs with the acquire in vtimer.c: the offset is there first. */
    atomic_store_explicit(&d->clock_stands, false, memory_order_release);
    sched_unlock();
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        if (d->vcpus[i]) {
            vtimer_recompute(d->vcpus[i]);
        }
    }
    spin_lock(&sched_lock);
}

int sched_domain_unpause(struct domain *d)
{
    int error = 0;

    spin_lock(&sched_lock);
    if (d->pause_count == 1 && atomic_load_explicit(&d->clock_stands, memory_order_relaxed)) {
        start_clock(d);
    }
    if (d->pause_count == 0) {
        error = -EINVAL;
    } else if (--d->pause_count == 0) {
        d->creation_finished = true;
        recheck_all(d);
    }
    sched_unlock();
    return error;
}

void sched_vcpu_pause(struct vcpu *v)
{
    spin_lock(&sched_lock);
    v->pause_count++;
    recheck(v);
    sched_unlock();
}

void sched_vcpu_unpause(struct vcpu *v)
{
    spin_lock(&sched_lock);
    if (v->pause_count > 0 && --v->pause_count == 0) {
        recheck(v);
    }
    sched_unlock();
}

/* Registers and stores of v are in memory: acquire pairs with the release in unload. */
static bool is_unloaded(const struct vcpu *v)
{
    return atomic_load_explicit(&v->cpu, memory_order_acquire) < 0;
}

bool sched_vcpu_is_stopped(const struct vcpu *v)
{
    spin_lock(&sched_lock);
    bool stopped = v->state != VCPU_RUNNING && is_unloaded(v);
    sched_unlock();
    return stopped;
}

/* Without the lock, which whoever is to stop needs as well; it is not fair. */
static void wait_unloaded(const struct vcpu *v)
{
    while (!is_unloaded(v)) {
        port_cpu_relax();
    }
}

void sched_wait_stopped(struct domain *d)
{
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        while (d->vcpus[i] && !sched_vcpu_is_stopped(d->vcpus[i])) {
            port_cpu_relax();
            wait_unloaded(d->vcpus[i]);
        }
    }
}

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
        charge_sleep(v, now_ns);
        set_state(v, VCPU_RUNNABLE, now_ns);
        if (may_run(v)) {
            enqueue(v, now_ns);
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
    charge(v, now_ns);
    set_state(v, state, now_ns);
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
        if (is_unloaded(v)) {
            return true;
        }
        sched_unlock();
        wait_unloaded(v);
    }
}

static void turn_on(struct vcpu *v)
{
    uint64_t now_ns = time_now_ns();

    set_state(v, VCPU_RUNNABLE, now_ns);
    if (may_run(v)) {
        enqueue(v, now_ns);
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

/* v->throttle_end: the wait of a vCPU that had used up its budget is over. */
void sched_throttle_end(struct timer *timer)
{
    struct vcpu *v = (struct vcpu *)(void *)((char *)timer - offsetof(struct vcpu, throttle_end));

    spin_lock(&sched_lock);
    if (v->throttle.until_ns <= time_now_ns()) {
        v->throttle.until_ns = 0;
        recheck(v);
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
        charge(v, now_ns);
        kick_later((unsigned)v->last_cpu); /* which sets its budget's timer */
    }
    throttle_set(&v->throttle, percent, now_ns);
    recheck(v);
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
    set_state(next, VCPU_RUNNING, now_ns);
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
        charge(prev, now_ns);
        if (!keeps_cpu(cpu, prev, now_ns)) {
            set_state(prev, VCPU_RUNNABLE, now_ns);
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
