/* SPDX-License-Identifier: MIT */
/*
 * Drives a Linux guest under load through rounds of the dirty log, and tells the plugin that
 * watches all stores (tests/witness/) what each CLEAN has reported. It writes to a few pages of the
 * guest itself, and judges nothing. The guest comes as our ramdisk, a struct witness_bundle.
 * Options: rounds=N, session=N (rounds between ENABLE and OFF), round_us=N, boot_s=N.
 */
#include "control.h"

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
#define HELD_PAGES 4u         /* of the guest that we write too */
#define READY      " workers" /* what the load prints last (tests/witness/load.c) */

/* One byte a page: where we read tells the plugin which page we mean. */
static const uint8_t pages[PAGES_MAX + 4096];
static uint8_t bitmap[(FIRST_GFN + PAGES_MAX) / 8] __attribute__((aligned(4096)));
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

/* Lets go of the page that we held longest, takes another one, and writes to all that we hold. */
static bool write_as_control(uint64_t round)
{
    void **slot = &held[round % HELD_PAGES];
    uint64_t page = round * 0x9e3779b97f4a7c15u % guest.ram_pages;

    if (*slot != NULL && control_unmap(*slot) != 0) {
        return false;
    }
    *slot = control_map(guest.domid, FIRST_GFN + page);
    for (unsigned i = 0; i < HELD_PAGES; i++) {
        if (held[i] != NULL) {
            store_same(held[i]);
        }
    }
    return *slot != NULL;
}

static void let_go(void)
{
    for (unsigned i = 0; i < HELD_PAGES; i++) {
        if (held[i] != NULL) {
            control_unmap(held[i]);
        }
    }
}

static bool clean(uint32_t mode)
{
    struct shadow_result result = control_shadow(guest.domid, XEN_DOMCTL_SHADOW_OP_CLEAN, mode,
                                                 bitmap, FIRST_GFN + guest.ram_pages);

    tell(WITNESS_CLEANED, pages);
    for (uint64_t i = 0; i < guest.ram_pages / 8; i++) {
        for (uint32_t byte = bitmap[FIRST_GFN / 8 + i]; byte != 0; byte &= byte - 1) {
            tell(WITNESS_REPORTED, pages + 8 * i + (unsigned)__builtin_ctz(byte));
        }
    }
    tell(WITNESS_END, pages);
    return result.rc == 0;
}

/* ENABLE, rounds while the guest runs, the last one while it is paused, OFF. */
static bool run_session(uint64_t rounds, uint64_t round_us)
{
    bool good =
        control_shadow(guest.domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL, 0).rc == 0;

    tell(WITNESS_START, pages);
    for (uint64_t round = 1; good && round < rounds; round++) {
        good = write_as_control(round);
        sleep_us(round_us);
        good = clean(0) && good;
    }
    sleep_us(round_us);
    good = good && control_guest_pause(&guest) == 0;
    tell(WITNESS_STILL, pages);
    good = good && clean(XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL);
    tell(WITNESS_STOP, pages);
    good = control_shadow(guest.domid, XEN_DOMCTL_SHADOW_OP_OFF, 0, NULL, 0).rc == 0 && good;
    return control_guest_unpause(&guest) == 0 && good;
}

void guest_main(const void *dtb)
{
    uint64_t rounds = control_option(dtb, "rounds", 100);
    uint64_t session = control_option(dtb, "session", 50);
    uint64_t done = 0;
    uint32_t code;
    bool good;

    if (!start_guest(dtb) || !wait_for_load(control_option(dtb, "boot_s", 120))) {
        return;
    }
    for (good = true; good && done < rounds; done += session) {
        session = rounds - done < session ? rounds - done : session;
        good = run_session(session, control_option(dtb, "round_us", 5000));
        print("%lu rounds\n", done + session);
    }
    report(good, "%lu rounds", done);
    let_go();
    report(!control_guest_poll(&guest, &code), "the guest runs on");
    report(control_guest_destroy(&guest) == 0, "destroy the guest");
}
