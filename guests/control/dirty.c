/* SPDX-License-Identifier: MIT */
/* The dirty log through shadow_op, in both directions: what was written is reported, nothing else
 * is. */
#include "store_driver.h"

#include <godwit/ext.h>
#include <guest/hypercall.h>
#include <guest/main.h>
#include <guest/print.h>
#include <guest/report.h>
#include <string.h>
#include <xen/errno.h>

#define OP_OFF    XEN_DOMCTL_SHADOW_OP_OFF
#define OP_ENABLE XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY
#define OP_CLEAN  XEN_DOMCTL_SHADOW_OP_CLEAN
#define OP_PEEK   XEN_DOMCTL_SHADOW_OP_PEEK
#define NO_MEMORY ((void *)0x7f00000000ul) /* an address where nothing is mapped */

static uint8_t bitmap[BITMAP_BYTES + 4096] __attribute__((aligned(4096)));
static uint8_t other[BITMAP_BYTES + 4096] __attribute__((aligned(4096)));
static struct store_driver driver;

static struct shadow_result shadow(uint32_t op, void *bits)
{
    return control_shadow(driver.guest.domid, op, 0, bits, STORE_END_GFN);
}

static struct godwit_stats stats(void)
{
    struct godwit_stats result = {.domid = driver.guest.domid, .bytes = sizeof(result)};

    hypercall(GODWIT_HYPERCALL, GODWIT_OP_STATS, (uint64_t)&result, 0, 0, 0);
    return result;
}

static void test_kinds(void)
{
    static const char *const names[] = {"str",  "strb",  "stp", "unaligned", "dc zva", "stxr",
                                        "simd", "ldadd", "cas", "swp",       "read"};

    shadow(OP_CLEAN, bitmap);
    for (uint32_t kind = 0; kind <= STORE_READ; kind++) {
        bool lse = kind == STORE_LDADD || kind == STORE_CAS || kind == STORE_SWP;
        struct store_verdict verdict;
        bool in_time;

        if (lse && !driver.mailbox->slots[0].has_lse) {
            continue;
        }
        in_time = store_driver_round(&driver, 0, kind, 1000 + kind, 200);
        memset(bitmap, 0xff, sizeof(bitmap));
        shadow(OP_CLEAN, bitmap);
        verdict = store_driver_judge(bitmap, kind, 1000 + kind, 200);
        report(in_time && verdict.lost == 0 && verdict.extra == 0,
               "%s: %u pages lost, %u reported too many", names[kind], verdict.lost, verdict.extra);
    }
}

static void test_peek_and_tail(void)
{
    struct shadow_result peek, clean;

    store_driver_round(&driver, 0, STORE_8, 7, 100);
    memset(bitmap, 0xff, sizeof(bitmap));
    peek = shadow(OP_PEEK, bitmap);
    report(peek.rc == 0 && store_driver_judge(bitmap, STORE_8, 7, 100).lost == 0, "PEEK reports");
    report(bitmap[BITMAP_BYTES] == 0xff, "no byte beyond the asked-for pages is written");
    clean = shadow(OP_CLEAN, other);
    report(clean.rc == 0 && store_driver_judge(other, STORE_8, 7, 100).lost == 0,
           "PEEK has cleared nothing");
    report(clean.dirty_count >= store_region_count(other), "dirty_count counts: %u",
           clean.dirty_count);
    report(clean.pages == STORE_END_GFN, "pages comes back as asked");
    shadow(OP_CLEAN, bitmap);
    report(store_region_count(bitmap) == 0, "CLEAN has cleared");

    memset(bitmap, 0xff, sizeof(bitmap));
    clean = control_shadow(driver.guest.domid, OP_PEEK, 0, bitmap, STORE_END_GFN + 8192);
    report(clean.rc == 0 && clean.pages == STORE_END_GFN + 8192 && bitmap[BITMAP_BYTES] == 0 &&
               bitmap[BITMAP_BYTES + 1023] == 0,
           "pages beyond the guest read as clean");
}

