/* SPDX-License-Identifier: MIT */
/* Between the GIC driver and the table of handlers. */
#ifndef PLATFORM_IRQ_TABLE_H
#define PLATFORM_IRQ_TABLE_H

#include <hv/irq.h>

#define IRQ_COUNT 1020u /* INTIDs from here on are special */

/* Runs the handler of an acknowledged interrupt; intid < IRQ_COUNT. */
enum irq_result irq_handle(uint32_t intid);

#endif
