/* SPDX-License-Identifier: MIT */
/* Between sched.c (who may run, who runs next) and sched_switch.c (how a CPU changes vCPU). */
#ifndef DOMAIN_SCHED_INTERNAL_H
#define DOMAIN_SCHED_INTERNAL_H

#include <hv/cpu.h>
#include <hv/vcpu.h>

/*
 * prev, which this CPU has loaded (or NULL), has been charged and put where it belongs; returns
 * what this CPU runs next: prev, another vCPU, or NULL, in which case this CPU counts as idle.
 */
struct vcpu *sched_pick(struct cpu *cpu, struct vcpu *prev);

/* What vcpu.throttle_end fires. */
void sched_throttle_end(struct timer *timer);

#endif
