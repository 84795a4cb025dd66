/* SPDX-License-Identifier: MIT */
/* The guest on Godwit: this program takes the place of Linux in the control domain. */
#include "../../guests/control/control.h"
#include "scenario.h"
#include "target.h"

#include <godwit/ext.h>
#include <guest/hypercall.h>
#include <guest/main.h>
#include <guest/print.h>
#include <guest/report.h>
#include <guest/timer.h>
#include <printf.h>
#include <string.h>
#include <xen/sched.h>

#define RAM_GFN      (GUEST_RAM0_BASE >> 12)
#define IDLE_PAGES   (3 * TRACKING_RAM_PAGES)
#define BITMAP_PAGES (RAM_GFN + IDLE_PAGES)
#define RANGES       2048u
#define RANGES_MIN   64u /* room that a call asks for */
#define LOOK_NS      4000000u

static uint64_t bitmap[BITMAP_PAGES / 64] __attribute__((aligned(4096)));
static struct godwit_range ranges[RANGES];
static uint32_t range_count;
static bool by_ranges; /* asks by GODWIT_OP_DIRTY_RANGES instead of CLEAN */
static struct control_guest guest;
static struct control_guest idle_guest;        /* never runs; it is logged all the time */
static uint64_t enable_cost, idle_enable_cost; /* of the last guest in blocks, and of that one */

void target_print(const char *format, ...)
{
    char line[160];
    va_list args;

    va_start(args, format);
    vsnprintk(line, sizeof(line), format, args);
    va_end(args);
    print("%s", line);
}

/* One instruction is one nanosecond of the emulated clock. */
uint64_t target_instructions(void)
{
    return timer_count() * 16;
}

static struct tracking_mailbox *map_mailbox(void)
{
    struct tracking_mailbox *mailbox = control_map(guest.domid, TRACKING_MAILBOX_IPA >> 12);

    if (mailbox == NULL) {
        report_abort("cannot map the guest's mailbox");
    }
    return mailbox;
}

/*
 * Leaves the CPU to the guest, and looks every 4 ms whether it is through. The mailbox is mapped no
 * longer than that: a page that the control domain may write counts as dirty in every harvest.
 */
uint64_t target_round(enum tracking_kind kind, uint32_t stride, uint32_t count)
{
    struct tracking_mailbox *mailbox = map_mailbox();
    uint64_t ticks;
    uint32_t code;

    tracking_ask(mailbox, kind, stride, count);
    control_guest_unpause(&guest);
    while (atomic_load_explicit(&mailbox->done, memory_order_acquire) != mailbox->round) {
        struct sched_poll poll = {.timeout = target_instructions() + LOOK_NS};

        hypercall(__HYPERVISOR_sched_op, SCHEDOP_poll, (uint64_t)&poll, 0, 0, 0);
        if (control_guest_poll(&guest, &code)) {
            report_abort("the guest has ended");
        }
    }
    control_guest_pause(&guest);
    ticks = mailbox->ticks;
    control_unmap(mailbox);
    return ticks;
}

static void shadow(domid_t domid, uint32_t op, void *bits, uint64_t pages)
{
    struct shadow_result result = control_shadow(domid, op, 0, bits, pages);

    if (result.rc != 0) {
        print("shadow operation %u: %ld\n", op, (long)result.rc);
        report_abort("the log refuses");
    }
}

static uint64_t timed_enable(domid_t domid)
{
    uint64_t start = target_instructions();

    shadow(domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0);
    return target_instructions() - start;
}

void target_enable(void)
{
    enable_cost = timed_enable(guest.domid);
}

void target_disable(void)
{
    shadow(guest.domid, XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0);
}

/* From address 0, as CLEAN does: guests have a hole of 1 GiB below their RAM. */
static void harvest(domid_t domid, uint64_t end)
{
    struct godwit_dirty_ranges request = {.domid = domid, .end_gfn = end};

    if (!by_ranges) {
        shadow(domid, XEN_DOMCTL_SHADOW_OP_CLEAN, bitmap, end);
        return;
    }
    range_count = 0;
    while (request.first_gfn != end) {
        request.ranges = (uint64_t)(ranges + range_count);
        request.count = RANGES - range_count;
        if (request.count < RANGES_MIN ||
            hypercall(GODWIT_HYPERCALL, GODWIT_OP_DIRTY_RANGES, (uint64_t)&request, 0, 0, 0) != 0) {
            report_abort("no ranges of dirty pages");
        }
        range_count += request.count;
    }
}

