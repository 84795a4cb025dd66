/* SPDX-License-Identifier: MIT */
/* The guest's GICv3, at the addresses of Xen's guest map unless told otherwise. */
#ifndef GUEST_GIC_H
#define GUEST_GIC_H

#include <stdbool.h>
#include <stdint.h>

#define GIC_SPURIOUS 1020u

/* Before all others, where they are not those of Xen's guest map: the control domain's. */
void gic_set_bases(uint64_t gicd, uint64_t gicr);

void gic_init(void);     /* distributor, then this CPU */
void gic_init_cpu(void); /* redistributor and CPU interface of this CPU */
void gic_enable(uint32_t intid, uint8_t priority);
void gic_disable(uint32_t intid);
void gic_set_pending(uint32_t intid);
bool gic_is_active(uint32_t intid);
bool gic_is_pending(uint32_t intid);
void gic_set_edge(uint32_t intid, bool edge);
void gic_route(uint32_t intid, uint64_t mpidr);
uint32_t gic_acknowledge(void);
void gic_end(uint32_t intid);
void gic_set_priority_mask(uint8_t mask);
void gic_send_sgi(uint32_t sgi, uint64_t mpidr);

#endif
