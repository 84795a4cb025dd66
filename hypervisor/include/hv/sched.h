/* SPDX-License-Identifier: MIT */
/*
 * Fair, preemptive scheduler over all CPUs: one queue ordered by virtual run time, one lock.
 * A vCPU runs if it is RUNNABLE, its pause count and its domain's are 0.
 */
#ifndef HV_SCHED_H
#define HV_SCHED_H

#include <stdbool.h>
#include <stdint.h>

struct domain;
struct vcpu;

/* On every CPU, after timer_init_cpu. */
void sched_init_cpu(void);

/* Makes a blocked vCPU runnable; no-op in other states. Any CPU, any context. */
void sched_wake(struct vcpu *v);
/* Current vCPU waits for an interrupt; returns at once if one is pending. */
void sched_block_current(void);
void sched_yield_current(void);

/* OFF to RUNNABLE with the registers that it has; false if it was not OFF. */
bool sched_vcpu_on(struct vcpu *v);
/* The same after vcpu_reset with pc and x0. */
bool sched_vcpu_start(struct vcpu *v, uint64_t pc, uint64_t context_id);
void sched_vcpu_off_current(void);
bool sched_vcpu_is_off(const struct vcpu *v);

/* Counted pauses. Pausing does not wait; see sched_wait_stopped. */
void sched_domain_pause(struct domain *d);
int sched_domain_unpause(struct domain *d); /* -EINVAL below zero */
void sched_vcpu_pause(struct vcpu *v);
void sched_vcpu_unpause(struct vcpu *v);
/* d->shut_down or d->dying has changed: its vCPUs stop, or run again. */
void sched_domain_recheck(struct domain *d);
/*
 * Waits until no vCPU of d is loaded on any CPU, and all their stores are visible. Something keeps
 * d from running (pause, shutdown, death), and d is not the caller's domain. No lock is held.
 */
void sched_wait_stopped(struct domain *d);
bool sched_vcpu_is_stopped(const struct vcpu *v);

/*
 * A domain that is logged may be throttled. false ends it for all of its vCPUs; true lets them
 * begin with nothing taken from them, and nothing waited for. Any CPU.
 */
void sched_domain_may_throttle(struct domain *d, bool may);
/*
 * Takes percent (0 to 99) of its time from a vCPU of d (NULL: from all). -EINVAL: d may not be
 * throttled now.
 */
int sched_throttle(struct domain *d, struct vcpu *v, unsigned percent);

struct sched_holds {
    unsigned throttle_percent;
    uint64_t pause_ns, throttle_ns; /* kept from running while it wanted to; see above */
};

struct sched_holds sched_vcpu_holds(const struct vcpu *v);

/* Time that v has run, up to now. */
uint64_t sched_run_time_ns(const struct vcpu *v);

/*
 * Tail of every exit: handles need_resched, switches vCPU if due, prepares interrupts, and returns
 * the vCPU to enter, which is loaded; idles while there is none. v NULL: none is loaded.
 */
struct vcpu *sched_exit_to_guest(struct vcpu *v);

/* A secondary CPU, and the boot CPU after start-up, ends up here. */
_Noreturn void sched_run(void);

#endif
