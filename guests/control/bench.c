/* SPDX-License-Identifier: MIT */
/*
 * Costs, counted: run on one CPU under `-icount shift=0`, where the counter follows the number of
 * instructions. Prints "cost NAME VALUE UNIT" lines; scripts/bench makes a table of them.
 */
#include "bench_pages.h"
#include "store_driver.h"

#include <godwit/ext.h>
#include <guest/exception.h>
#include <guest/gic.h>
#include <guest/hypercall.h>
#include <guest/main.h>
#include <guest/print.h>
#include <guest/report.h>
#include <guest/timer.h>
#include <xen/hvm/dm_op.h>
#include <xen/sched.h>
#include <xen/version.h>

#define NS_PER_S      1000000000ul
#define NULL_CALLS    10000u
#define FAULT_PAGES   3000u
#define CLEAN_REPEATS 64u

static uint8_t bitmap[BITMAP_BYTES] __attribute__((aligned(4096)));
static struct store_driver driver;

/* One instruction is one nanosecond of the emulated clock. */
static uint64_t instructions(uint64_t ticks)
{
    return ticks * (NS_PER_S / timer_hz());
}

static void print_cost(const char *name, uint64_t total, uint64_t count, const char *unit)
{
    uint64_t hundredths = count == 0 ? 0 : total * 100 / count;

    print("cost %s %lu.%02lu %s\n", name, hundredths / 100, hundredths % 100, unit);
}

/* Leaves the CPU to the guest until its round is over. */
static bool finish_asleep(void)
{
    struct store_slot *slot = &driver.mailbox->slots[0];
    uint32_t round = atomic_load_explicit(&slot->round, memory_order_relaxed);

    for (unsigned attempt = 0; attempt < 1000; attempt++) {
        struct sched_poll poll = {.timeout = instructions(timer_count()) + 20000000ul};

        hypercall(__HYPERVISOR_sched_op, SCHEDOP_poll, (uint64_t)&poll, 0, 0, 0);
        if (atomic_load_explicit(&slot->done, memory_order_acquire) == round) {
            return true;
        }
    }
    return false;
}

static uint64_t guest_round(uint32_t kind, uint64_t seed, uint32_t pages)
{
    store_driver_begin(&driver, 0, kind, seed, pages);
    if (!finish_asleep()) {
        report_abort("the guest does not finish its round");
    }
    return instructions(driver.mailbox->slots[0].ticks);
}

static uint64_t timed_clean(void *bits, uint64_t pages)
{
    uint64_t start = timer_count();

    control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_CLEAN, 0, bits, pages);
    return instructions(timer_count() - start);
}

static struct godwit_range ranges[2048];

/* As a toolstack takes a round: all of the guest, in one call if there is room. */
static uint64_t timed_ranges(uint64_t *ret_pages)
{
    struct godwit_dirty_ranges request = {
        .domid = driver.guest.domid,
        .end_gfn = STORE_END_GFN,
        .ranges = (uint64_t)ranges,
    };
    uint64_t start = timer_count();

    *ret_pages = 0;
    while (request.first_gfn < request.end_gfn) {
        request.count = sizeof(ranges) / sizeof(ranges[0]);
        request.pages = 0;
        if (hypercall(GODWIT_HYPERCALL, GODWIT_OP_DIRTY_RANGES, (uint64_t)&request, 0, 0, 0) != 0) {
            report_abort("dirty_ranges fails");
        }
        *ret_pages += request.pages;
    }
    return instructions(timer_count() - start);
}

static void bench_null_call(void)
{
    uint64_t start = timer_count();

    for (unsigned i = 0; i < NULL_CALLS; i++) {
        hypercall(__HYPERVISOR_xen_version, XENVER_version, 0, 0, 0, 0);
    }
    print_cost("null_hypercall", instructions(timer_count() - start), NULL_CALLS, "instructions");
}