void target_harvest(void)
{
    harvest(guest.domid, RAM_GFN + TRACKING_RAM_PAGES);
}

const uint64_t *target_answer(void)
{
    if (by_ranges) {
        memset(bitmap, 0, sizeof(bitmap));
        for (uint32_t i = 0; i < range_count; i++) {
            for (uint64_t n = 0; n < ranges[i].pages; n++) {
                uint64_t gfn = ranges[i].first_gfn + n;

                bitmap[gfn / 64] |= UINT64_C(1) << gfn % 64;
            }
        }
    }
    return bitmap + RAM_GFN / 64;
}

uint32_t target_harvest_clean(bool larger)
{
    uint32_t pages = larger ? IDLE_PAGES : TRACKING_RAM_PAGES;

    harvest(idle_guest.domid, RAM_GFN + pages);
    return pages;
}

uint64_t target_faults(void)
{
    struct godwit_stats stats = {.domid = guest.domid, .bytes = sizeof(stats)};

    if (hypercall(GODWIT_HYPERCALL, GODWIT_OP_STATS, (uint64_t)&stats, 0, 0, 0) != 0) {
        report_abort("no statistics");
    }
    return stats.faults_first_write + stats.faults_spurious + stats.faults_split;
}

/* All that the hypervisor has allocated: there is no other guest. */
uint64_t target_memory(void)
{
    struct godwit_host_info info = {0};

    if (hypercall(GODWIT_HYPERCALL, GODWIT_OP_HOST_INFO, (uint64_t)&info, 0, 0, 0) != 0) {
        report_abort("no information on the host");
    }
    return info.hv_pages << 12;
}

static bool start_guest(const void *dtb, enum control_layout layout, uint32_t vcpus)
{
    struct tracking_mailbox *mailbox;
    const void *program;
    size_t bytes;
    int rc = control_ramdisk(dtb, &program, &bytes);

    if (rc == 0) {
        rc = control_guest_create_as(&guest, TRACKING_RAM_BYTES, vcpus, layout);
    }
    if (rc == 0) {
        rc = control_guest_load(&guest, program, bytes);
    }
    guest.quiet = true;
    if (!report(rc == 0, "create a guest: %d", rc)) {
        return false;
    }
    mailbox = map_mailbox();
    memset(mailbox, 0, sizeof(*mailbox));
    control_unmap(mailbox);
    return true;
}

static void start_idle_guest(void)
{
    int rc = control_guest_create(&idle_guest, (uint64_t)IDLE_PAGES << 12, 1);

    if (rc != 0) {
        report_abort("no memory for a guest that does nothing");
    }
    idle_enable_cost = timed_enable(idle_guest.domid);
}

/* What enabling costs a larger guest beyond what it costs a smaller one, in blocks both. */
static void print_enable_of_more(void)
{
    uint64_t cost = idle_enable_cost - enable_cost;
    uint64_t millionths = cost * 1000000 / (IDLE_PAGES - TRACKING_RAM_PAGES);

    target_print("cost blocks enable_per_page_more %lu.%06lu instructions\n",
                 (unsigned long)(millionths / 1000000), (unsigned long)(millionths % 1000000));
}

static void stop_guest(void)
{
    report(control_guest_destroy(&guest) == 0, "destroy the guest");
}

static void measure(const void *dtb, const char *series, enum control_layout layout)
{
    if (start_guest(dtb, layout, 1)) {
        report(scenario_run(series), "%s: the log is exact", series);
        stop_guest();
    }
}

/* "ranges=1": by ranges too. "vcpus=N": only how faults grow with their number. */
void guest_main(const void *dtb)
{
    uint32_t vcpus = (uint32_t)control_option(dtb, "vcpus", 0);

    if (vcpus == 0) {
        start_idle_guest();
        measure(dtb, "blocks", CONTROL_LAYOUT_BLOCKS);
        print_enable_of_more();
        measure(dtb, "pages", CONTROL_LAYOUT_PAGES);
    }
    if (vcpus == 0 && control_option(dtb, "ranges", 0) != 0) {
        by_ranges = true;
        measure(dtb, "ranges/blocks", CONTROL_LAYOUT_BLOCKS);
        measure(dtb, "ranges/pages", CONTROL_LAYOUT_PAGES);
    }
    if (vcpus != 0 && start_guest(dtb, CONTROL_LAYOUT_PAGES, vcpus)) {
        report(scenario_vcpus("together", vcpus), "the log is exact");
        stop_guest();
    }
}
