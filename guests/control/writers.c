/* SPDX-License-Identifier: MIT */
/*
 * Every writer of a guest's memory, one at a time: what it wrote is in the next CLEAN, and nothing
 * else of the region is. The kinds of stores themselves are in dirty.c.
 */
#include "writer_driver.h"

#include <guest/hypercall.h>
#include <guest/main.h>
#include <guest/report.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/hvm/dm_op.h>

#define NONE WRITER_NO_PAGE

static struct writer_driver driver;

static int64_t ask(enum writer_command command, uint64_t a, uint64_t b)
{
    return writer_ask(&driver, command, a, b, 0);
}

static void expect(const char *what, int64_t result, uint64_t p, uint64_t q)
{
    if (result != 0) {
        report(false, "%s: the guest says %ld", what, result);
    }
    writer_expect(&driver, what, p, q);
}

static void test_what_may_not_write(void)
{
    expect("a load", ask(WRITER_READ, 5, 0), NONE, NONE);
    expect("a prefetch for store", ask(WRITER_PREFETCH, 6, 0), NONE, NONE);
    expect("a store", ask(WRITER_STORE, 5, 0), 5, NONE);
    expect("nothing", 0, NONE, NONE);
    ask(WRITER_STXR_FAILS, 7, 0);
    writer_expect_at_most(&driver, "a store-exclusive that fails", 7, NONE);
    if (driver.mailbox->has_lse) {
        ask(WRITER_CAS_FAILS, 8, 0);
        writer_expect_at_most(&driver, "a compare-and-swap that fails", 8, NONE);
    }
}

/* The table in page a, the page b behind it; what the walk writes is in a. */
static void walk(const char *what, enum walk_entry entry, enum writer_command command, uint64_t a,
                 uint64_t b, uint64_t p, uint64_t q)
{
    struct godwit_stats before;

    ask(WRITER_CODE, b, 0);
    writer_ask(&driver, WRITER_WALK_MAP, a, b, entry);
    writer_clean(&driver);
    before = writer_stats(&driver);
    expect(what, ask(command, 0, 0), p, q);
    if (p == a && command != WRITER_WALK_HYPERCALL && before.tracking == GODWIT_TRACKING_FAULT) {
        report(writer_stats(&driver).faults_walk > before.faults_walk,
               "%s: counted as a walk's fault", what);
    }
}

/* In pages 100 to 700: tables in pages and, at first, in closed blocks. */
static void bug_22_table_walks_write(void)
{
    walk("a walk with nothing to update, load", WALK_SETTLED, WRITER_WALK_LOAD, 100, 101, NONE,
         NONE);
    walk("a walk with nothing to update, store", WALK_SETTLED, WRITER_WALK_STORE, 100, 101, 101,
         NONE);
    walk("a walk with nothing to update, hypercall", WALK_SETTLED, WRITER_WALK_HYPERCALL, 100, 101,
         101, NONE);
    if (!driver.mailbox->has_af) {
        return;
    }
    walk("a walk that sets an access flag, load", WALK_OLD, WRITER_WALK_LOAD, 102, 103, 102, NONE);
    walk("a walk that sets an access flag, fetch", WALK_OLD, WRITER_WALK_FETCH, 104, 105, 104,
         NONE);
    walk("a walk that sets an access flag, store", WALK_OLD, WRITER_WALK_STORE, 106, 700, 106, 700);
    walk("a hypercall whose argument needs an access flag", WALK_OLD, WRITER_WALK_HYPERCALL, 107,
         108, 107, 108);
    if (driver.mailbox->has_dbm) {
        walk("a walk that sets dirty state", WALK_CLEAN, WRITER_WALK_STORE, 109, 110, 109, 110);
        walk("a load where dirty state is clear", WALK_CLEAN, WRITER_WALK_LOAD, 111, 112, NONE,
             NONE);
    }
}

static void test_hypercalls(void)
{
    uint64_t before = writer_stats(&driver).bits_set[GODWIT_WRITER_HYPERCALL];

    expect("output of a hypercall, over a page boundary", ask(WRITER_HYPERCALL_OUT, 200, 0), 200,
           201);
    report(writer_stats(&driver).bits_set[GODWIT_WRITER_HYPERCALL] >= before + 2,
           "counted as a hypercall's");
    ask(WRITER_HYPERCALL_IN, 202, 0);
    writer_expect(&driver, "input of a hypercall", NONE, NONE);
}

