/* SPDX-License-Identifier: MIT */
/* What the rest of the hypervisor has to do for core/'s tables on this architecture. */
#ifndef PORT_ARM64_H
#define PORT_ARM64_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Reads the ID registers. On the boot CPU, before the first s2_init. All CPUs must be alike in
 * what it reads: PARange, S2FWB, TLB range operations.
 */
void port_init(void);

/* On each CPU, before the first s2_init: it may be one whose MMU does not note writes. */
void port_init_cpu(void);

/* Bits that HCR_EL2 must have on every CPU while a guest runs: VM, PTW, FB, BSU, and FWB if used.
 */
uint64_t port_hcr_bits(void);

/*
 * Makes the operations of <port/atomic.h> single instructions if this CPU has them. On the boot
 * CPU, before anything else, while the text is writable and no other CPU runs.
 */
void port_atomics_init(void);
bool port_atomics_are_patched(void);
/* On each other CPU: whether it has what port_atomics_init may have chosen. */
bool port_cpu_has_atomics(void);

/*
 * Another vCPU of the same VM ran last on this CPU: what it cached of its own stage 1 must go.
 * VTTBR_EL2 is the VM's.
 */
void port_tlb_flush_local_stage1(void);

/* A VMID gets a new owner: nothing cached under it may survive. On all CPUs. */
void port_tlb_flush_vmid(uint64_t root_register);

#endif
