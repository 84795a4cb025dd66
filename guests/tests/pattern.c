/* SPDX-License-Identifier: MIT */
/*
 * Fills all that a guest can see of its machine with values of its own, holds still while it is
 * moved, and looks whether everything is as it was. vCPU 0 holds the patterns, vCPU 1 sleeps in
 * WFI while an interrupt of its own is active, vCPU 2 has been on and off, vCPU 3 was never
 * started, vCPU 4 is in traps, and starts vCPU 5 over and over.
 */
#include "pattern.h"

#include <guest/gic.h>
#include <guest/layout.h>
#include <guest/main.h>
#include <guest/pattern_plan.h>
#include <guest/report.h>
#include <guest/smp.h>
#include <guest/timer.h>
#include <stdatomic.h>
#include <xen/xen.h>

#define MAILBOX       ((void *)(GUEST_RAM0_BASE + GUEST_MAILBOX_OFFSET))
#define NZCV          UINT64_C(0xb0000000)
#define WAKE_SGI      15u
#define SLEEPER_TPIDR UINT64_C(0x7331beef00c0ffee)
#define ESR           UINT64_C(0x9600c3a5)
#define START_MS      4000u /* before the move; on a busy machine all takes long */
#define PATIENCE_MS   400u  /* after it, where a loss shows as something that never comes */
#define SLEEPER_SPI   46u
#define TRAPPER_PRIO  (GUEST_GICV3_GICR0_BASE + 4 * 0x20000ul + 0x10000 + 0x410) /* of SGIs 16.. */

static uint64_t simd_fill[64], simd_found[64], x_found[29];
static uint64_t counter_before, deadline_virt, deadline_phys;
static unsigned patience_ms = START_MS;
static _Atomic unsigned asleep, woken, visits[PATTERN_VCPUS];
static _Atomic unsigned traps, traps_end, traps_result;

static uint64_t simd_value(unsigned word)
{
    return UINT64_C(0x9e3779b97f4a7c15) * (word + 1);
}

/* Takes an SPI that is routed away before its end. */
static bool take_interrupt(unsigned cpu)
{
    gic_route(SLEEPER_SPI, smp_mpidr(cpu));
    gic_enable(SLEEPER_SPI, 0x50);
    gic_set_pending(SLEEPER_SPI);
    bool taken = gic_acknowledge() == SLEEPER_SPI;
    gic_route(SLEEPER_SPI, smp_mpidr(0));
    return taken;
}

static bool end_interrupt(void)
{
    bool active = gic_is_active(SLEEPER_SPI);

    gic_end(SLEEPER_SPI);
    return active && !gic_is_active(SLEEPER_SPI);
}

/* Sleeps with a value in a register that only a wake-up in order finds again. */
static void sleeper(unsigned cpu)
{
    write_sysreg(tpidr_el1, SLEEPER_TPIDR);
    gic_init_cpu();
    bool right = take_interrupt(cpu);
    gic_enable(WAKE_SGI, 0x40);
    atomic_store_explicit(&asleep, 1, memory_order_release); /* pairs with start_others */
    while (!gic_is_pending(WAKE_SGI)) {
        __asm__ volatile("wfi");
    }
    right &= read_sysreg(tpidr_el1) == SLEEPER_TPIDR;
    right &= end_interrupt();
    atomic_store_explicit(&woken, right ? 1 : 2, memory_order_release); /* pairs with wait_for */
}

static void visitor(unsigned cpu)
{
    atomic_fetch_add_explicit(&visits[cpu], 1, memory_order_release); /* pairs with wait_for */
    psci_call(PSCI_CPU_OFF, 0, 0, 0);
}

static bool wait_for(const _Atomic unsigned *what, unsigned value)
{
    uint64_t end = timer_count() + patience_ms * (timer_hz() / 1000);

    while (atomic_load_explicit(what, memory_order_acquire) != value) {
        if (timer_count() > end) {
            return false;
        }
    }
    return true;
}

static bool wait_for_change(const _Atomic unsigned *what, unsigned value)
{
    uint64_t end = timer_count() + patience_ms * (timer_hz() / 1000);

    while (atomic_load_explicit(what, memory_order_acquire) == value && timer_count() < end) {
    }
    return atomic_load_explicit(what, memory_order_acquire) != value;
}

static bool is_off(unsigned cpu)
{
    return (int32_t)psci_call(PSCI_AFFINITY_INFO, smp_mpidr(cpu), 0, 0) == 1;
}

static bool wait_off(unsigned cpu)
{
    uint64_t end = timer_count() + patience_ms * (timer_hz() / 1000);

    while (!is_off(cpu) && timer_count() < end) {
    }
    return is_off(cpu);
}

/* A number in priorities, which have 5 bits each. */
static uint32_t as_priorities(unsigned n)
{
    return (n & 31) << 3 | (n >> 5 & 31) << 11 | (n >> 10 & 31) << 19 | (n >> 15 & 31) << 27;
}

/*
 * Nearly all of its time it is in the hypervisor. Of these traps one must not be lost (what was
 * written is read back) and one must not be done twice (each start of vCPU 5 is one visit).
 */