static uint32_t distinct_pages(uint64_t seed)
{
    static bool seen[REGION_PAGES];
    uint32_t count = 0;

    for (uint32_t i = 0; i < REGION_PAGES; i++) {
        seen[i] = false;
    }
    for (uint32_t i = 0; i < FAULT_PAGES; i++) {
        uint32_t page = store_plan_page(seed, i);

        count += !seen[page];
        seen[page] = true;
    }
    return count;
}

/* The same round with and without faults; the difference is the faults. */
static void bench_fault(const char *name, uint64_t seed)
{
    uint64_t with_faults = guest_round(STORE_8, seed, FAULT_PAGES);
    uint64_t without = guest_round(STORE_8, seed, FAULT_PAGES);

    print_cost(name, with_faults - without, distinct_pages(seed), "instructions");
}

static void bench_clean(void)
{
    uint64_t dense = 0, idle = 0, call = 0;
    uint64_t dirty = 0;

    for (unsigned i = 0; i < CLEAN_REPEATS / 8; i++) {
        guest_round(STORE_8, 100 + i, FAULT_PAGES);
        control_guest_pause(&driver.guest);
        dense += timed_clean(bitmap, STORE_END_GFN);
        dirty += store_region_count(bitmap);
        control_guest_unpause(&driver.guest);
    }
    control_guest_pause(&driver.guest);
    for (unsigned i = 0; i < CLEAN_REPEATS; i++) {
        idle += timed_clean(bitmap, STORE_END_GFN);
        call += timed_clean(bitmap, 64);
    }
    control_guest_unpause(&driver.guest);
    print_cost("clean_call", call, CLEAN_REPEATS, "instructions");
    print_cost("clean_idle", idle, CLEAN_REPEATS, "instructions");
    print_cost("clean_per_1000_clean_pages_more", (idle - call) * 1000,
               CLEAN_REPEATS * (STORE_END_GFN - 64), "instructions");
    print_cost("clean_per_clean_page", idle, CLEAN_REPEATS * STORE_END_GFN, "instructions");
    print_cost("clean_per_dirty_page", dense - idle / 8, dirty, "instructions");
}

static void bench_ranges(void)
{
    uint64_t dense = 0, idle = 0, dirty = 0, pages;

    for (unsigned i = 0; i < CLEAN_REPEATS / 8; i++) {
        guest_round(STORE_8, 200 + i, FAULT_PAGES);
        control_guest_pause(&driver.guest);
        dense += timed_ranges(&pages);
        dirty += pages;
        control_guest_unpause(&driver.guest);
    }
    control_guest_pause(&driver.guest);
    for (unsigned i = 0; i < CLEAN_REPEATS; i++) {
        idle += timed_ranges(&pages);
    }
    control_guest_unpause(&driver.guest);
    print_cost("ranges_idle", idle, CLEAN_REPEATS, "instructions");
    print_cost("ranges_per_dirty_page", dense - idle / 8, dirty, "instructions");
}

static void bench_switch(void)
{
    uint64_t start = timer_count();

    control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_OFF, 0, NULL, 0);
    print_cost("off_per_page", instructions(timer_count() - start), STORE_GUEST_BYTES >> 12,
               "instructions");
    start = timer_count();
    control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL, 0);
    print_cost("enable_per_page_in_blocks", instructions(timer_count() - start),
               STORE_GUEST_BYTES >> 12, "instructions");
}

/* False: the CPU does not note writes. Logging is off. */
static bool choose(uint8_t tracking, uint8_t split)
{
    struct godwit_logdirty op = {driver.guest.domid, tracking, split, 0};

    return hypercall(GODWIT_HYPERCALL, GODWIT_OP_LOGDIRTY, (uint64_t)&op, 0, 0, 0) == 0;
}

static uint64_t timed_enable(void)
{
    uint64_t start = timer_count();

    control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL, 0);
    return instructions(timer_count() - start);
}