static void test_shared_structures(void)
{
    uint64_t before;

    expect("registering vcpu_info", ask(WRITER_VCPU_INFO, 300, 0), 300, NONE);
    ask(WRITER_EVENT_CLEAR, 300, 0);
    writer_clean(&driver);
    before = writer_stats(&driver).bits_set[GODWIT_WRITER_SHARED];
    expect("an event", ask(WRITER_EVENT, 0, 0), 300, NONE);
    report(writer_stats(&driver).bits_set[GODWIT_WRITER_SHARED] > before, "counted as shared");
    expect("no event", 0, NONE, NONE);
    control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_CLEAN, XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL,
                   driver.bitmap, WRITER_END_GFN);
    report(writer_reported(&driver, 300), "the final CLEAN has what is mapped for ever");

    before = writer_stats(&driver).bits_set[GODWIT_WRITER_SHARED];
    expect("registering runstate", ask(WRITER_RUNSTATE, 301, 0), 301, NONE);
    report(writer_stats(&driver).bits_set[GODWIT_WRITER_SHARED] > before, "counted as shared");
    ask(WRITER_NO_RUNSTATE, 0, 0);
    writer_clean(&driver);
    expect("no runstate any more", 0, NONE, NONE);
    expect("shared_info in place of a page", ask(WRITER_SHARED_INFO, 302, 0), NONE, NONE);
}

static bool ring_reported(void)
{
    return driver.bitmap[VUART_GFN / 8] >> (VUART_GFN % 8) & 1;
}

static void test_devices(void)
{
    uint64_t before = writer_stats(&driver).bits_set[GODWIT_WRITER_DEVICE];

    writer_clean(&driver);
    report(!ring_reported(), "the console's ring at rest");
    ask(WRITER_CONSOLE, 0, 0);
    writer_expect(&driver, "a character on the console", NONE, NONE);
    report(ring_reported(), "is in the ring");
    report(writer_stats(&driver).bits_set[GODWIT_WRITER_DEVICE] == before + 1,
           "counted as a device's");
    writer_clean(&driver);
    report(!ring_reported(), "but not in the round after");
}

static void test_device_model(void)
{
    struct xen_dm_op_modified_memory_extent extent = {.nr = 2,
                                                      .first_pfn = WRITER_REGION_GFN + 400};
    struct xen_dm_op op = {.op = XEN_DMOP_modified_memory, .u.modified_memory.nr_extents = 1};
    struct xen_dm_op_buf buffers[2] = {{.size = sizeof(op)}, {.size = sizeof(extent)}};
    uint64_t before = writer_stats(&driver).bits_set[GODWIT_WRITER_MODEL];

    set_xen_guest_handle(buffers[0].h, &op);
    set_xen_guest_handle(buffers[1].h, &extent);
    expect("modified_memory",
           hypercall(__HYPERVISOR_dm_op, driver.guest.domid, 2, (uint64_t)buffers, 0, 0), 400, 401);
    report(writer_stats(&driver).bits_set[GODWIT_WRITER_MODEL] == before + 2,
           "counted as a device model's");
}

static int64_t track_display(uint64_t page, uint32_t pages, uint8_t *bits, size_t bytes)
{
    struct xen_dm_op op = {
        .op = XEN_DMOP_track_dirty_vram,
        .u.track_dirty_vram = {.nr = pages, .first_pfn = WRITER_REGION_GFN + page}};
    struct xen_dm_op_buf buffers[2] = {{.size = sizeof(op)}, {.size = bytes}};

    set_xen_guest_handle(buffers[0].h, &op);
    set_xen_guest_handle(buffers[1].h, bits);
    return hypercall(__HYPERVISOR_dm_op, driver.guest.domid, 2, (uint64_t)buffers, 0, 0);
}

#define DISPLAY 1000u /* first page of it */
#define SIZE    700u

/* A look at the display: exactly these pages were written since the last one. */
static void display_has(const char *when, uint64_t p, uint64_t q)
{
    static uint8_t bits[(SIZE + 7) / 8];
    int64_t rc = track_display(DISPLAY, SIZE, bits, sizeof(bits));
    uint32_t wrong = 0;

    for (uint64_t i = 0; i < SIZE; i++) {
        bool written = bits[i / 8] >> (i % 8) & 1;

        wrong += written != (DISPLAY + i == p || DISPLAY + i == q);
    }
    report(rc == 0 && wrong == 0, "display, %s: %ld, %u pages wrong", when, rc, wrong);
}

