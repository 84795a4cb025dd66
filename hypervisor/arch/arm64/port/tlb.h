/* SPDX-License-Identifier: MIT */
#ifndef PORT_TLB_H
#define PORT_TLB_H

#include <stdbool.h>

/* Learns what the CPUs offer, on the boot CPU. */
void port_tlb_init(void);
/* Learns which defects matter, on each CPU before the first guest runs. */
void port_tlb_init_cpu(void);

/*
 * Every TLBI that takes something away from other CPUs, and its DSB, must be executed twice. It
 * depends on whose stores are to be complete: one such CPU is enough.
 */
extern bool port_tlb_must_repeat;

#endif