static uint64_t fault_count(void)
{
    struct godwit_stats stats = {.domid = driver.guest.domid, .bytes = sizeof(stats)};

    hypercall(GODWIT_HYPERCALL, GODWIT_OP_STATS, (uint64_t)&stats, 0, 0, 0);
    return stats.faults_first_write + stats.faults_split + stats.faults_spurious;
}

static uint64_t timed_idle_cleans(void)
{
    uint64_t idle = 0;

    control_guest_pause(&driver.guest);
    for (unsigned i = 0; i < CLEAN_REPEATS; i++) {
        idle += timed_clean(bitmap, STORE_END_GFN);
    }
    control_guest_unpause(&driver.guest);
    return idle;
}

/*
 * Blocks split ahead, and then writes that the MMU notes, where it does. What a scanned page costs
 * is what the call costs more than in fault mode, where it scans nothing.
 */
static void bench_eager_and_hardware(void)
{
    const uint64_t pages = STORE_GUEST_BYTES >> 12;
    uint64_t dense = 0, idle, unscanned, dirty = 0, faults;

    control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_OFF, 0, NULL, 0);
    (void)choose(GODWIT_TRACKING_FAULT, GODWIT_SPLIT_EAGER);
    print_cost("eager_split_per_page", timed_enable(), pages, "instructions");
    timed_clean(bitmap, STORE_END_GFN);
    unscanned = timed_idle_cleans();
    control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_OFF, 0, NULL, 0);
    if (!choose(GODWIT_TRACKING_HARDWARE, GODWIT_SPLIT_EAGER)) {
        return;
    }
    print_cost("hardware_eager_split_per_page", timed_enable(), pages, "instructions");
    timed_clean(bitmap, STORE_END_GFN);
    faults = fault_count();
    for (unsigned i = 0; i < CLEAN_REPEATS / 8; i++) {
        guest_round(STORE_8, 300 + i, FAULT_PAGES);
        control_guest_pause(&driver.guest);
        dense += timed_clean(bitmap, STORE_END_GFN);
        dirty += store_region_count(bitmap);
        control_guest_unpause(&driver.guest);
    }
    print_cost("hardware_faults_per_dirty_page", fault_count() - faults, dirty, "faults");
    idle = timed_idle_cleans();
    print_cost("hardware_clean_per_scanned_page", idle - unscanned, CLEAN_REPEATS * pages,
               "instructions");
    print_cost("hardware_clean_per_dirty_page", dense - idle / 8, dirty, "instructions");
}

/*
 * The longest time that a call keeps the CPU when an interrupt waits. One comes in the middle of
 * every step: the hypervisor finds it at its next look, leaves, and the handler here notes how long
 * that took and asks for the next. So a step is entry, work up to one look, exit, and the
 * interrupt.
 */
#define STEP_DELAY_NS 1000u

/* Of QEMU's machine, which the control domain sees as it is. */
#define VIRT_GICD 0x08000000ul
#define VIRT_GICR 0x080a0000ul

static uint64_t step_begin, step_longest, step_count;

static void next_step(void)
{
    timer_set_virt(STEP_DELAY_NS * timer_hz() / NS_PER_S);
    step_begin = timer_count();
}

static void on_irq(uint32_t intid)
{
    uint64_t length = timer_count() - step_begin;

    (void)intid;
    step_longest = length > step_longest ? length : step_longest;
    step_count++;
    next_step();
}

static void begin_steps(void)
{
    step_longest = 0;
    step_count = 0;
    irq_enable_all();
    next_step();
}

static void end_steps(const char *name)
{
    irq_disable_all();
    timer_stop_virt();
    print_cost(name, instructions(step_longest), 1, "instructions");
    print("%s: %lu steps\n", name, step_count);
}

