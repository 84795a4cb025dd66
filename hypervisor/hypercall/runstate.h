/* SPDX-License-Identifier: MIT */
/* How long a vCPU ran, waited for a CPU, slept or was off. */
#ifndef HYPERCALL_RUNSTATE_H
#define HYPERCALL_RUNSTATE_H

#include <hv/vcpu.h>

/* The times at this moment; their sum is the age of the host's clock. */
void runstate_get(const struct vcpu *v, struct vcpu_runstate_info *ret_info);

#endif
