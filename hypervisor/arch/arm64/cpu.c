/* SPDX-License-Identifier: MIT */
#include "barrier.h"
#include "smp.h"
#include "sysreg.h"

#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/irq.h>
#include <stddef.h>

#define ISR_IRQ_FIQ (3u << 6)

/* How long cpu_stop_others waits for the others before it goes on without them. */
#define STOP_WAIT_LOOPS 10000000u

struct cpu cpus[CPU_MAX];

/* head.S finds a CPU's struct with it. */
const uint32_t cpu_struct_bytes = sizeof(struct cpu);

_Static_assert(offsetof(struct cpu, current) == 0 && offsetof(struct cpu, stack_top) == 8,
               "head.S, fatal_entry.h and the entry code use these");

static unsigned online_count = 1;
static _Atomic unsigned stopped_count;

struct cpu *this_cpu(void)
{
    return (struct cpu *)READ_SYSREG(tpidr_el2);
}

unsigned cpu_count(void)
{
    return online_count;
}

void cpu_set_count(unsigned count)
{
    online_count = count;
}

void cpu_kick(unsigned id)
{
    /* Release: what the CPU shall look at is written; pairs with the exchange in the scheduler. */
    atomic_store_explicit(&cpus[id].need_resched, true, memory_order_release);
    if (id != this_cpu()->id) {
        irq_send_sgi(IRQ_SGI_KICK, id);
    }
}

bool cpu_preempt_pending(void)
{
    return atomic_load_explicit(&this_cpu()->need_resched, memory_order_relaxed) ||
           (READ_SYSREG(isr_el1) & ISR_IRQ_FIQ) != 0;
}

_Noreturn void cpu_halt(void)
{
    for (;;) {
        wfi();
    }
}

static enum irq_result take_kick(uint32_t intid, void *context)
{
    return IRQ_DONE; /* need_resched is set already; the exit path looks at it */
}

static enum irq_result take_stop(uint32_t intid, void *context)
{
    atomic_fetch_add_explicit(&stopped_count, 1, memory_order_release);
    cpu_halt();
}

void cpu_init_sgis(void)
{
    irq_set_handler(IRQ_SGI_KICK, take_kick, NULL);
    irq_set_handler(IRQ_SGI_STOP, take_stop, NULL);
}

void cpu_stop_others(void)
{
    unsigned others = 0;

    for (unsigned i = 0; i < cpu_count(); i++) {
        if (i != this_cpu()->id && cpus[i].online) {
            irq_send_sgi(IRQ_SGI_STOP, i);
            others++;
        }
    }
    for (unsigned n = 0; n < STOP_WAIT_LOOPS; n++) {
        /* Acquire pairs with the release in take_stop. */
        if (atomic_load_explicit(&stopped_count, memory_order_acquire) >= others) {
            return;
        }
        __asm__ volatile("yield");
    }
}
