/* SPDX-License-Identifier: MIT */
/*
 * A vCPU that writes gets less CPU time and one that reads does not notice; who writes is counted,
 * by faults or by a sample; all of it ends with the logging. On one CPU, which the control domain
 * leaves to the two: without a throttle each has half of it. Where the emulator counts instructions
 * the shares are exact.
 */
#include "store_driver.h"

#include <godwit/ext.h>
#include <guest/hypercall.h>
#include <guest/main.h>
#include <guest/report.h>
#include <guest/timer.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/sched.h>

#define WRITER   0u
#define READER   1u
#define VCPUS    2u
#define SPELL_MS 200u

static uint8_t bitmap[BITMAP_BYTES] __attribute__((aligned(4096)));
static struct store_driver driver;

static int64_t shadow(uint32_t op, void *bits)
{
    return control_shadow(driver.guest.domid, op, 0, bits, STORE_END_GFN).rc;
}

static int64_t throttle(uint32_t vcpu, uint32_t percent)
{
    struct godwit_vcpu_throttle op = {
        .domid = driver.guest.domid, .vcpu = vcpu, .percent = percent};

    return hypercall(GODWIT_HYPERCALL, GODWIT_OP_VCPU_THROTTLE, (uint64_t)&op, 0, 0, 0);
}

static int64_t sample(uint32_t enable)
{
    struct godwit_writer_sample op = {.domid = driver.guest.domid, .enable = enable};

    return hypercall(GODWIT_HYPERCALL, GODWIT_OP_WRITER_SAMPLE, (uint64_t)&op, 0, 0, 0);
}

static int64_t read_stats(uint32_t vcpu, struct godwit_vcpu_stats *stats)
{
    *stats = (struct godwit_vcpu_stats){
        .domid = driver.guest.domid, .bytes = sizeof(*stats), .vcpu = vcpu};
    return hypercall(GODWIT_HYPERCALL, GODWIT_OP_VCPU_STATS, (uint64_t)stats, 0, 0, 0);
}

static struct godwit_vcpu_stats stats(uint32_t vcpu)
{
    struct godwit_vcpu_stats result;

    (void)read_stats(vcpu, &result);
    return result;
}

static uint64_t now_ns(void)
{
    return timer_count() * 1000 / (timer_hz() / 1000000);
}

/* The CPU is left to the guest. */
static void sleep_ms(uint64_t ms)
{
    struct sched_poll poll = {.timeout = now_ns() + ms * 1000000};

    while (now_ns() < poll.timeout) {
        hypercall(__HYPERVISOR_sched_op, SCHEDOP_poll, (uint64_t)&poll, 0, 0, 0);
    }
}

static uint64_t cpu_time_ns(uint32_t vcpu)
{
    struct xen_domctl op;

    memset(&op, 0, sizeof(op));
    op.u.getvcpuinfo.vcpu = vcpu;
    return control_domctl(&op, XEN_DOMCTL_getvcpuinfo, driver.guest.domid) == 0
               ? op.u.getvcpuinfo.cpu_time
               : 0;
}

struct spell {
    uint64_t stores, reads;
    uint64_t percent_ran; /* of the writer, by the hypervisor's account */
};