static void test_display(void)
{
    static uint8_t all[(SIZE + 7) / 8];
    uint32_t count = 0;
    int64_t rc = track_display(DISPLAY, SIZE, all, sizeof(all));

    for (uint64_t i = 0; i < SIZE; i++) {
        count += all[i / 8] >> (i % 8) & 1;
    }
    report(rc == 0 && count == SIZE, "a new display has changed everywhere: %ld, %u", rc, count);
    display_has("nothing", NONE, NONE);
    ask(WRITER_STORE, 1699, 0);
    ask(WRITER_STORE, 1700, 0);
    display_has("a store at its end and one behind it", 1699, NONE);
    display_has("nothing more", NONE, NONE);
    ask(WRITER_HYPERCALL_OUT, 1500, 0);
    display_has("output of a hypercall", 1500, 1501);
    ask(WRITER_STORE, 1200, 0);
    writer_clean(&driver);
    report(writer_reported(&driver, 1200) && writer_reported(&driver, 1699) &&
               writer_reported(&driver, 1500),
           "the log has what was shown already");
    ask(WRITER_READ, 1201, 0);
    ask(WRITER_STORE, 1200, 0);
    expect("the log beside a display", 0, 1200, NONE);
    report(track_display(DISPLAY, 0, NULL, 0) == 0, "no display any more");
    report(track_display(DISPLAY, 64, NULL, 8) == -XEN_EFAULT, "a bitmap nowhere");
    report(track_display(DISPLAY, 64, all, 7) == -XEN_EINVAL, "a bitmap too small");
    report(track_display(DISPLAY, 0, NULL, 0) == 0, "no display any more");
    writer_clean(&driver);
}

static void test_pages_that_come_and_go(void)
{
    ask(WRITER_STORE, 500, 0);
    report(ask(WRITER_GIVE_UP, 500, 0) == 1, "a dirty page is given up");
    expect("a page that is gone", 0, NONE, NONE);
    report(ask(WRITER_TAKE, 500, 0) == 1, "and comes back");
    expect("a page that is new", 0, 500, NONE);
    expect("and then clean", 0, NONE, NONE);
    ask(WRITER_STORE, 501, 0);
    report(ask(WRITER_GIVE_UP, 501, 0) == 1 && ask(WRITER_TAKE, 501, 0) == 1,
           "a dirty page is replaced by another");
    expect("a page that was replaced", 0, 501, NONE);
}

/* Reads every page of the region through mappings of ours. */
static bool read_everything(void)
{
    for (uint64_t i = 0; i < WRITER_REGION_PAGES; i++) {
        volatile uint64_t *page = control_map(driver.guest.domid, WRITER_REGION_GFN + i);

        if (page == NULL) {
            return i == 302; /* shared_info is no memory of the guest's */
        }
        (void)*page;
        control_unmap((void *)page);
    }
    return true;
}

static void test_foreign_mappings(void)
{
    volatile uint64_t *page = control_map(driver.guest.domid, WRITER_REGION_GFN + 600);
    volatile uint64_t *same;
    uint64_t before = writer_stats(&driver).bits_set[GODWIT_WRITER_FOREIGN];

    writer_clean(&driver);
    report(read_everything(), "every page is mapped and read");
    expect("reading everything", 0, NONE, NONE);
    *page = 1;
    for (unsigned round = 0; round < 3; round++) {
        expect("a page that may be written through a mapping", 0, 600, NONE);
    }
    report(writer_stats(&driver).bits_set[GODWIT_WRITER_FOREIGN] >= before + 3,
           "counted in each round");
    same = control_map(driver.guest.domid, WRITER_REGION_GFN + 600);
    control_unmap((void *)page);
    expect("unmapped: once more", 0, 600, NONE);
    expect("and then no more, a second mapping has only been made", 0, NONE, NONE);
    (void)*same;
    expect("or read", 0, NONE, NONE);
    *same = 2;
    expect("but not written", 0, 600, NONE);
    control_unmap((void *)same);
    writer_clean(&driver);
    expect("and is gone", 0, NONE, NONE);
}

/* Mappings that are older than the log. */
static void test_older_mappings(void)
{
    volatile uint64_t *written = control_map(driver.guest.domid, WRITER_REGION_GFN + 610);
    volatile uint64_t *read = control_map(driver.guest.domid, WRITER_REGION_GFN + 611);
    struct shadow_result result;

    control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_OFF, 0, NULL, 0);
    *written = 1;
    (void)*read;
    result = control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL, 0);
    report(result.rc == 0, "ENABLE with pages mapped: %ld", result.rc);
    for (unsigned round = 0; round < 2; round++) {
        expect("a mapping written before ENABLE", 0, 610, NONE);
    }
    control_unmap((void *)written);
    control_unmap((void *)read);
    writer_clean(&driver);
    expect("all mappings gone", 0, NONE, NONE);
}

void guest_main(const void *dtb)
{
    uint64_t free_before = control_free_pages_settled();

    if (!writer_start(&driver, dtb)) {
        return;
    }
    report(
        control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL, 0).rc ==
            0,
        "ENABLE");
    test_what_may_not_write();
    bug_22_table_walks_write();
    test_hypercalls();
    test_shared_structures();
    test_devices();
    test_device_model();
    test_display();
    test_pages_that_come_and_go();
    test_foreign_mappings();
    test_older_mappings();
    writer_stop(&driver);
    report(control_window_close() == 0, "take our pages back");
    report(control_free_pages() == free_before, "no page lost: %lu before, %lu after", free_before,
           control_free_pages());
}
