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
#define BITMAP_PAGES (RAM_GFN + TRACKING_RAM_PAGES)
#define RANGES       2048u
#define RANGES_MIN   64u /* room that a call asks for */
#define LOOK_NS      4000000u

static uint64_t bitmap[BITMAP_PAGES / 64] __attribute__((aligned(4096)));
static struct godwit_range ranges[RANGES];
static uint32_t range_count;
static bool by_ranges; /* asks by GODWIT_OP_DIRTY_RANGES instead of CLEAN */
static struct control_guest guest;
static struct tracking_mailbox *mailbox;

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

struct tracking_mailbox *target_mailbox(void)
{
    return mailbox;
}

/* Leaves the CPU to the guest, and looks every 4 ms whether it is through. */
void target_run(void)
{
    uint32_t round = atomic_load_explicit(&mailbox->round, memory_order_relaxed);
    uint32_t code;

    control_guest_unpause(&guest);
    while (atomic_load_explicit(&mailbox->done, memory_order_acquire) != round) {
        struct sched_poll poll = {.timeout = target_instructions() + LOOK_NS};

        hypercall(__HYPERVISOR_sched_op, SCHEDOP_poll, (uint64_t)&poll, 0, 0, 0);
        if (control_guest_poll(&guest, &code)) {
            report_abort("the guest has ended");
        }
    }
    control_guest_pause(&guest);
}

static void shadow(uint32_t op, void *bits, uint64_t pages)
{
    struct shadow_result result = control_shadow(guest.domid, op, 0, bits, pages);

    if (result.rc != 0) {
        print("shadow operation %u: %ld\n", op, (long)result.rc);
        report_abort("the log refuses");
    }
}

void target_enable(void)
{
    shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0);
}

void target_disable(void)
{
    shadow(XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0);
}

/* Pages [0, end): guests have a hole of 1 GiB below their RAM. */
static void harvest_below(uint64_t end)
{
    struct godwit_dirty_ranges request = {
        .domid = guest.domid, .end_gfn = end, .ranges = (uint64_t)ranges};

    if (!by_ranges) {
        shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, bitmap, end);
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
    harvest_below(BITMAP_PAGES);
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

/* Only the hole. */
uint32_t target_harvest_smaller(void)
{
    harvest_below(RAM_GFN);
    return TRACKING_RAM_PAGES;
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
    struct godwit_host_info info;

    if (hypercall(GODWIT_HYPERCALL, GODWIT_OP_HOST_INFO, (uint64_t)&info, 0, 0, 0) != 0) {
        report_abort("no information on the host");
    }
    return info.hv_pages << 12;
}

static bool start_guest(const void *dtb, enum control_layout layout, uint32_t vcpus)
{
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
    mailbox = rc == 0 ? control_map(guest.domid, TRACKING_MAILBOX_IPA >> 12) : NULL;
    if (mailbox == NULL) {
        return report(false, "create a guest: %d", rc);
    }
    memset(mailbox, 0, sizeof(*mailbox));
    return true;
}

static void stop_guest(void)
{
    control_unmap(mailbox);
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
        measure(dtb, "blocks", CONTROL_LAYOUT_BLOCKS);
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