static bool finish(unsigned vcpu)
{
    struct store_slot *slot = &driver.mailbox->slots[vcpu];

    atomic_store_explicit(&slot->stop, 1, memory_order_relaxed);
    for (unsigned i = 0; i < 200; i++) {
        sleep_ms(5);
        if (atomic_load_explicit(&slot->done, memory_order_acquire) ==
            atomic_load_explicit(&slot->round, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

/* One vCPU writes and one reads for a while. */
static struct spell run_spell(void)
{
    struct spell spell;
    uint64_t ran = cpu_time_ns(WRITER), began = now_ns();

    store_driver_begin(&driver, WRITER, STORE_STREAM, 1, REGION_PAGES);
    store_driver_begin(&driver, READER, STORE_READ_STREAM, 1, REGION_PAGES);
    sleep_ms(SPELL_MS);
    spell.percent_ran = (cpu_time_ns(WRITER) - ran) * 100 / (now_ns() - began);
    report(finish(WRITER) && finish(READER), "both vCPUs are there at the end");
    spell.stores = driver.mailbox->slots[WRITER].stores;
    spell.reads = driver.mailbox->slots[READER].stores;
    return spell;
}

static bool is_about(uint64_t value, uint64_t wanted)
{
    return value + 3 >= wanted && value <= wanted + 3;
}

/* free: what the two did before, on half a CPU each. */
static void test_share(const struct spell *free, uint32_t percent)
{
    uint64_t left = 100 - percent, share;
    struct godwit_vcpu_stats before = stats(WRITER), writer, reader;
    struct spell spell;

    report(throttle(WRITER, percent) == 0, "%u %% is taken from the writer", percent);
    spell = run_spell();
    writer = stats(WRITER);
    reader = stats(READER);
    share = spell.stores * 100 / free->stores;
    report(is_about(spell.percent_ran, left), "it had the CPU for %lu %% of the time",
           spell.percent_ran);
    /* It stops a little later than it is told to. */
    report(share + 3 >= left * 2 && share <= left * 2 + 20, "it stored %lu %% of what it did",
           share);
    report(spell.reads >= free->reads, "the reader read %lu %%", spell.reads * 100 / free->reads);
    report(writer.throttle_percent == percent && reader.throttle_percent == 0,
           "the counters name the writer");
    report(writer.throttle_ns > before.throttle_ns && reader.throttle_ns == 0,
           "and what it lost, %lu ms", (writer.throttle_ns - before.throttle_ns) / 1000000);
}

static uint64_t nap_spell(void)
{
    store_driver_begin(&driver, WRITER, STORE_NAP_STREAM, 1, REGION_PAGES);
    sleep_ms(SPELL_MS);
    report(finish(WRITER), "a writer that naps is there at the end");
    return driver.mailbox->slots[WRITER].stores;
}

/* It needs a hundredth of a CPU, and still gets on less: what is taken is time, not its share. */
static void test_writer_that_naps(void)
{
    uint64_t free, slow, slowest;

    report(throttle(WRITER, 0) == 0, "nothing is taken");
    free = nap_spell();
    report(throttle(WRITER, 90) == 0, "90 %% is taken");
    slow = nap_spell();
    report(throttle(WRITER, 99) == 0, "99 %% is taken");
    slowest = nap_spell();
    report(slow * 100 <= free * 35 && slow > 0, "it naps and stored %lu %% of %lu",
           slow * 100 / free, free);
    report(slowest * 100 <= free * 12 && slowest > 0, "and %lu %%", slowest * 100 / free);
}

/* Also on a CPU that has nothing else to do. */
static void test_all_throttled(void)
{
    uint64_t ran = cpu_time_ns(WRITER), began = now_ns();

    report(throttle(GODWIT_VCPU_ALL, 90) == 0, "90 %% is taken from all");
    sleep_ms(SPELL_MS);
    ran = (cpu_time_ns(WRITER) - ran) * 100 / (now_ns() - began);
    report(is_about(ran, 10), "the writer had the CPU for %lu %%, and nobody for 80 %%", ran);
}

static void test_throttled_guest_works(void)
{
    struct store_verdict verdict;

    shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, bitmap);
    store_driver_begin(&driver, WRITER, STORE_8, 5, REGION_PAGES);
    for (unsigned i = 0; i < 5; i++) {
        control_guest_pause(&driver.guest);
        sleep_ms(7);
        control_guest_unpause(&driver.guest);
        sleep_ms(9);
    }
    report(finish(WRITER), "a round ends, with pauses in between");
    shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, bitmap);
    verdict = store_driver_judge(bitmap, STORE_8, 5, REGION_PAGES);
    report(verdict.lost == 0 && verdict.extra == 0, "%u pages lost, %u too many", verdict.lost,
           verdict.extra);
    report(stats(WRITER).pause_ns > 0, "the pauses are counted");
}

static void test_refusals(void)
{
    struct godwit_vcpu_stats result;

    report(throttle(WRITER, 100) == -XEN_EINVAL, "100 %% is refused");
    report(throttle(VCPUS, 10) == -XEN_ENOENT && read_stats(VCPUS, &result) == -XEN_ENOENT,
           "there is no vCPU %u", VCPUS);
    report(sample(2) == -XEN_EINVAL, "no such sample");
}

static void test_faults(void)
{
    struct spell free, after;
    struct godwit_vcpu_stats writer, reader;

    report(throttle(WRITER, 10) == -XEN_EINVAL && sample(1) == -XEN_EINVAL,
           "nothing without logging");
    shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL);
    run_spell();
    writer = stats(WRITER);
    reader = stats(READER);
    report(writer.pages_per_count == 1 && writer.dirty_pages >= 1000 &&
               writer.faults >= writer.dirty_pages,
           "the writer wrote %lu pages, in %lu faults", writer.dirty_pages, writer.faults);
    report(reader.dirty_pages <= 2, "the reader %lu", reader.dirty_pages);
    report(writer.fault_ns > writer.faults && writer.throttle_ns == 0,
           "%lu us for faults, none for a throttle", writer.fault_ns / 1000);
    test_refusals();
    free = run_spell(); /* no more faults */
    report(is_about(free.percent_ran, 50), "half a CPU each");
    test_share(&free, 75);
    test_share(&free, 90);
    test_writer_that_naps();
    test_all_throttled();
    test_throttled_guest_works();
    report(shadow(XEN_DOMCTL_SHADOW_OP_OFF, NULL) == 0, "OFF");
    report(stats(WRITER).throttle_percent == 0 && stats(READER).throttle_percent == 0,
           "ends the throttle");
    after = run_spell();
    report(is_about(after.percent_ran, 50) && after.stores * 100 >= free.stores * 97,
           "the writer is as fast as before: %lu %% of the time, %lu %% of the stores",
           after.percent_ran, after.stores * 100 / free.stores);
    shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL);
    writer = stats(WRITER);
    report(writer.throttle_percent == 0 && writer.throttle_ns == 0 && writer.dirty_pages == 0 &&
               writer.faults == 0 && writer.fault_ns == 0,
           "and the next logging begins with nothing");
    shadow(XEN_DOMCTL_SHADOW_OP_OFF, NULL);
}

