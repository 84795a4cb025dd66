/* SPDX-License-Identifier: MIT */
/*
 * A caller that never comes back: CPU 0 is in the middle of a long CLEAN, or of
 * GODWIT_OP_DIRTY_RANGES, when its HVC instruction turns into a nop, so it never executes the call
 * again. CPU 1 looks on: busy at first, free after a second or as soon as CPU 0 makes another call,
 * and not one dirty page is lost.
 */
#include "store_driver.h"

#include <godwit/ext.h>
#include <guest/exception.h>
#include <guest/gic.h>
#include <guest/hypercall.h>
#include <guest/main.h>
#include <guest/report.h>
#include <guest/smp.h>
#include <guest/timer.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/hvm/dm_op.h>

#define LONG_PAGES  (UINT64_C(64) << 20) /* 8 MiB of bitmap: longer than a time slice */
#define ROUNDS      3u
#define TRIES       20000u
#define STORE_PAGES 300u
#define NOP         0xd503201fu
#define DELAYS      200u

/* All words that one piece takes; with the console's page before them the call has two. */
#define MARKED_PAGES ((STORE_GUEST_BYTES >> 12) - 1)

/* Of QEMU's machine, which the control domain sees as it is. */
#define VIRT_GICD 0x08000000ul
#define VIRT_GICR 0x080a0000ul

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

#define OP_CLEAN XEN_DOMCTL_SHADOW_OP_CLEAN
#define OP_PEEK  XEN_DOMCTL_SHADOW_OP_PEEK

/* domctl(op): returns op itself when the HVC was not executed again. */
int64_t vanishing_domctl(struct xen_domctl *op) __attribute__((visibility("hidden")));
extern uint32_t vanishing_site __attribute__((visibility("hidden")));
__asm__(".globl vanishing_domctl, vanishing_site\n"
        ".hidden vanishing_domctl, vanishing_site\n"
        "vanishing_domctl: mov x16, #36\n"
        "vanishing_site: hvc #0xEA1\n"
        "ret\n");

/* The same for GODWIT_OP_DIRTY_RANGES: op is returned. */
int64_t vanishing_godwit(uint64_t op, void *request) __attribute__((visibility("hidden")));
extern uint32_t godwit_site __attribute__((visibility("hidden")));
__asm__(".globl vanishing_godwit, godwit_site\n"
        ".hidden vanishing_godwit, godwit_site\n"
        "vanishing_godwit: mov x16, #" TEXT(GODWIT_HYPERCALL) "\n"
                                                              "godwit_site: hvc #0xEA1\n"
                                                              "ret\n");

static uint8_t long_bitmap[LONG_PAGES / 8] __attribute__((aligned(4096)));
static uint8_t seen[BITMAP_BYTES], last[BITMAP_BYTES];
static struct store_driver driver;

/* What CPU 1 wants of CPU 0. */
static volatile enum { IDLE, CLEAN_ON, RANGES_ONCE, CALL_ONCE } wanted;
static volatile uint64_t delay_ticks; /* of CPU 0's timer, before RANGES_ONCE */
static volatile bool vanished;

static void write_site(uint32_t *site, uint32_t instruction)
{
    *(volatile uint32_t *)site = instruction;
    /* Clean to where instructions are fetched, then drop the old one everywhere. */
    __asm__ volatile("dc cvau, %0\n dsb ish\n ic ivau, %0\n dsb ish\n isb" ::"r"(site) : "memory");
}

/* CPU 0: cleans as long as it is asked to, and keeps what was reported to it. */
static void clean_until_vanished(void)
{
    struct xen_domctl op = {.cmd = XEN_DOMCTL_shadow_op,
                            .interface_version = XEN_DOMCTL_INTERFACE_VERSION,
                            .domain = driver.guest.domid};

    while (wanted == CLEAN_ON) {
        int64_t result;

        op.u.shadow_op.op = OP_CLEAN;
        op.u.shadow_op.pages = LONG_PAGES;
        set_xen_guest_handle(op.u.shadow_op.dirty_bitmap, long_bitmap);
        result = vanishing_domctl(&op);
        if (result == (int64_t)(uintptr_t)&op) {
            vanished = true;
            return;
        }
        for (size_t i = 0; result == 0 && i < sizeof(seen); i++) {
            seen[i] |= long_bitmap[i];
        }
    }
}

