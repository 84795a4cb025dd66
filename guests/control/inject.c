/* SPDX-License-Identifier: MIT */
/*
 * A CLEAN that meets trouble: output that cannot be written, page by page; another caller; a pause,
 * an OFF, and at last the end of the guest, at moments spread over the whole call. No bit of the
 * log may get lost, and nothing may stay busy or paused.
 */
#include "store_driver.h"

#include <guest/hypercall.h>
#include <guest/main.h>
#include <guest/report.h>
#include <guest/smp.h>
#include <guest/timer.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/hvm/dm_op.h>
#include <xen/hvm/hvm_op.h>
#include <xen/memory.h>

#define LONG_PAGES  (UINT64_C(32) << 20) /* 4 MiB of bitmap: longer than a time slice */
#define STORE_PAGES 300u
#define MOMENTS     24u
#define MEETINGS    40u                      /* times as many tries for two callers to meet */
#define RO_PAGE_GFN ((REGION_IPA >> 12) - 1) /* no page of the region */

#define OP_OFF    XEN_DOMCTL_SHADOW_OP_OFF
#define OP_ENABLE XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY
#define OP_CLEAN  XEN_DOMCTL_SHADOW_OP_CLEAN
#define OP_PEEK   XEN_DOMCTL_SHADOW_OP_PEEK

static struct store_driver driver;
static uint8_t bitmap[BITMAP_BYTES + 4096] __attribute__((aligned(4096)));
static uint8_t long_bitmap[2][LONG_PAGES / 8] __attribute__((aligned(4096)));
static uint8_t seen[BITMAP_BYTES];
static uint64_t seed = 1;

/* What CPU 1 does, after waiting that many ticks; it then becomes IDLE again. */
static volatile enum { IDLE, CLEAN_TOO, PAUSE, SWITCH_OFF, DESTROY } wanted;
static volatile uint64_t delay_ticks;
static volatile int64_t other_result;
static volatile uint32_t other_busy;

static struct shadow_result shadow(uint32_t op, void *bits, uint64_t pages)
{
    return control_shadow(driver.guest.domid, op, 0, bits, pages);
}

static void store(void)
{
    store_driver_round(&driver, 0, STORE_8, ++seed, STORE_PAGES);
}

static bool has_all(const uint8_t *bits)
{
    struct store_verdict verdict = store_driver_judge(bits, STORE_8, seed, STORE_PAGES);

    return verdict.lost == 0 && verdict.extra == 0;
}

static void keep(const uint8_t *bits)
{
    for (size_t i = 0; i < sizeof(seen); i++) {
        seen[i] |= bits[i];
    }
}

static bool own_page(uint64_t gfn, bool present)
{
    xen_pfn_t extent = gfn;
    struct xen_memory_reservation reservation = {.nr_extents = 1, .domid = DOMID_SELF};

    if (present) {
        return control_populate(DOMID_SELF, gfn, 0) == 1;
    }
    set_xen_guest_handle(reservation.extent_start, &extent);
    return control_memory_op(XENMEM_decrease_reservation, &reservation) == 1;
}

/*
 * One page of the output after the other is not there: before the pages that were written, among
 * them, and long after them, when their bits have been copied out already.
 */
static void test_output_that_is_not_there(void)
{
    const unsigned pages = 2 * (BITMAP_BYTES / 4096 + 1);
    unsigned refused = 0, kept = 0;

    store();
    for (unsigned n = 0; n < pages; n++) {
        uint64_t gfn = ((uint64_t)long_bitmap[0] >> 12) + n;

        if (!own_page(gfn, false)) {
            report(false, "page %u of the output cannot be given up", n);
            return;
        }
        refused += shadow(OP_CLEAN, long_bitmap[0], pages * 4096ul * 8).rc == -XEN_EFAULT;
        own_page(gfn, true);
        kept += shadow(OP_PEEK, bitmap, STORE_END_GFN).rc == 0 && has_all(bitmap);
    }
    report(refused == pages, "%u of %u pages of the output that are missing give EFAULT", refused,
           pages);
    report(kept == pages, "and %u times all bits are back", kept);
    report(shadow(OP_CLEAN, bitmap, STORE_END_GFN).rc == 0 && has_all(bitmap),
           "the next CLEAN has them all");
}

