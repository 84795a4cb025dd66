/* SPDX-License-Identifier: MIT */
/* Dispatch of `hvc #0xEA1` and the way a long call continues. */
#ifndef HV_HYPERCALL_H
#define HV_HYPERCALL_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/* Runs the call in x16 with x0..x4 of v, leaves the result in x0, or moves pc back to run it again. */
void hypercall_dispatch(struct vcpu *v);

/*
 * A handler that has done a bounded piece of work and was asked to let others run returns this after
 * writing its progress into guest-visible arguments or vcpu->hypercall_state.
 */
#define HYPERCALL_RESTART (-85L)

#endif