/* CPU 0: the interrupt that ended a piece of the call. */
static void on_irq(uint32_t intid)
{
    (void)intid;
    timer_stop_virt();
    if (read_sysreg(elr_el1) == (uint64_t)&godwit_site) {
        write_site(&godwit_site, NOP);
    }
}

static void mark_guest(void)
{
    struct xen_dm_op_modified_memory_extent extents[] = {
        {.nr = 1, .first_pfn = VUART_GFN},
        {.nr = MARKED_PAGES, .first_pfn = GUEST_RAM0_BASE >> 12},
    };
    struct xen_dm_op op = {.op = XEN_DMOP_modified_memory, .u.modified_memory.nr_extents = 2};
    xen_dm_op_buf_t buffers[2];

    set_xen_guest_handle(buffers[0].h, &op);
    buffers[0].size = sizeof(op);
    set_xen_guest_handle(buffers[1].h, extents);
    buffers[1].size = sizeof(extents);
    if (hypercall(__HYPERVISOR_dm_op, driver.guest.domid, 2, (uint64_t)buffers, 0, 0) != 0) {
        report_abort("modified_memory fails");
    }
}

/* CPU 0: asks for ranges and takes an interrupt after delay_ticks, in the middle or not. */
static void ask_for_ranges(void)
{
    static struct godwit_range ranges[64];
    struct godwit_dirty_ranges request = {
        .domid = driver.guest.domid,
        .end_gfn = STORE_END_GFN + 64,
        .ranges = (uint64_t)ranges,
        .count = 64,
    };
    uint32_t hvc = godwit_site;
    int64_t result;

    mark_guest();
    irq_enable_all();
    timer_set_virt(delay_ticks);
    result = vanishing_godwit(GODWIT_OP_DIRTY_RANGES, &request);
    irq_disable_all();
    timer_stop_virt();
    write_site(&godwit_site, hvc);
    vanished = result == GODWIT_OP_DIRTY_RANGES;
}

static struct shadow_result peek(void)
{
    return control_shadow(driver.guest.domid, OP_PEEK, 0, NULL, 64);
}

/* CPU 1: waits until CPU 0 is interrupted in a CLEAN, and takes its HVC away. */
static bool strand_other_cpu(uint64_t seed)
{
    uint32_t hvc = vanishing_site;

    memset(seen, 0, sizeof(seen));
    vanished = false;
    wanted = CLEAN_ON;
    if (!store_driver_round(&driver, 0, STORE_8, seed, STORE_PAGES)) {
        return false;
    }
    for (uint32_t i = 0; i < TRIES; i++) {
        if (peek().rc != -XEN_EBUSY) {
            continue;
        }
        write_site(&vanishing_site, NOP);
        for (uint32_t ms = 0; ms < 2000 && !vanished; ms += 10) {
            timer_delay_ms(10);
        }
        wanted = IDLE;
        write_site(&vanishing_site, hvc);
        return vanished;
    }
    return false;
}

/* What CPU 0 was told, and what is still in the log, are together all that was written. */
static void judge(const char *what, uint64_t seed)
{
    struct store_verdict verdict;
    struct shadow_result result =
        control_shadow(driver.guest.domid, OP_CLEAN, 0, last, STORE_END_GFN);

    report(result.rc == 0, "%s: a second caller may clean: %ld", what, result.rc);
    for (size_t i = 0; i < sizeof(seen); i++) {
        last[i] |= seen[i];
    }
    verdict = store_driver_judge(last, STORE_8, seed, STORE_PAGES);
    report(verdict.lost == 0 && verdict.extra == 0, "%s: %u pages lost, %u too many", what,
           verdict.lost, verdict.extra);
}