/* A round of stores by one vCPU and of reads by the other, judged; the writer's sampled pages. */
static uint64_t sampled_round(uint64_t seed)
{
    uint64_t before = stats(WRITER).dirty_pages;
    struct store_verdict verdict;

    store_driver_begin(&driver, READER, STORE_READ, seed, REGION_PAGES);
    store_driver_begin(&driver, WRITER, STORE_8, seed, REGION_PAGES);
    report(finish(WRITER) && finish(READER), "a round of stores");
    report(shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, bitmap) == 0, "CLEAN");
    verdict = store_driver_judge(bitmap, STORE_8, seed, REGION_PAGES);
    report(verdict.lost == 0 && verdict.extra == 0, "%u lost, %u too many", verdict.lost,
           verdict.extra);
    return stats(WRITER).dirty_pages - before;
}

static void test_sample(void)
{
    struct godwit_logdirty op = {driver.guest.domid, GODWIT_TRACKING_HARDWARE, 0, 0};
    uint64_t found = 0, written = 0;

    if (hypercall(GODWIT_HYPERCALL, GODWIT_OP_LOGDIRTY, (uint64_t)&op, 0, 0, 0) != 0) {
        return; /* no CPU of this model notes writes */
    }
    shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL);
    shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, bitmap);
    report(sampled_round(10) == 0 && stats(WRITER).pages_per_count == 0,
           "the MMU says nothing about the writer");
    report(sample(1) == 0, "with a sample");
    shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, bitmap);
    for (unsigned round = 0; round < 8; round++) {
        found += sampled_round(20 + round) * stats(WRITER).pages_per_count;
        written += store_region_count(bitmap);
    }
    report(found >= written * 3 / 4 && found <= written * 5 / 4,
           "it wrote %lu pages, and the sample says %lu", written, found);
    report(stats(READER).dirty_pages <= 1, "the reader is not suspected");
    report(sample(0) == 0, "without it");
    shadow(XEN_DOMCTL_SHADOW_OP_CLEAN, bitmap);
    report(sampled_round(30) == 0, "no fault is left");
    report(sample(1) == 0, "once more");
    shadow(XEN_DOMCTL_SHADOW_OP_OFF, NULL);
    found = stats(WRITER).faults;
    store_driver_begin(&driver, WRITER, STORE_8, 31, REGION_PAGES);
    (void)finish(WRITER);
    report(stats(WRITER).faults == found && sample(1) == -XEN_EINVAL, "OFF ends the sample");
}

void guest_main(const void *dtb)
{
    struct godwit_logdirty by_faults;

    if (!store_driver_start(&driver, dtb, VCPUS)) {
        return;
    }
    by_faults = (struct godwit_logdirty){driver.guest.domid, GODWIT_TRACKING_FAULT, 0, 0};
    hypercall(GODWIT_HYPERCALL, GODWIT_OP_LOGDIRTY, (uint64_t)&by_faults, 0, 0, 0);
    test_faults();
    test_sample();
    /* A guest that is destroyed while it is throttled: no timer of it is left. */
    shadow(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL);
    store_driver_begin(&driver, WRITER, STORE_STREAM, 1, REGION_PAGES);
    report(throttle(GODWIT_VCPU_ALL, 99) == 0, "99 %% is taken from all");
    sleep_ms(30);
    store_driver_stop(&driver);
    sleep_ms(50);
}
