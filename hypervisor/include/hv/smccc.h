/* SPDX-License-Identifier: MIT */
/* Calls of the SMC calling convention that guests make, by HVC #0 or SMC #0. */
#ifndef HV_SMCCC_H
#define HV_SMCCC_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/*
 * Runs the call whose function number is in x0 of v, which is loaded on this CPU with pc behind
 * the instruction. The result is in x0 (and x1 to x3 where the call defines them); an unknown
 * function gives SMCCC_NOT_SUPPORTED.
 */
void smccc_call(struct vcpu *v);

#define SMCCC_NOT_SUPPORTED UINT64_MAX

/* PSCI: false if the function is not one of its. May switch the vCPU off or shut the domain down.
 */
bool vpsci_call(struct vcpu *v, uint32_t function);
bool vpsci_has(uint32_t function);

#endif