/* CPU 1: lets CPU 0 ask for ranges until it is interrupted in the middle. */
static bool strand_in_ranges(void)
{
    for (uint64_t i = 1; i <= DELAYS; i++) {
        delay_ticks = i % 50 * timer_hz() / 100000; /* up to 0.5 ms */
        wanted = RANGES_ONCE;
        while (wanted == RANGES_ONCE) {
        }
        /* It may have been interrupted before the call, or after it. */
        if (vanished && peek().rc == -XEN_EBUSY) {
            return true;
        }
        control_shadow(driver.guest.domid, OP_CLEAN, 0, last, STORE_END_GFN);
    }
    return false;
}

/* What the call had taken is in the log again: all that was marked before it. */
static void judge_ranges(const char *what)
{
    struct shadow_result result =
        control_shadow(driver.guest.domid, OP_CLEAN, 0, last, STORE_END_GFN);
    uint64_t lost = 0;

    for (uint64_t i = 0; i < MARKED_PAGES; i++) {
        lost += !bit_is_set(last, (GUEST_RAM0_BASE >> 12) + i);
    }
    report(result.rc == 0 && lost == 0, "%s: a second caller may clean: %ld, %lu pages lost", what,
           (long)result.rc, lost);
}

static void watch_ranges(void)
{
    struct godwit_dirty_ranges request = {.domid = driver.guest.domid,
                                          .end_gfn = STORE_END_GFN,
                                          .ranges = (uint64_t)last,
                                          .count = 64};

    report(strand_in_ranges(), "a caller vanishes in the middle of GODWIT_OP_DIRTY_RANGES");
    report(hypercall(GODWIT_HYPERCALL, GODWIT_OP_DIRTY_RANGES, (uint64_t)&request, 0, 0, 0) ==
               -XEN_EBUSY,
           "its work is in the way of others: EBUSY");
    timer_delay_ms(1200);
    judge_ranges("ranges, after a second");

    report(strand_in_ranges(), "a caller of ranges vanishes again");
    wanted = CALL_ONCE;
    while (wanted == CALL_ONCE) {
    }
    judge_ranges("ranges, after another call of its own");
}

static void watch(unsigned cpu)
{
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        report(strand_other_cpu(seed), "a caller vanishes in the middle of CLEAN");
        report(peek().rc == -XEN_EBUSY, "its work is in the way of others: EBUSY");
        timer_delay_ms(1200);
        judge("after a second", seed);

        report(strand_other_cpu(seed + 100), "a caller vanishes again");
        wanted = CALL_ONCE;
        while (wanted == CALL_ONCE) {
        }
        judge("after another call of its own", seed + 100);
    }
    watch_ranges();
    report(strand_other_cpu(999), "a caller vanishes before OFF");
    report(control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_OFF, 0, NULL, 0).rc == 0,
           "OFF by another");
    store_driver_stop(&driver);
    report_finish();
}

void guest_main(const void *dtb)
{
    if (!store_driver_start(&driver, dtb, 1)) {
        return;
    }
    report(
        control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL, 0).rc ==
            0,
        "ENABLE");
    irq_set_guest_handler(on_irq);
    gic_set_bases(VIRT_GICD, VIRT_GICR);
    gic_init();
    gic_enable(TIMER_VIRT_INTID, 0x80);
    report(smp_start(1, watch) == 0, "start a second vCPU");
    for (;;) { /* no other hypercall than the one that is asked for */
        if (wanted == CLEAN_ON && !vanished) {
            clean_until_vanished();
        } else if (wanted == RANGES_ONCE) {
            ask_for_ranges();
            wanted = IDLE;
        } else if (wanted == CALL_ONCE) {
            hypercall(__HYPERVISOR_xen_version, 0, 0, 0, 0, 0);
            wanted = IDLE;
        }
    }
}
