/* SPDX-License-Identifier: MIT */
/* The last words: what happened, where, on whose behalf. Only the first CPU speaks. */
#include "console.h"

#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/fdt.h>
#include <hv/layout.h>
#include <hv/panic.h>
#include <hv/psci_host.h>
#include <smp.h>
#include <sysreg.h>

static _Atomic bool panicking;

/* One CPU goes on; a second panic, also of the same CPU, ends here. */
static void begin(void)
{
    if (atomic_exchange_explicit(&panicking, true, memory_order_relaxed)) {
        cpu_halt();
    }
    console_break_lock();
    cpu_stop_others();
}

static void print_context(void)
{
    const struct vcpu *v = this_cpu()->current;

    printk("cpu %u, mpidr %lx, hcr %lx, vttbr %lx, esr %lx, far %lx, hpfar %lx\n", this_cpu()->id,
           this_cpu()->mpidr, READ_SYSREG(hcr_el2), READ_SYSREG(vttbr_el2), READ_SYSREG(esr_el2),
           READ_SYSREG(far_el2), READ_SYSREG(hpfar_el2));
    if (v == NULL) {
        printk("no guest was running here\n");
        return;
    }
    printk("on behalf of domain %u, vcpu %u: pc %lx, cpsr %lx, x0 %lx, x16 %lx\n",
           v->domain != NULL ? v->domain->id : 0xffffu, v->id, v->regs.pc, v->regs.cpsr,
           v->regs.x[0], v->regs.x[16]);
}

/* panic=off and panic=reset serve test drivers and unattended hosts; the default is to stop. */
static _Noreturn void end(void)
{
    char what[8];

    if (cmdline_get("panic", what, sizeof(what)) > 0) {
        if (what[0] == 'o') {
            printk("panic=off: switching off\n");
            host_power_off();
        }
        if (what[0] == 'r') {
            printk("panic=reset: starting again\n");
            host_reset();
        }
    }
    printk("stopped\n");
    cpu_halt();
}

void panic(const char *format, ...)
{
    va_list args;

    begin();
    printk("\n");
    printk("PANIC: ");
    va_start(args, format);
    vprintk(format, args);
    va_end(args);
    printk("\n");
    print_context();
    backtrace_print((uintptr_t)__builtin_return_address(0) - 4, 0,
                    *(const uint64_t *)__builtin_frame_address(0));
    end();
}

static void print_registers(const struct el2_frame *frame)
{
    for (unsigned i = 0; i < 30; i += 3) {
        printk("x%-2u %016lx  x%-2u %016lx  x%-2u %016lx\n", i, frame->x[i], i + 1, frame->x[i + 1],
               i + 2, frame->x[i + 2]);
    }
    printk("x30 %016lx  sp  %016lx  pc  %016lx\n", frame->x[30], frame->sp, frame->pc);
}

static const char *vector_name(unsigned vector)
{
    static const char *const kinds[] = {"synchronous exception", "IRQ", "FIQ", "SError"};

    return kinds[vector % 4];
}

static bool is_in_guard(uint64_t address)
{
    uint64_t bottom = this_cpu()->stack_top - STACK_BYTES;

    return address < bottom && address >= bottom - STACK_BYTES;
}

void panic_exception(const struct el2_frame *frame, unsigned vector)
{
    uint64_t offset;
    const char *name;

    begin();
    name = symbol_find(frame->pc, &offset);
    printk("\n");
    printk("PANIC: %s at EL2 (vector %u) in %s+0x%lx, esr %lx, far %lx, spsr %lx\n",
           vector_name(vector), vector, name, offset, frame->esr, frame->far, frame->cpsr);
    if (is_in_guard(frame->far)) {
        printk("the stack has overflowed; outer callers below may be torn\n");
    }
    print_registers(frame);
    print_context();
    backtrace_print(frame->pc, frame->x[30], frame->x[29]);
    end();
}
