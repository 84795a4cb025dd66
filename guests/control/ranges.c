/* SPDX-License-Identifier: MIT */
/* The dirty log by ranges, in both directions, with little room, with errors, and beside CLEAN. */
#include "store_driver.h"

#include <godwit/ext.h>
#include <guest/hypercall.h>
#include <guest/main.h>
#include <guest/report.h>
#include <string.h>
#include <xen/errno.h>

#define NO_MEMORY 0x7f00000000ul /* an address where nothing is mapped */
#define PAGES     400u

static struct godwit_range ranges[REGION_PAGES];
static uint8_t bitmap[BITMAP_BYTES] __attribute__((aligned(4096)));
static struct store_driver driver;

static int64_t take(struct godwit_dirty_ranges *request)
{
    return hypercall(GODWIT_HYPERCALL, GODWIT_OP_DIRTY_RANGES, (uint64_t)request, 0, 0, 0);
}

/* A whole round into bitmap; room is that of one call. The number of calls, or an error. */
static int64_t take_all(uint32_t flags, uint32_t room)
{
    struct godwit_dirty_ranges request = {.domid = driver.guest.domid, .flags = flags};
    uint64_t next = 0;
    int64_t calls = 0;

    memset(bitmap, 0, sizeof(bitmap));
    request.end_gfn = STORE_END_GFN;
    while (request.first_gfn < STORE_END_GFN) {
        int64_t rc;

        request.ranges = (uint64_t)ranges;
        request.count = room;
        rc = take(&request);
        if (rc != 0) {
            return rc;
        }
        calls++;
        for (uint32_t i = 0; i < request.count; i++) {
            if (ranges[i].first_gfn < next || ranges[i].pages == 0 ||
                ranges[i].first_gfn + ranges[i].pages > STORE_END_GFN) {
                report(false, "range %u is not in order: %lx, %lx pages", i, ranges[i].first_gfn,
                       ranges[i].pages);
                return -1;
            }
            next = ranges[i].first_gfn + ranges[i].pages;
            for (uint64_t gfn = ranges[i].first_gfn; gfn < next; gfn++) {
                bitmap[gfn / 8] |= (uint8_t)(1u << (gfn % 8));
            }
        }
    }
    return calls;
}

static void judge(const char *what, bool ok, uint64_t seed)
{
    struct store_verdict verdict = store_driver_judge(bitmap, STORE_8, seed, PAGES);

    report(ok && verdict.lost == 0 && verdict.extra == 0, "%s: %u pages lost, %u too many", what,
           verdict.lost, verdict.extra);
}

static void test_rounds(void)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        store_driver_round(&driver, 0, STORE_8, seed, PAGES);
        judge("PEEK", take_all(GODWIT_DIRTY_PEEK, REGION_PAGES) == 1, seed);
        judge("one call", take_all(0, REGION_PAGES) == 1, seed);
        take_all(0, REGION_PAGES);
        report(store_region_count(bitmap) == 0, "nothing is reported twice");
        store_driver_round(&driver, 0, STORE_8, seed + 10, PAGES);
        judge("little room", take_all(GODWIT_DIRTY_FINAL, 64) > 1, seed + 10);
    }
}

static void test_errors(void)
{
    struct godwit_dirty_ranges request = {.domid = driver.guest.domid,
                                          .end_gfn = STORE_END_GFN,
                                          .ranges = NO_MEMORY,
                                          .count = REGION_PAGES};

    store_driver_round(&driver, 0, STORE_8, 20, PAGES);
    report(take(&request) == -XEN_EFAULT, "ranges nowhere give EFAULT");
    request.count = 63;
    report(take(&request) == -XEN_EINVAL, "no room");
    request.domid = 0x1234;
    request.count = 64;
    report(take(&request) == -XEN_ESRCH, "a domain that does not exist");
    judge("errors lose nothing", take_all(0, REGION_PAGES) == 1, 20);
}

static void test_beside_clean(void)
{
    store_driver_round(&driver, 0, STORE_8, 30, PAGES);
    report(control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_CLEAN, 0, bitmap, STORE_END_GFN)
                   .rc == 0,
           "CLEAN");
    judge("CLEAN after ranges", true, 30);
    take_all(0, REGION_PAGES);
    report(store_region_count(bitmap) == 0, "ranges after CLEAN");
}

void guest_main(const void *dtb)
{
    if (!store_driver_start(&driver, dtb, 1)) {
        return;
    }
    report(take_all(0, REGION_PAGES) == -XEN_EINVAL, "logging is off: EINVAL");
    control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL, 0);
    test_rounds();
    test_errors();
    test_beside_clean();
    control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_OFF, 0, NULL, 0);
    store_driver_stop(&driver);
}
