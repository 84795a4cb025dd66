/* SPDX-License-Identifier: MIT */
#ifndef PORT_TLB_H
#define PORT_TLB_H

#include <stdbool.h>

/* Learns what this CPU offers and which of its defects matter. */
void port_tlb_init(void);

/* Every TLBI and its DSB must be executed twice; fixed by port_tlb_init. */
extern bool port_tlb_must_repeat;

#endif
