/* SPDX-License-Identifier: MIT */
/* Floods itself with interrupts as fast as it can; ends in time if that hurts only itself. */
#include <guest/exception.h>
#include <guest/gic.h>
#include <guest/main.h>
#include <guest/report.h>
#include <guest/smp.h>
#include <guest/timer.h>

#define FLOOD 50000u

static volatile uint64_t taken;

static void again(uint32_t intid)
{
    taken++;
    if (taken < FLOOD) {
        gic_send_sgi(intid, smp_mpidr(0));
    }
}

void guest_main(const void *dtb)
{
    uint64_t end = timer_count() + 60 * timer_hz();

    irq_set_guest_handler(again);
    gic_init();
    gic_enable(1, 0x80);
    gic_enable(2, 0x40);
    irq_enable_all();
    gic_send_sgi(1, smp_mpidr(0));
    gic_send_sgi(2, smp_mpidr(0));
    while (taken < FLOOD && timer_count() < end) {
    }
    irq_disable_all();
    report(taken >= FLOOD, "%u interrupts taken: %lu", FLOOD, taken);
}
