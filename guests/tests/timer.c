/* SPDX-License-Identifier: MIT */
/* Virtual and physical timer: both fire, both count the same time, neither fires early. */
#include <guest/exception.h>
#include <guest/gic.h>
#include <guest/main.h>
#include <guest/report.h>
#include <guest/timer.h>

static volatile unsigned virt_fired, phys_fired;

static void on_irq(uint32_t intid)
{
    if (intid == TIMER_VIRT_INTID) {
        virt_fired++;
        timer_stop_virt();
    } else if (intid == TIMER_PHYS_INTID) {
        phys_fired++;
        write_sysreg(cntp_ctl_el0, 0);
        isb();
    }
}

static void sleep_until(volatile unsigned *fired, unsigned count)
{
    uint64_t end = timer_count() + timer_hz() * 5;

    while (*fired < count && timer_count() < end) {
        irq_disable_all();
        if (*fired < count) {
            __asm__ volatile("wfi");
        }
        irq_enable_all();
    }
}

static void test_virt(void)
{
    bool early = false;

    for (unsigned i = 1; i <= 20; i++) {
        uint64_t start = timer_count();

        timer_set_virt(timer_hz() / 1000);
        sleep_until(&virt_fired, i);
        early = early || timer_count() - start < timer_hz() / 1000;
    }
    report(virt_fired == 20, "the virtual timer fires each time: %u", virt_fired);
    report(!early, "and never early");
}

static void test_phys(void)
{
    uint64_t start = read_sysreg(cntpct_el0);

    for (unsigned i = 1; i <= 20; i++) {
        write_sysreg(cntp_tval_el0, timer_hz() / 1000);
        write_sysreg(cntp_ctl_el0, 1);
        sleep_until(&phys_fired, i);
    }
    report(phys_fired == 20, "the physical timer fires each time: %u", phys_fired);
    report(read_sysreg(cntpct_el0) - start >= 20 * (timer_hz() / 1000), "and never early");
}

static void test_counters(void)
{
    uint64_t virt = timer_count();
    uint64_t phys = read_sysreg(cntpct_el0);
    uint64_t again = timer_count();

    report(virt <= phys && phys <= again, "both counters show one time: %lu %lu %lu", virt, phys,
           again);
    report(virt < timer_hz() * 3600, "time starts with the guest");
}

static void test_masked(void)
{
    unsigned before = virt_fired;

    write_sysreg(cntv_cval_el0, 0);
    write_sysreg(cntv_ctl_el0, 3); /* enabled, masked */
    isb();
    timer_delay_ms(2);
    report(virt_fired == before, "a masked timer does not fire");
    report(read_sysreg(cntv_ctl_el0) == 7, "its status shows");
    write_sysreg(cntv_ctl_el0, 1);
    isb();
    sleep_until(&virt_fired, before + 1);
    report(virt_fired == before + 1, "it fires when the mask opens");
}

void guest_main(const void *dtb)
{
    irq_set_guest_handler(on_irq);
    gic_init();
    gic_enable(TIMER_VIRT_INTID, 0x80);
    gic_enable(TIMER_PHYS_INTID, 0x80);
    irq_enable_all();
    test_counters();
    test_virt();
    test_phys();
    test_masked();
}