/* Marks that are no vCPU's, in blocks as they are. */
static void mark_guest(void)
{
    struct xen_dm_op_modified_memory_extent extent = {.nr = (STORE_GUEST_BYTES >> 12) - 1,
                                                      .first_pfn = GUEST_RAM0_BASE >> 12};
    struct xen_dm_op op = {.op = XEN_DMOP_modified_memory, .u.modified_memory.nr_extents = 1};
    xen_dm_op_buf_t buffers[2];

    set_xen_guest_handle(buffers[0].h, &op);
    buffers[0].size = sizeof(op);
    set_xen_guest_handle(buffers[1].h, &extent);
    buffers[1].size = sizeof(extent);
    if (hypercall(__HYPERVISOR_dm_op, driver.guest.domid, 2, (uint64_t)buffers, 0, 0) != 0) {
        report_abort("modified_memory fails");
    }
}

static void write_region(void)
{
    guest_round(STORE_8, 400, FAULT_PAGES);
    guest_round(STORE_8, 401, FAULT_PAGES);
    guest_round(STORE_8, 402, FAULT_PAGES);
    guest_round(STORE_8, 403, FAULT_PAGES);
    control_guest_pause(&driver.guest);
}

static void timed_steps_of(uint32_t op, const char *name)
{
    begin_steps();
    control_shadow(driver.guest.domid, op, 0, op == XEN_DOMCTL_SHADOW_OP_CLEAN ? bitmap : NULL,
                   op == XEN_DOMCTL_SHADOW_OP_CLEAN ? STORE_END_GFN : 0);
    end_steps(name);
}

static void bench_steps(void)
{
    uint64_t pages;

    irq_set_guest_handler(on_irq);
    gic_set_bases(VIRT_GICD, VIRT_GICR);
    gic_init();
    gic_enable(TIMER_VIRT_INTID, 0x80);
    control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_OFF, 0, NULL, 0);
    (void)choose(GODWIT_TRACKING_FAULT, GODWIT_SPLIT_LAZY);
    timed_steps_of(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, "longest_step_enable");
    mark_guest();
    timed_steps_of(XEN_DOMCTL_SHADOW_OP_CLEAN, "longest_step_clean_of_blocks");
    write_region();
    mark_guest();
    timed_steps_of(XEN_DOMCTL_SHADOW_OP_CLEAN, "longest_step_clean");
    control_guest_unpause(&driver.guest);
    write_region();
    mark_guest();
    begin_steps();
    timed_ranges(&pages);
    end_steps("longest_step_ranges");
    control_guest_unpause(&driver.guest);
    write_region();
    timed_steps_of(XEN_DOMCTL_SHADOW_OP_OFF, "longest_step_off");
    control_guest_unpause(&driver.guest);
}

static void print_memory(uint64_t free_before)
{
    struct godwit_stats stats = {.domid = driver.guest.domid, .bytes = sizeof(stats)};

    hypercall(GODWIT_HYPERCALL, GODWIT_OP_STATS, (uint64_t)&stats, 0, 0, 0);
    print_cost("hypervisor_memory_per_guest", stats.hv_bytes, 1, "bytes");
    print_cost("hypervisor_memory_per_guest_by_free_pages",
               (free_before - control_free_pages() - driver.guest.ram_pages - 1) << 12, 1, "bytes");
}

void guest_main(const void *dtb)
{
    uint64_t reset_to_here = instructions(timer_count());
    uint64_t free_before = control_free_pages_settled();

    print_cost("reset_to_control_domain", reset_to_here, 1, "instructions");
    bench_null_call();
    bench_pages();
    if (!store_driver_start(&driver, dtb, 1)) {
        return;
    }
    print_memory(free_before);
    (void)choose(GODWIT_TRACKING_FAULT, GODWIT_SPLIT_LAZY);
    control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL, 0);
    bench_fault("write_fault_with_splits", 1);
    control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_CLEAN, 0, bitmap, STORE_END_GFN);
    bench_fault("write_fault", 1);
    bench_clean();
    bench_ranges();
    bench_switch();
    bench_eager_and_hardware();
    bench_steps();
    store_driver_stop(&driver);
}
