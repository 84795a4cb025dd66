/* SPDX-License-Identifier: MIT */
#include <guest/exception.h>
#include <guest/gic.h>
#include <guest/print.h>
#include <guest/report.h>
#include <guest/smp.h>
#include <guest/sysreg.h>

static struct {
    bool armed;
    struct fault first;
} expected[GUEST_CPUS_MAX];

static void (*irq_handler)(uint32_t intid);

void fault_expect(void)
{
    expected[smp_cpu_index()].first = (struct fault){0};
    expected[smp_cpu_index()].armed = true;
    isb();
}

struct fault fault_taken(void)
{
    dsb();
    expected[smp_cpu_index()].armed = false;
    return expected[smp_cpu_index()].first;
}

void irq_set_guest_handler(void (*handler)(uint32_t intid))
{
    irq_handler = handler;
}

static void handle_irq(void)
{
    uint32_t intid = gic_acknowledge();

    if (intid >= GIC_SPURIOUS) {
        return;
    }
    if (irq_handler != NULL) {
        irq_handler(intid);
    }
    gic_end(intid);
}

void exception_handle(uint64_t kind, struct exception_frame *frame)
{
    unsigned cpu = smp_cpu_index();

    if (kind == 1) {
        handle_irq();
        return;
    }
    if (kind == 0 && expected[cpu].armed) {
        if (!expected[cpu].first.taken) {
            expected[cpu].first = (struct fault){true, read_sysreg(esr_el1), read_sysreg(far_el1)};
        }
        frame->elr += 4;
        return;
    }
    print("unexpected exception: kind %lu esr %lx far %lx elr %lx cpu %u\n", kind,
          read_sysreg(esr_el1), read_sysreg(far_el1), frame->elr, cpu);
    report_abort("unexpected exception");
}
