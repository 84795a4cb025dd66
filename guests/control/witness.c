/* SPDX-License-Identifier: MIT */
/*
 * Drives a Linux guest under load through rounds of the dirty log, and tells the plugin that
 * watches all stores (tests/witness/) what each CLEAN has reported. It writes to a few pages of the
 * guest itself, and judges nothing. The guest comes as our ramdisk, a struct witness_bundle.
 * Options: rounds=N in each mode of logging, fault=0 and hardware=1 (which modes), session=N
 * (rounds between ENABLE and OFF), round_us=N, boot_s=N.
 */
#include "control.h"

#include <godwit/ext.h>
#include <guest/hypercall.h>
#include <guest/main.h>
#include <guest/print.h>
#include <guest/report.h>
#include <guest/timer.h>
#include <guest/witness.h>
#include <string.h>
#include <xen/errno.h>
#include <xen/sched.h>

#define PAGES_MAX  65536u
#define FIRST_GFN  (GUEST_RAM0_BASE >> 12)
#define RANGES     1024u
#define HELD_PAGES 4u         /* of the guest that we write too */
#define READY      " workers" /* what the load prints last (tests/witness/load.c) */

/* One byte a page: where we read tells the plugin which page we mean. */
static const uint8_t pages[PAGES_MAX + 4096];
static uint8_t bitmap[(FIRST_GFN + PAGES_MAX) / 8] __attribute__((aligned(4096)));
static struct godwit_range ranges[RANGES];
static struct control_guest guest;
static void *held[HELD_PAGES];

#define tell(word, address)                                                                        \
    __asm__ volatile("ldrb wzr, [%0, %1]" ::"r"(address), "I"(WITNESS_OFFSET + (word)) : "memory")

static uint64_t now_ns(void)
{
    uint64_t count = timer_count(), hz = timer_hz();

    return count / hz * 1000000000u + count % hz * 1000000000u / hz;
}

/* Sleeps: the guest's CPUs get all of the emulator. */
static void sleep_us(uint64_t us)
{
    struct sched_poll poll = {.timeout = now_ns() + us * 1000};

    while (now_ns() < poll.timeout) {
        hypercall(__HYPERVISOR_sched_op, SCHEDOP_poll, (uint64_t)&poll, 0, 0, 0);
    }
}

static bool tail_holds(const char *text)
{
    size_t bytes = strlen(text);

    for (uint32_t i = 0; i + bytes <= guest.tail_bytes; i++) {
        if (memcmp(guest.tail + i, text, bytes) == 0) {
            return true;
        }
    }
    return false;
}

/* Reads one byte of every page of the guest, in order: so the plugin knows their frames. Done
 * before the guest runs: each unmapping would let all its CPUs have a turn of the emulator. */
static bool tell_frames(void)
{
    for (uint64_t i = 0; i < guest.ram_pages; i++) {
        void *page = control_map(guest.domid, FIRST_GFN + i);

        if (page == NULL) {
            return report(false, "map page %lu", i);
        }
        tell(WITNESS_FRAME, page);
        control_unmap(page);
    }
    tell(WITNESS_BASE, pages);
    return true;
}

static bool start_guest(const void *dtb)
{
    const struct witness_bundle *bundle;
    const void *start;
    size_t bytes;
    int rc = control_ramdisk(dtb, &start, &bytes);

    bundle = start;
    if (!report(rc == 0 && bundle->magic == WITNESS_MAGIC, "a Linux guest came as ramdisk")) {
        return false;
    }
    rc = control_guest_create(&guest, bundle->ram_bytes, bundle->vcpus);
    for (unsigned i = 0; rc == 0 && i < WITNESS_PIECES; i++) {
        rc = control_guest_copy(&guest, bundle->piece[i].ipa,
                                (const uint8_t *)start + bundle->piece[i].offset,
                                bundle->piece[i].bytes);
    }
    if (rc == 0) {
        rc = control_guest_point(&guest, bundle->entry, bundle->tree);
    }
    if (rc == 0 && guest.ram_pages <= PAGES_MAX && tell_frames()) {
        rc = control_guest_unpause(&guest);
    }
    return report(rc == 0 && guest.ram_pages <= PAGES_MAX, "start %u vCPUs, %lu pages: %d",
                  bundle->vcpus, guest.ram_pages, rc);
}

static bool wait_for_load(uint64_t seconds)
{
    uint64_t end = timer_count() + seconds * timer_hz();
    uint32_t code;

    while (!tail_holds(READY)) {
        if (control_guest_poll(&guest, &code) || timer_count() > end) {
            return report(false, "the load of the guest runs");
        }
        sleep_us(20000);
    }
    return report(true, "the load of the guest runs");
}

/* A store that changes nothing, whatever the guest does to the same word. */
static void store_same(void *word)
{
    uint64_t value;
    uint32_t failed;

    __asm__ volatile("1: ldxr %0, [%2]\n stxr %w1, %0, [%2]\n cbnz %w1, 1b"
                     : "=&r"(value), "=&r"(failed)
                     : "r"(word)
                     : "memory");
}

static void write_as_control(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        store_same(held[i]);
    }
}

/*
 * Maps other pages than before, and writes to half of them already. Between sessions: unmapping
 * invalidates, and an emulator that forgets all translations then would hide a missing
 * invalidation in a round.
 */
static bool hold_pages(void)
{
    static uint64_t page;

    for (unsigned i = 0; i < HELD_PAGES; i++) {
        page = (page + 4099) % guest.ram_pages;
        if (held[i] != NULL && control_unmap(held[i]) != 0) {
            return false;
        }
        held[i] = control_map(guest.domid, FIRST_GFN + page);
        if (held[i] == NULL) {
            return false;
        }
    }
    write_as_control(HELD_PAGES / 2);
    return true;
}

