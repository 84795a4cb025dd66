/* SPDX-License-Identifier: MIT */
/* Which handler an interrupt has. Set while starting or by the one who owns the interrupt. */
#include "irq_table.h"

#include <hv/console.h>
#include <hv/irq.h>
#include <stddef.h>

struct handler {
    irq_handler_fn function;
    void *context;
};

static struct handler handlers[IRQ_COUNT];

void irq_set_handler(uint32_t intid, irq_handler_fn handler, void *context)
{
    ASSERT(intid < IRQ_COUNT);
    handlers[intid].context = context;
    /* Release pairs with the acquire in irq_handle: the context is there before the function. */
    __atomic_store_n(&handlers[intid].function, handler, __ATOMIC_RELEASE);
}

enum irq_result irq_handle(uint32_t intid)
{
    irq_handler_fn function = __atomic_load_n(&handlers[intid].function, __ATOMIC_ACQUIRE);

    if (function == NULL) {
        /* Nobody wants it: it would come again for ever. */
        printk("interrupt %u has no handler, disabled\n", intid);
        irq_disable(intid);
        return IRQ_DONE;
    }
    return function(intid, handlers[intid].context);
}