static void test_partial(void)
{
    uint64_t half = (REGION_IPA >> 12) + REGION_PAGES / 2 + 5;
    struct store_verdict verdict;

    store_driver_round(&driver, 0, STORE_8, 8, 300);
    memset(bitmap, 0, sizeof(bitmap));
    control_shadow(driver.guest.domid, OP_CLEAN, 0, bitmap, half);
    memset(other, 0, sizeof(other));
    shadow(OP_CLEAN, other);
    for (size_t i = 0; i < BITMAP_BYTES; i++) {
        bool clean_twice = (bitmap[i] & other[i]) == 0 || i == MAILBOX_GFN / 8;

        if (!clean_twice && i < half / 8) {
            report(false, "byte %lu reported twice", i);
        }
        bitmap[i] |= other[i];
    }
    verdict = store_driver_judge(bitmap, STORE_8, 8, 300);
    report(verdict.lost == 0 && verdict.extra == 0,
           "a partial CLEAN clears what it reported: %u lost", verdict.lost);
}

static void test_errors(void)
{
    struct shadow_result result;

    store_driver_round(&driver, 0, STORE_8, 9, 300);
    result = shadow(OP_CLEAN, NO_MEMORY);
    report(result.rc == -XEN_EFAULT, "a bitmap nowhere gives EFAULT: %ld", result.rc);
    result = shadow(OP_CLEAN, (void *)0xffff000000000000ul);
    report(result.rc == -XEN_EFAULT, "a bitmap at a hypervisor's address: %ld", result.rc);
    shadow(OP_CLEAN, bitmap);
    report(store_driver_judge(bitmap, STORE_8, 9, 300).lost == 0, "a failed CLEAN loses nothing");

    store_driver_round(&driver, 0, STORE_8, 10, 300);
    result = shadow(OP_CLEAN, NULL);
    report(result.rc == 0 && result.dirty_count > 0, "no bitmap is allowed: %ld", result.rc);
    shadow(OP_CLEAN, bitmap);
    report(store_region_count(bitmap) == 0, "and clears");

    result = control_shadow(driver.guest.domid, OP_CLEAN, 2, bitmap, STORE_END_GFN);
    report(result.rc == -XEN_EINVAL, "an unknown mode bit: %ld", result.rc);
    result = shadow(OP_ENABLE, NULL);
    report(result.rc == -XEN_EINVAL, "ENABLE twice: %ld", result.rc);
    result = shadow(3, NULL);
    report(result.rc == -XEN_EINVAL, "an op that is gone: %ld", result.rc);
    result = control_shadow(DOMID_SELF, OP_ENABLE, 0, NULL, 0);
    report(result.rc < 0, "not on oneself: %ld", result.rc);
    result = control_shadow(0x1234, OP_ENABLE, 0, NULL, 0);
    report(result.rc == -XEN_ESRCH, "a domain that does not exist: %ld", result.rc);
}

static void test_foreign(void)
{
    uint64_t gfn = (REGION_IPA >> 12) + 77;
    volatile uint64_t *page = control_map(driver.guest.domid, gfn);

    shadow(OP_CLEAN, NULL);
    (void)*page;
    shadow(OP_CLEAN, bitmap);
    report(!bit_is_set(bitmap, gfn), "reading through a mapping marks nothing");
    *page = 1;
    shadow(OP_CLEAN, bitmap);
    report(bit_is_set(bitmap, gfn), "writing through a mapping marks");
    shadow(OP_CLEAN, bitmap);
    report(bit_is_set(bitmap, gfn), "and stays marked while it may write");
    control_unmap((void *)page);
    shadow(OP_CLEAN, bitmap);
    shadow(OP_CLEAN, bitmap);
    report(!bit_is_set(bitmap, gfn), "but not after it is unmapped");
}