static int64_t set_type(uint16_t mem_type, uint64_t gfn)
{
    struct xen_dm_op op = {.op = XEN_DMOP_set_mem_type,
                           .u.set_mem_type = {.nr = 1, .mem_type = mem_type, .first_pfn = gfn}};
    struct xen_dm_op_buf buffer = {.size = sizeof(op)};

    set_xen_guest_handle(buffer.h, &op);
    return hypercall(__HYPERVISOR_dm_op, driver.guest.domid, 1, (uint64_t)&buffer, 0, 0);
}

/* The caller's structure can be read and not written: the last copy of the call fails. */
static void test_argument_that_is_read_only(void)
{
    struct xen_domctl *op = control_map(driver.guest.domid, RO_PAGE_GFN);
    int64_t rc;

    if (op == NULL) {
        report(false, "map a page for the argument");
        return;
    }
    memset(op, 0, sizeof(*op));
    op->cmd = XEN_DOMCTL_shadow_op;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = driver.guest.domid;
    op->u.shadow_op.op = OP_CLEAN;
    op->u.shadow_op.pages = STORE_END_GFN;
    set_xen_guest_handle(op->u.shadow_op.dirty_bitmap, bitmap);
    control_unmap(op);
    report(set_type(HVMMEM_ram_ro, RO_PAGE_GFN) == 0, "make it read-only");
    op = control_map(driver.guest.domid, RO_PAGE_GFN);
    store();
    rc = hypercall(__HYPERVISOR_domctl, (uint64_t)op, 0, 0, 0, 0);
    report(rc == -XEN_EFAULT, "results that cannot be returned: %ld", rc);
    control_unmap(op);
    report(set_type(HVMMEM_ram_rw, RO_PAGE_GFN) == 0, "make it writable");
    report(shadow(OP_CLEAN, bitmap, STORE_END_GFN).rc == 0 && has_all(bitmap),
           "all bits are back after the whole bitmap was written");
}

static void begin_other(int what, uint64_t ticks)
{
    delay_ticks = ticks;
    other_busy = 0;
    wanted = what;
}

static int64_t end_other(void)
{
    while (wanted != IDLE) {
    }
    return other_result;
}

/* How long a CLEAN of the long bitmap takes. */
static uint64_t measure_clean(void)
{
    uint64_t start = timer_count();

    shadow(OP_CLEAN, long_bitmap[0], LONG_PAGES);
    return timer_count() - start;
}

/*
 * Two callers clean at once: each gets what it takes or EBUSY, and between them they get all. A
 * busy emulator may run one CPU after the other for long: they try until they have met.
 */
static void test_two_callers(uint64_t length)
{
    uint32_t busy = 0, lost = 0, odd = 0, rounds = 0;

    for (; rounds < MOMENTS || (busy == 0 && rounds < MEETINGS * MOMENTS); rounds++) {
        int64_t ours, theirs;

        memset(seen, 0, sizeof(seen));
        store();
        begin_other(CLEAN_TOO, length * (rounds % MOMENTS) / MOMENTS);
        ours = shadow(OP_CLEAN, long_bitmap[0], LONG_PAGES).rc;
        theirs = end_other();
        odd += (ours != 0 && ours != -XEN_EBUSY) || (theirs != 0 && theirs != -XEN_EBUSY) ||
               (ours != 0 && theirs != 0);
        busy += ours == -XEN_EBUSY || theirs == -XEN_EBUSY;
        if (ours == 0) {
            keep(long_bitmap[0]);
        }
        if (theirs == 0) {
            keep(long_bitmap[1]);
        }
        lost += !has_all(seen);
    }
    report(odd == 0, "two callers: %u odd answers in %u rounds", odd, rounds);
    report(lost == 0, "two callers: %u rounds with lost pages", lost);
    report(busy > 0, "two callers: one was refused in %u of %u rounds", busy, rounds);
}