static void let_go(void)
{
    for (unsigned i = 0; i < HELD_PAGES; i++) {
        if (held[i] != NULL) {
            control_unmap(held[i]);
        }
    }
}

/* The same as a CLEAN, by Godwit's own call. */
static bool take_ranges(bool final)
{
    struct godwit_dirty_ranges op = {
        .domid = guest.domid,
        .flags = final ? GODWIT_DIRTY_FINAL : 0,
        .end_gfn = FIRST_GFN + guest.ram_pages,
        .ranges = (uint64_t)ranges,
    };

    memset(bitmap, 0, sizeof(bitmap));
    while (op.first_gfn != op.end_gfn) {
        op.count = RANGES;
        if (hypercall(GODWIT_HYPERCALL, GODWIT_OP_DIRTY_RANGES, (uint64_t)&op, 0, 0, 0) != 0) {
            return false;
        }
        for (uint32_t i = 0; i < op.count; i++) {
            for (uint64_t page = 0; page < ranges[i].pages; page++) {
                uint64_t gfn = ranges[i].first_gfn + page;

                bitmap[gfn / 8] |= (uint8_t)(1u << gfn % 8);
            }
        }
    }
    return true;
}

static bool clean(bool final)
{
    return control_shadow(guest.domid, XEN_DOMCTL_SHADOW_OP_CLEAN,
                          final ? XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL : 0, bitmap,
                          FIRST_GFN + guest.ram_pages)
               .rc == 0;
}

/* One round's report, by one of the two calls. */
static bool harvest(bool by_ranges, bool final)
{
    bool good = by_ranges ? take_ranges(final) : clean(final);

    tell(WITNESS_CLEANED, pages);
    for (uint64_t i = 0; i < guest.ram_pages / 8; i++) {
        for (uint32_t byte = bitmap[FIRST_GFN / 8 + i]; byte != 0; byte &= byte - 1) {
            tell(WITNESS_REPORTED, pages + 8 * i + (unsigned)__builtin_ctz(byte));
        }
    }
    tell(WITNESS_END, pages);
    return good;
}

/* ENABLE, in the mode that is asked for and in no other. */
static bool enable(uint32_t mode)
{
    struct godwit_logdirty how = {
        .domid = guest.domid,
        .tracking = (mode & WITNESS_HARDWARE) ? GODWIT_TRACKING_HARDWARE : GODWIT_TRACKING_FAULT,
        .split = (mode & WITNESS_EAGER) ? GODWIT_SPLIT_EAGER : GODWIT_SPLIT_LAZY,
    };
    struct godwit_stats stats = {.domid = guest.domid, .bytes = sizeof(stats)};

    return hypercall(GODWIT_HYPERCALL, GODWIT_OP_LOGDIRTY, (uint64_t)&how, 0, 0, 0) == 0 &&
           control_shadow(guest.domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL, 0).rc == 0 &&
           hypercall(GODWIT_HYPERCALL, GODWIT_OP_STATS, (uint64_t)&stats, 0, 0, 0) == 0 &&
           stats.tracking == how.tracking && stats.split == how.split;
}

/* ENABLE, rounds while the guest runs, the last one while it is paused, OFF. */
static bool run_session(uint32_t mode, uint64_t rounds, uint64_t round_us)
{
    bool good = hold_pages() && enable(mode);

    tell(WITNESS_START, pages + mode);
    for (uint64_t round = 1; good && round < rounds; round++) {
        write_as_control(HELD_PAGES);
        sleep_us(round_us);
        good = harvest(round % 2 != 0, false) && good;
    }
    sleep_us(round_us);
    good = good && control_guest_pause(&guest) == 0;
    tell(WITNESS_STILL, pages);
    good = good && harvest((mode & WITNESS_EAGER) != 0, true);
    tell(WITNESS_STOP, pages);
    good = control_shadow(guest.domid, XEN_DOMCTL_SHADOW_OP_OFF, 0, NULL, 0).rc == 0 && good;
    return control_guest_unpause(&guest) == 0 && good;
}

/* Sessions until there were so many rounds; blocks are split lazily and eagerly by turns. */
static bool run_rounds(const void *dtb, uint32_t tracking)
{
    uint64_t rounds = control_option(dtb, "rounds", 100);
    uint64_t session = control_option(dtb, "session", 50);
    uint32_t split = WITNESS_LAZY;
    uint64_t done = 0;
    bool good = true;

    while (good && done < rounds) {
        session = rounds - done < session ? rounds - done : session;
        good = run_session(tracking | split, session, control_option(dtb, "round_us", 5000));
        split ^= WITNESS_EAGER;
        done += session;
        print("%lu rounds\n", done);
    }
    return report(good, "%lu rounds, noticed by %s", done,
                  tracking == WITNESS_HARDWARE ? "the MMU" : "faults");
}

void guest_main(const void *dtb)
{
    uint32_t code;

    if (!start_guest(dtb) || !wait_for_load(control_option(dtb, "boot_s", 120))) {
        return;
    }
    if (control_option(dtb, "fault", 1) != 0) {
        run_rounds(dtb, WITNESS_FAULT);
    }
    if (control_option(dtb, "hardware", 0) != 0) {
        run_rounds(dtb, WITNESS_HARDWARE);
    }
    let_go();
    report(!control_guest_poll(&guest, &code), "the guest runs on");
    report(control_guest_destroy(&guest) == 0, "destroy the guest");
}
