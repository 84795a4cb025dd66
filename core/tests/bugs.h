/* SPDX-License-Identifier: MIT */
/*
 * The setting of the tests that are named after bugs which lost dirty pages elsewhere: one VM, a
 * copy that harvests keep, and another CPU that acts at a chosen point of an operation. The list of
 * the bugs: docs/design/dirty-log.md.
 */
#ifndef TESTS_BUGS_H
#define TESTS_BUGS_H

#include "log_util.h"

#define PAGES 1536u /* three blocks */

typedef void (*action_fn)(void);

static uint64_t copy[PAGES];
static uint64_t next_value;
static action_fn hook_action;
static long hook_point;
static long points_seen;
static bool acting;

static inline ipa_t ipa_of(uint64_t gfn)
{
    return ipa_from_gfn(gfn);
}

static inline uint64_t word_of(uint64_t gfn)
{
    return *fake_word(s2_lookup(&vm, ipa_of(gfn)).pa);
}

static inline void copy_all(void)
{
    for (uint64_t gfn = 0; gfn < PAGES; gfn++) {
        copy[gfn] = word_of(gfn);
    }
}

/* RAM of PAGES pages, as blocks or as pages; logging on; the copy is made. */
static inline void start(bool blocks)
{
    make_vm(&vm, 40);
    for (uint64_t gfn = 0; gfn < PAGES; gfn += blocks ? PAGES : 256) {
        map_ram(&vm, gfn << PAGE_SHIFT, blocks ? MIB(6) : MIB(1));
    }
    enable_log(&vm);
    copy_all();
}

/* A value that nobody has stored yet. The CPU gives up where the operation that it interrupts
 * cannot go on: then nothing was written. */
static inline void write_page(uint64_t gfn)
{
    (void)fake_store(&vm, ipa_of(gfn), ++next_value);
}

/* What the harvest reports is copied. */
static inline uint64_t round_trip(void)
{
    uint8_t dirty[PAGES / 8];
    uint64_t taken;

    if (dirty_log_harvest_begin(&vm) != 0) {
        return 0;
    }
    taken = dirty_log_harvest_take(&vm, 0, PAGES, dirty);
    for (uint64_t gfn = 0; gfn < PAGES; gfn++) {
        if (test_bit(dirty, gfn) && s2_lookup(&vm, ipa_of(gfn)).type != S2_NONE) {
            copy[gfn] = word_of(gfn);
        }
    }
    dirty_log_harvest_commit(&vm);
    return taken;
}

/* Each page is marked or not writable, and no TLB holds what the tables do not say. */
static inline void check_invariant(void)
{
    uint8_t dirty[PAGES / 8];

    (void)dirty_log_peek(&vm, 0, PAGES, dirty);
    for (uint64_t gfn = 0; gfn < PAGES; gfn++) {
        struct s2_leaf leaf = s2_lookup(&vm, ipa_of(gfn));

        if (leaf.type == S2_RAM_RW && leaf.writable && !test_bit(dirty, gfn)) {
            fake_die("page %u is open and unmarked", (unsigned)gfn);
        }
    }
    fake_check_tlbs(&vm);
}

/* The last round; then the copy must be the guest. Ends the VM. */
static inline void finish(void)
{
    s2_drain(&vm);
    check_invariant();
    (void)round_trip();
    for (uint64_t gfn = 0; gfn < PAGES; gfn++) {
        if (s2_lookup(&vm, ipa_of(gfn)).type != S2_NONE && copy[gfn] != word_of(gfn)) {
            fake_die("page %u is lost", (unsigned)gfn);
        }
    }
    end_vm(&vm);
}

static inline void inject(void)
{
    unsigned cpu = fake_cpu;

    if (acting || vm.lock.writing) {
        return;
    }
    /* Who waits for a descriptor in transit would wait for the operation that it interrupts. */
    if (points_seen++ == hook_point && fake_entries_locked() == 0) {
        acting = true;
        fake_cpu = cpu + 1;
        hook_action();
        fake_cpu = cpu;
        acting = false;
    }
}

/* Runs outer while action happens on the next CPU at that point of it. False: it has fewer. */
static inline bool run_with(action_fn outer, action_fn action, long point)
{
    hook_action = action;
    hook_point = point;
    points_seen = 0;
    fake_hook = inject;
    outer();
    fake_hook = NULL;
    return point < points_seen;
}

#endif