static void test_pause(uint64_t length)
{
    uint32_t bad = 0;

    for (unsigned i = 0; i < MOMENTS; i++) {
        int64_t rc;

        store();
        begin_other(PAUSE, length * i / MOMENTS);
        rc = shadow(OP_CLEAN, long_bitmap[0], LONG_PAGES).rc;
        bad += end_other() != 0 || rc != 0 || !has_all(long_bitmap[0]);
    }
    store(); /* the guest still runs */
    report(bad == 0, "pause and unpause during a CLEAN: %u of %u went wrong", bad, MOMENTS);
}

static void test_off(uint64_t length)
{
    uint32_t bad = 0, useless = 0;

    for (unsigned i = 0; i < MOMENTS; i++) {
        int64_t rc;

        begin_other(SWITCH_OFF, length * i / MOMENTS);
        rc = shadow(OP_CLEAN, long_bitmap[0], LONG_PAGES).rc;
        bad += end_other() != 0 || (rc != 0 && rc != -XEN_EBUSY);
        bad += shadow(OP_ENABLE, NULL, 0).rc != 0;
        store();
        useless += shadow(OP_CLEAN, bitmap, STORE_END_GFN).rc != 0 || !has_all(bitmap);
    }
    report(bad == 0, "OFF during a CLEAN: %u of %u went wrong", bad, MOMENTS);
    report(useless == 0, "OFF during a CLEAN: %u logs were of no use after it", useless);
}

static void test_destroy(uint64_t length)
{
    int64_t rc;

    store();
    control_unmap(driver.mailbox);
    begin_other(DESTROY, length / 2);
    do {
        rc = shadow(OP_CLEAN, long_bitmap[0], LONG_PAGES).rc;
    } while (rc == 0 || rc == -XEN_EBUSY); /* busy: it was taken from us in the middle */
    report(end_other() == 0, "destroy during a CLEAN: %ld", other_result);
    report(rc == -XEN_EINVAL || rc == -XEN_ESRCH, "the CLEAN ends with %ld", rc);
}

static int64_t act(int what)
{
    struct shadow_result result;

    switch (what) {
    case CLEAN_TOO:
        return shadow(OP_CLEAN, long_bitmap[1], LONG_PAGES).rc;
    case PAUSE:
        if (control_guest_pause(&driver.guest) != 0) {
            return -1;
        }
        timer_delay_ms(1);
        return control_guest_unpause(&driver.guest);
    case SWITCH_OFF:
        result = shadow(OP_OFF, NULL, 0);
        return result.rc;
    default:
        return control_guest_destroy(&driver.guest);
    }
}

static void serve(unsigned cpu)
{
    for (;;) {
        uint64_t end;

        while (wanted == IDLE) {
        }
        end = timer_count() + delay_ticks;
        while (timer_count() < end) {
        }
        other_result = act(wanted);
        wanted = IDLE;
    }
}

void guest_main(const void *dtb)
{
    uint64_t free_before = control_free_pages_settled(), length;

    if (!store_driver_start(&driver, dtb, 1)) {
        return;
    }
    report(shadow(OP_ENABLE, NULL, 0).rc == 0, "ENABLE");
    report(smp_start(1, serve) == 0, "start a second vCPU");
    shadow(OP_CLEAN, NULL, STORE_END_GFN);
    test_output_that_is_not_there();
    test_argument_that_is_read_only();
    length = measure_clean();
    test_two_callers(length);
    test_pause(length);
    test_off(length);
    test_destroy(length);
    report(control_window_close() == 0, "take our pages back");
    report(control_free_pages() == free_before, "no page lost: %lu before, %lu after", free_before,
           control_free_pages());
}