/* Every bit that was set has been taken, or put back and taken again, or is still there. */
static void test_counters(void)
{
    struct godwit_stats now = stats();
    struct shadow_result peek = shadow(OP_PEEK, NULL);
    uint64_t set = 0;

    for (unsigned i = 0; i < GODWIT_WRITERS; i++) {
        set += now.bits_set[i];
    }
    report(set + now.returned == now.harvested + peek.dirty_count,
           "the counters add up: %lu set, %lu returned, %lu harvested, %u left", set, now.returned,
           now.harvested, peek.dirty_count);
    report(now.bits_set[GODWIT_WRITER_FOREIGN] >= 2, "foreign writes are counted each round");
    report(peek.fault_count == 0, "fault_count is 0, as in Xen with two stages");
}

static void test_stats_sizes(void)
{
    struct godwit_stats small = {.domid = driver.guest.domid, .bytes = 16, .tables = 77};
    struct godwit_stats none = {.domid = driver.guest.domid, .bytes = 7};
    static struct {
        struct godwit_stats stats;
        uint64_t more;
    } large;
    int64_t rc = hypercall(GODWIT_HYPERCALL, GODWIT_OP_STATS, (uint64_t)&small, 0, 0, 0);

    report(rc == 0 && small.bytes == 16 && small.tables == 77,
           "a caller that knows less gets less: %ld, %u bytes", rc, small.bytes);
    large.stats.domid = driver.guest.domid;
    large.stats.bytes = sizeof(large);
    large.more = 1;
    rc = hypercall(GODWIT_HYPERCALL, GODWIT_OP_STATS, (uint64_t)&large, 0, 0, 0);
    report(rc == 0 && large.stats.bytes == sizeof(large.stats) && large.more == 1,
           "a caller that knows more is told how much it got: %ld, %u bytes", rc,
           large.stats.bytes);
    rc = hypercall(GODWIT_HYPERCALL, GODWIT_OP_STATS, (uint64_t)&none, 0, 0, 0);
    report(rc == -XEN_EINVAL, "no room for the header: %ld", rc);
}

static void test_off(struct godwit_stats before)
{
    struct shadow_result result = shadow(OP_OFF, NULL);
    struct godwit_stats after = stats(), later;

    report(result.rc == 0, "OFF: %ld", result.rc);
    report(memcmp(before.leaves, after.leaves, sizeof(before.leaves)) == 0,
           "blocks are merged again: %lu 2 MiB and %lu 4 KiB, were %lu and %lu", after.leaves[2],
           after.leaves[3], before.leaves[2], before.leaves[3]);
    store_driver_round(&driver, 0, STORE_8, 11, REGION_PAGES);
    later = stats();
    report(later.faults_first_write == after.faults_first_write &&
               later.faults_split == after.faults_split,
           "a rewrite after OFF takes no fault");
    report(shadow(OP_OFF, NULL).rc == 0, "OFF twice");
    result = control_shadow(driver.guest.domid, XEN_DOMCTL_SHADOW_OP_ENABLE,
                            XEN_DOMCTL_SHADOW_ENABLE_LOG_DIRTY, NULL, 0);
    report(result.rc == 0, "ENABLE with the mode bit: %ld", result.rc);
    report(shadow(OP_OFF, NULL).rc == 0, "and OFF");
}

void guest_main(const void *dtb)
{
    uint64_t free_before = control_free_pages_settled();
    struct godwit_stats before;

    if (!store_driver_start(&driver, dtb, 1)) {
        return;
    }
    before = stats();
    report(shadow(OP_ENABLE, NULL).rc == 0, "ENABLE");
    test_kinds();
    test_peek_and_tail();
    test_partial();
    test_errors();
    test_foreign();
    test_counters();
    test_stats_sizes();
    test_off(before);
    store_driver_stop(&driver);
    report(control_window_close() == 0, "take our pages back");
    report(control_free_pages() == free_before, "no page lost: %lu before, %lu after", free_before,
           control_free_pages());
}
