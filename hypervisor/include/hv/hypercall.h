/* SPDX-License-Identifier: MIT */
/* Dispatch of `hvc #0xEA1`, and the hooks that other parts call on behalf of hypercalls. */
#ifndef HV_HYPERCALL_H
#define HV_HYPERCALL_H

#include <stdbool.h>
#include <stdint.h>

struct domain;
struct vcpu;

/*
 * Runs the call in x16 with x0..x4 of v, which is loaded on this CPU; pc is behind the HVC. Leaves
 * the result in x0, or moves pc back so that the guest runs the HVC again (a long call continues).
 */
void hypercall_dispatch(struct vcpu *v);

/*
 * What a handler returns after a bounded piece of work, with its progress written to the
 * arguments (hypercall/call.h) or kept in the domain.
 */
#define HYPERCALL_RESTART (-85L)

/*
 * d is dying and its vCPUs have stopped: an unfinished shadow_op is abandoned and logging goes off,
 * in steps (-ERESTART). None begins after that.
 */
int hypercall_domain_kill_step(struct domain *d);

/* v was switched in on this CPU and is about to run: updates its registered runstate area. */
void hypercall_vcpu_switched_in(struct vcpu *v);

#endif
