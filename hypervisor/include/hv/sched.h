/* SPDX-License-Identifier: MIT */
/*
 * Fair, preemptive scheduler over all CPUs: one queue ordered by virtual run time, one lock.
 * A vCPU runs if it is RUNNABLE, its pause count and its domain's are 0.
 */
#ifndef HV_SCHED_H
#define HV_SCHED_H

#include <stdbool.h>

struct domain;
struct vcpu;

void sched_init(void);

/* Makes a blocked vCPU runnable; no-op in other states. Any CPU, any context. */
void sched_wake(struct vcpu *v);
/* Current vCPU waits for an interrupt; returns at once if one is pending. */
void sched_block_current(void);
void sched_yield_current(void);
/* PSCI: OFF to RUNNABLE and back. */
void sched_vcpu_on(struct vcpu *v);
void sched_vcpu_off_current(void);

/* Counted pauses. Pausing does not wait; see sched_wait_stopped. */
void sched_domain_pause(struct domain *d);
int sched_domain_unpause(struct domain *d); /* -EINVAL below zero */
void sched_vcpu_pause(struct vcpu *v);
void sched_vcpu_unpause(struct vcpu *v);
/* Waits until no vCPU of d is loaded on any CPU. d is paused and is not the caller's domain. */
void sched_wait_stopped(struct domain *d);
bool sched_vcpu_is_stopped(const struct vcpu *v);

/* Tail of every exit: handles need_resched, switches vCPU if due, returns the one to enter; idles if none. */
struct vcpu *sched_exit_to_guest(struct vcpu *v);

/* A secondary CPU, and the boot CPU after start-up, ends up here. */
_Noreturn void sched_run(void);

#endif
