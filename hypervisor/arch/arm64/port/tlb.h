/* SPDX-License-Identifier: MIT */
#ifndef PORT_TLB_H
#define PORT_TLB_H

/* Learns what this CPU offers and which of its defects matter. */
void port_tlb_init(void);

#endif
