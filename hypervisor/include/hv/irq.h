/* SPDX-License-Identifier: MIT */
/* Physical interrupts: the GICv3 of the host. */
#ifndef HV_IRQ_H
#define HV_IRQ_H

#include <stdbool.h>
#include <stdint.h>

#define IRQ_SGI_KICK     0u  /* cpu_kick */
#define IRQ_SGI_STOP     1u  /* cpu_stop_others */
#define IRQ_PPI_MAINT    25u /* vGIC maintenance (from the device tree; this is virt's) */
#define IRQ_PPI_HYPTIMER 26u
#define IRQ_PPI_VTIMER   27u
#define IRQ_PPI_PTIMER   30u

struct gic_info {
    uint64_t dist_pa;
    uint64_t dist_bytes;
    uint64_t redist_pa;
    uint64_t redist_bytes;
    uint32_t spi_count; /* number of SPIs implemented */
    uint32_t lr_count;  /* list registers */
    uint32_t maintenance_intid;
};

const struct gic_info *gic_info(void);

/* Boot CPU, then once on every CPU. EOImode 1: priority drop and deactivation are separate. */
void gic_init(void);
void gic_init_cpu(void);

void irq_enable(uint32_t intid); /* PPIs: on this CPU */
void irq_disable(uint32_t intid);
void irq_set_priority(uint32_t intid, uint8_t priority);
void irq_set_edge(uint32_t intid, bool edge);
void irq_set_target(uint32_t intid, unsigned cpu);
void irq_set_active(uint32_t intid, bool active);
bool irq_is_pending(uint32_t intid);
void irq_deactivate(uint32_t intid);
void irq_send_sgi(uint32_t sgi, unsigned cpu);

/* Takes and dispatches all pending interrupts; called on IRQ exits and from idle. */
void irq_dispatch(void);

/*
 * Handlers, one per INTID; run with interrupts masked on the CPU that took it. After it returns,
 * the interrupt is deactivated, unless it returned IRQ_KEEP_ACTIVE (handed to a guest with a
 * hardware-linked list register, whose EOI deactivates it).
 */
enum irq_result { IRQ_DONE, IRQ_KEEP_ACTIVE };
typedef enum irq_result (*irq_handler_fn)(uint32_t intid, void *context);
void irq_set_handler(uint32_t intid, irq_handler_fn handler, void *context);

#endif
