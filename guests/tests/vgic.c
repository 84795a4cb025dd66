/* SPDX-License-Identifier: MIT */
/* The virtual GIC as a bare-metal program sees it. */
#include <guest/exception.h>
#include <guest/gic.h>
#include <guest/main.h>
#include <guest/print.h>
#include <guest/report.h>
#include <guest/smp.h>
#include <guest/sysreg.h>
#include <guest/timer.h>
#include <stdatomic.h>

#define FIRST_SPI 48u /* nothing drives these */
#define SPIS      12u /* more than there are list registers */

static uint32_t taken[64];
static volatile unsigned taken_count;
static _Atomic unsigned sgis_taken;

static void record(uint32_t intid)
{
    if (taken_count < 64) {
        taken[taken_count] = intid;
    }
    taken_count++;
}

static void wait_for(unsigned count)
{
    uint64_t end = timer_count() + 2 * timer_hz();

    while (taken_count < count && timer_count() < end) {
    }
}

static void test_more_than_list_registers(void)
{
    bool ordered = true;

    taken_count = 0;
    for (uint32_t i = 0; i < SPIS; i++) {
        gic_set_edge(FIRST_SPI + i, true);
        gic_enable(FIRST_SPI + i, (uint8_t)(0xf0 - i * 8));
        gic_route(FIRST_SPI + i, 0);
        gic_set_pending(FIRST_SPI + i);
    }
    irq_enable_all();
    wait_for(SPIS);
    irq_disable_all();
    for (uint32_t i = 0; i < SPIS; i++) {
        ordered = ordered && taken[i] == FIRST_SPI + SPIS - 1 - i;
    }
    report(taken_count == SPIS, "%u pending interrupts all arrive: %u", SPIS, taken_count);
    report(ordered, "they arrive by priority");
}

static void test_masks(void)
{
    taken_count = 0;
    gic_disable(FIRST_SPI);
    gic_set_pending(FIRST_SPI);
    irq_enable_all();
    timer_delay_ms(2);
    report(taken_count == 0, "a disabled interrupt does not arrive");
    report(gic_is_pending(FIRST_SPI), "it stays pending");
    gic_set_priority_mask(0x40);
    gic_enable(FIRST_SPI, 0x80);
    timer_delay_ms(2);
    report(taken_count == 0, "the priority mask holds it back");
    gic_set_priority_mask(0xff);
    wait_for(1);
    report(taken_count == 1 && taken[0] == FIRST_SPI, "it arrives when the mask opens");
    irq_disable_all();
}

static void on_nested(uint32_t intid)
{
    record(intid);
    if (intid == FIRST_SPI) {
        report(gic_is_active(FIRST_SPI), "an acknowledged interrupt is active");
        gic_set_pending(FIRST_SPI + 1); /* higher priority */
        irq_enable_all();
        timer_delay_ms(2);
        irq_disable_all();
        report(taken_count == 2, "a higher priority preempts the handler");
    }
}

static void test_preemption(void)
{
    taken_count = 0;
    irq_set_guest_handler(on_nested);
    gic_enable(FIRST_SPI, 0xc0);
    gic_enable(FIRST_SPI + 1, 0x40);
    gic_set_pending(FIRST_SPI);
    irq_enable_all();
    wait_for(2);
    irq_disable_all();
    report(!gic_is_active(FIRST_SPI), "no longer active at the end");
    irq_set_guest_handler(record);
}

static void test_self_sgi(void)
{
    taken_count = 0;
    for (uint32_t sgi = 0; sgi < 16; sgi++) {
        gic_enable(sgi, 0x80);
        gic_send_sgi(sgi, smp_mpidr(0));
    }
    irq_enable_all();
    wait_for(16);
    irq_disable_all();
    report(taken_count == 16, "16 SGIs to itself: %u", taken_count);
}

static void count_sgi(uint32_t intid)
{
    atomic_fetch_add_explicit(&sgis_taken, 1, memory_order_release); /* pairs with sgis_reach */
}

static void secondary(unsigned cpu)
{
    gic_init_cpu();
    gic_enable(3, 0x80);
    atomic_fetch_add_explicit(&sgis_taken, 1, memory_order_release); /* up; pairs with sgis_reach */
    irq_enable_all();
    for (;;) {
        __asm__ volatile("wfi");
    }
}

static bool sgis_reach(unsigned count)
{
    uint64_t end = timer_count() + 10 * timer_hz();

    while (atomic_load_explicit(&sgis_taken, memory_order_acquire) < count) {
        if (timer_count() > end) {
            return false;
        }
    }
    return true;
}

static void test_sgi_to_others(void)
{
    unsigned others = 0;

    irq_set_guest_handler(count_sgi);
    while (others + 1 < GUEST_CPUS_MAX && smp_start(others + 1, secondary) == 0) {
        others++;
    }
    if (others == 0) {
        print("one vCPU: no SGIs to others\n");
        return;
    }
    report(sgis_reach(others), "%u other vCPUs start", others);
    for (unsigned round = 1; round <= 20; round++) {
        for (unsigned cpu = 1; cpu <= others; cpu++) {
            gic_send_sgi(3, smp_mpidr(cpu));
        }
        if (!sgis_reach(others + others * round)) {
            break;
        }
    }
    report(sgis_taken == 21 * others, "each SGI arrives once: %u of %u", sgis_taken, 21 * others);
}

void guest_main(const void *dtb)
{
    irq_set_guest_handler(record);
    gic_init();
    test_more_than_list_registers();
    test_masks();
    test_preemption();
    test_self_sgi();
    test_sgi_to_others();
}