static void trapper(unsigned cpu)
{
    unsigned wrong = 0, n = 0;

    while (!atomic_load_explicit(&traps_end, memory_order_relaxed)) { /* a flag alone */
        n++;
        for (unsigned i = 0; i < 8; i++) {
            mmio_write32(TRAPPER_PRIO, as_priorities(n * 8 + i));
            wrong += mmio_read32(TRAPPER_PRIO) != as_priorities(n * 8 + i);
        }
        wrong += smp_start(5, visitor) != 0;
        while (!is_off(5)) {
        }
        wrong += atomic_load_explicit(&visits[5], memory_order_acquire) != n; /* visitor() */
        atomic_store_explicit(&traps, n, memory_order_release); /* wait_for_change() */
    }
    atomic_store_explicit(&traps_result, wrong + 1, memory_order_release); /* the same */
}

static void start_others(void)
{
    bool sleeps = smp_start(1, sleeper) == 0 && wait_for(&asleep, 1);

    report(sleeps, "vCPU 1 sleeps");
    report(smp_start(2, visitor) == 0 && wait_for(&visits[2], 1) && wait_off(2),
           "vCPU 2 goes off again");
    report(smp_start(4, trapper) == 0 && wait_for_change(&traps, 0), "vCPU 4 starts vCPU 5");
    timer_delay_ms(2); /* until it is in WFI */
}

/* One timer has fired, the other would have, were it not masked. */
static void timers_fill(void)
{
    deadline_virt = timer_count() - 1000;
    deadline_phys = timer_count() - 2000;
    write_sysreg(cntv_cval_el0, deadline_virt);
    write_sysreg(cntv_ctl_el0, 1);
    write_sysreg(cntp_cval_el0, deadline_phys);
    write_sysreg(cntp_ctl_el0, 3);
    isb();
}

static void timers_check(void)
{
    uint64_t now = timer_count();

    report(read_sysreg(cntv_cval_el0) == deadline_virt && read_sysreg(cntv_ctl_el0) == 5,
           "the timer that has fired: control %lx", read_sysreg(cntv_ctl_el0));
    report(read_sysreg(cntp_cval_el0) == deadline_phys && read_sysreg(cntp_ctl_el0) == 7,
           "the timer that is masked: control %lx", read_sysreg(cntp_ctl_el0));
    report(now >= counter_before && now - counter_before < 60 * timer_hz(),
           "the counter goes on: %lx after %lx", now, counter_before);
}

/* Exceptions write these: so they are filled last and read first. */
static uint64_t hold(void)
{
    uint64_t found[4], nzcv;

    write_sysreg(esr_el1, ESR);
    write_sysreg(far_el1, ~UINT64_C(7));
    write_sysreg(elr_el1, ~UINT64_C(3));
    write_sysreg(spsr_el1, UINT64_C(0x60000345));
    nzcv = pattern_hold(MAILBOX, NZCV, simd_fill, x_found);
    found[0] = read_sysreg(esr_el1);
    found[1] = read_sysreg(far_el1);
    found[2] = read_sysreg(elr_el1);
    found[3] = read_sysreg(spsr_el1);
    pattern_read_simd(simd_found);
    report(found[0] == ESR && found[1] == ~UINT64_C(7) && found[2] == ~UINT64_C(3) &&
               found[3] == 0x60000345,
           "ESR %lx, FAR %lx, ELR %lx, SPSR %lx", found[0], found[1], found[2], found[3]);
    return nzcv;
}

static void check_general(uint64_t nzcv)
{
    unsigned differ = nzcv != NZCV;

    for (unsigned i = 0; i < 29; i++) {
        differ += x_found[i] != UINT64_C(0x0101010101010101) * (i + 2);
    }
    report(differ == 0, "of X2 to X30 and NZCV %u differ", differ);
    differ = 0;
    for (unsigned i = 0; i < 64; i++) {
        differ += simd_found[i] != simd_value(i);
    }
    report(differ == 0, "of V0 to V31 %u halves differ", differ);
}

static void check_trapper(void)
{
    /* Relaxed: any value will do. */
    report(wait_for_change(&traps, atomic_load_explicit(&traps, memory_order_relaxed)),
           "vCPU 4 goes on");
    atomic_store_explicit(&traps_end, 1, memory_order_relaxed); /* a flag alone */
    report(wait_for(&traps_result, 1), "no trap of vCPU 4 was lost or came twice");
}

static void check_others(void)
{
    check_trapper();
    gic_send_sgi(WAKE_SGI, smp_mpidr(1));
    report(wait_for(&woken, 1), "vCPU 1 wakes, with its registers");
    report(is_off(2) && is_off(3), "vCPUs 2 and 3 are off");
    report(smp_start(2, visitor) == 0 && wait_for(&visits[2], 2), "vCPU 2 starts again");
    report(smp_start(3, visitor) == 0 && wait_for(&visits[3], 1), "vCPU 3 starts");
}

void guest_main(const void *dtb)
{
    uint64_t nzcv;

    ((volatile uint32_t *)MAILBOX)[PATTERN_GO / 4] = 0;
    for (unsigned i = 0; i < 64; i++) {
        simd_fill[i] = simd_value(i);
    }
    gic_init();
    start_others();
    timers_fill();
    pattern_devices_fill();
    pattern_registers_fill();
    counter_before = timer_count();
    nzcv = hold();
    patience_ms = PATIENCE_MS;
    check_general(nzcv);
    timers_check();
    pattern_registers_check();
    pattern_devices_check();
    pattern_devices_take();
    check_others();
}
