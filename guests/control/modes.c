/* SPDX-License-Identifier: MIT */
/* How writes are noticed and blocks split, chosen for a guest: what faults it costs, by counters.
 */
#include "store_driver.h"

#include <godwit/ext.h>
#include <guest/hypercall.h>
#include <guest/main.h>
#include <guest/report.h>
#include <string.h>
#include <xen/errno.h>

#define BLOCKS (STORE_GUEST_BYTES >> 21)

static uint8_t bitmap[BITMAP_BYTES + 4096] __attribute__((aligned(4096)));
static struct store_driver driver;
static bool has_hardware;

static int64_t shadow(uint32_t op, void *bits)
{
    return control_shadow(driver.guest.domid, op, 0, bits, STORE_END_GFN).rc;
}

static struct godwit_stats stats_of(uint16_t domid)
{
    struct godwit_stats result = {.domid = domid, .bytes = sizeof(result)};

    hypercall(GODWIT_HYPERCALL, GODWIT_OP_STATS, (uint64_t)&result, 0, 0, 0);
    return result;
}

static struct godwit_stats stats(void)
{
    return stats_of(driver.guest.domid);
}

static int64_t choose(unsigned tracking, unsigned split, uint32_t pad)
{
    struct godwit_logdirty op = {driver.guest.domid, (uint8_t)tracking, (uint8_t)split, pad};

    return hypercall(GODWIT_HYPERCALL, GODWIT_OP_LOGDIRTY, (uint64_t)&op, 0, 0, 0);
}

static uint64_t all_faults(const struct godwit_stats *now)
{
    return now->faults_first_write + now->faults_split + now->faults_spurious;
}

/* A round in which all was written and reported, and its faults. */
static struct godwit_stats round_faults(uint64_t seed)
{
    struct godwit_stats before = stats(), after;
    struct store_verdict verdict;
    bool in_time = store_driver_round(&driver, 0, STORE_8, seed, REGION_PAGES);

    after = stats();
    shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, bitmap);
    verdict = store_driver_judge(bitmap, STORE_8, seed, REGION_PAGES);
    report(in_time && verdict.lost == 0 && verdict.extra == 0, "%u lost, %u too many", verdict.lost,
           verdict.extra);
    after.faults_first_write -= before.faults_first_write;
    after.faults_split -= before.faults_split;
    after.faults_spurious -= before.faults_spurious;
    return after;
}

static void test_mode(unsigned tracking, unsigned split)
{
    bool hardware = tracking == GODWIT_TRACKING_HARDWARE;
    bool eager = split == GODWIT_SPLIT_EAGER;
    struct godwit_stats before = stats(), first, second, after;

    report(choose(tracking, split, 0) == 0, "%s, %s", hardware ? "hardware" : "faults",
           eager ? "eager" : "lazy");
    report(shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL) == 0, "ENABLE");
    after = stats();
    report(after.tracking == tracking && after.split == split, "the counters say so");
    report(after.host_tracking == (has_hardware ? GODWIT_TRACKING_HARDWARE : GODWIT_TRACKING_FAULT),
           "and what the host can do, whatever was chosen");
    after = stats_of(0);
    report(after.tracking == after.host_tracking && after.split == GODWIT_SPLIT_LAZY,
           "it is the guest's choice, not the host's");
    after = stats();
    report(choose(tracking, split, 0) == -XEN_EBUSY, "no other choice while logging is on");
    report(!eager || (after.leaves[2] == 0 && after.leaves[1] == 0), "eager: no block is left");
    shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, bitmap);
    first = round_faults(1);
    second = round_faults(2);
    report(first.faults_split <= (eager ? 0 : BLOCKS), "%lu splits on first writes",
           first.faults_split);
    if (hardware) {
        report(first.faults_first_write + first.faults_spurious == 0, "no other fault");
        report(first.faults_split + all_faults(&second) <= (eager ? 0 : BLOCKS) &&
                   second.faults_first_write == 0,
               "%lu faults in the second round", all_faults(&second));
    } else {
        report(second.faults_first_write != 0, "a fault for each page");
    }
    report(shadow(XEN_DOMCTL_SHADOW_OP_OFF, NULL) == 0, "OFF");
    after = stats();
    report(memcmp(before.leaves, after.leaves, sizeof(before.leaves)) == 0,
           "the leaves are as before");
    store_driver_round(&driver, 0, STORE_8, 3, REGION_PAGES);
    second = stats();
    report(all_faults(&second) == all_faults(&after), "a rewrite takes no fault");
}

void guest_main(const void *dtb)
{
    if (!store_driver_start(&driver, dtb, 1)) {
        return;
    }
    has_hardware = stats().tracking == GODWIT_TRACKING_HARDWARE;
    report(choose(GODWIT_TRACKING_HARDWARE + 1, 0, 0) == -XEN_EINVAL, "no such way to notice");
    report(choose(0, GODWIT_SPLIT_EAGER + 1, 0) == -XEN_EINVAL, "no such way to split");
    report(choose(0, 0, 1) == -XEN_EINVAL, "padding is 0");
    for (unsigned split = GODWIT_SPLIT_LAZY; split <= GODWIT_SPLIT_EAGER; split++) {
        test_mode(GODWIT_TRACKING_FAULT, split);
        if (has_hardware) {
            test_mode(GODWIT_TRACKING_HARDWARE, split);
        } else {
            report(choose(GODWIT_TRACKING_HARDWARE, split, 0) == -XEN_EOPNOTSUPP,
                   "hardware is refused where there is none");
        }
    }
    store_driver_stop(&driver);
}
