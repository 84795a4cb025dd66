/* SPDX-License-Identifier: MIT */
/* Windows on leaf tables: what they show, where they miss, and that nothing old is left in them. */
#include "log_util.h"

static uint64_t hits(void)
{
    static uint64_t before;
    uint64_t now = fake_window_hits();
    uint64_t since = now - before;

    before = now;
    return since;
}

static uint64_t misses(void)
{
    static uint64_t before;
    uint64_t now = fake_window_misses();
    uint64_t since = now - before;

    before = now;
    return since;
}

static int start(void **state)
{
    fresh_machine(state);
    (void)hits();
    (void)misses();
    return 0;
}

/* Every CPU writes the page, so every CPU has looked at its leaf table through the window. */
static void store_from_all_cpus(uint64_t ipa)
{
    uint8_t taken[CHUNK / 8];

    for (fake_cpu = 0; fake_cpu < FAKE_CPUS; fake_cpu++) {
        store(ipa);
        assert_int_equal(dirty_log_harvest_begin(&vm), 0);
        (void)dirty_log_harvest_take(&vm, ipa / PAGE_SIZE_BYTES / CHUNK * CHUNK, CHUNK, taken);
        dirty_log_harvest_commit(&vm);
    }
    fake_cpu = 0;
}

static void a_page_is_found_through_the_window(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, KIB(4), KIB(16));
    enable_log(&vm);
    for (uint64_t ipa = KIB(4); ipa < KIB(20); ipa += KIB(4)) {
        store(ipa);
    }
    assert_int_equal(hits(), 4);
    assert_int_equal(misses(), 0);
    assert_int_equal(harvest(), 4);
    assert_int_equal(misses(), 0);
    end_vm(&vm);
}

/* Whatever is there: the same descriptor as the walk's. */
static void finding_agrees_with_the_walk(void **state)
{
    static const uint64_t places[] = {
        MIB(2),  KIB(4),          /* a block; a page */
        KIB(12), MIB(32), GIB(9), /* a hole in a table, a table without entries, no table */
    };

    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, KIB(4), KIB(4));
    map_ram(&vm, MIB(2), MIB(2));
    map_ram(&vm, MIB(32), KIB(4));
    assert_int_equal(s2_unmap(&vm, ipa_make(MIB(32)), KIB(4), NULL, NULL), 0);
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct s2_pos walked = s2_find(&vm, ipa_make(places[i]));
        struct s2_pos found = s2_find_page(&vm, ipa_make(places[i]));

        if (found.level != S2_LEVEL_PAGE || !s2_pos_is_leaf(&found)) {
            found = s2_find_other(&vm, ipa_make(places[i]));
        }
        assert_ptr_equal(found.entry, walked.entry);
        assert_int_equal(found.old, walked.old);
        assert_int_equal(found.base.addr, walked.base.addr);
        assert_int_equal(found.level, walked.level);
    }
    end_vm(&vm);
}

static void blocks_and_holes_are_missed_and_walked(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, MIB(2), MIB(4));
    assert_int_equal(s2_map(&vm, ipa_make(MIB(6)), frame_for(MIB(6)), MIB(2), S2_RAM_RO), 0);
    enable_log(&vm);
    /* The first store misses at the block and splits it; the next one finds the page. */
    store(MIB(2));
    assert_int_equal(misses(), 1);
    store(MIB(2) + KIB(4));
    assert_int_equal(hits(), 1);
    /* A block that stays one, a hole without a table and a hole in a table. */
    assert_int_equal(fake_store(&vm, ipa_make(MIB(6)), 1), FAKE_READONLY);
    assert_int_equal(fake_store(&vm, ipa_make(GIB(3)), 1), FAKE_UNMAPPED);
    assert_int_equal(misses(), 2);
    assert_int_equal(s2_unmap(&vm, ipa_make(MIB(3)), KIB(4), NULL, NULL), 0);
    assert_int_equal(fake_store(&vm, ipa_make(MIB(3)), 1), FAKE_UNMAPPED);
    assert_int_equal(hits(), 1);
    assert_int_equal(misses(), 0);
    end_vm(&vm);
}

/* Nothing makes a CPU see a new table at once: until it does, everything goes by the walk. */
static void a_table_may_be_seen_late(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(2));
    assert_int_equal(s2_map(&vm, ipa_make(MIB(2)), frame_for(MIB(4)), KIB(4), S2_FOREIGN_RW), 0);
    enable_log(&vm);
    fake_window_blind(true);
    store(0);
    store(KIB(4));
    assert_int_equal(fake_store(&vm, ipa_make(MIB(2)), 1), FAKE_FOREIGN);
    assert_true(s2_open_foreign(&vm, ipa_make(MIB(2)), frame_for(MIB(4))));
    assert_int_equal(hits(), 0);
    fake_window_blind(false);
    store(KIB(8));
    assert_int_equal(hits(), 1);
    assert_int_equal(harvest(), 3);
    end_vm(&vm);
}

/* What another CPU meets while the block is between break and make. */
static bool met_transit;

static void store_during_split(void)
{
    if (fake_entries_locked() == 0) {
        return;
    }
    fake_hook = NULL;
    fake_cpu = 1;
    (void)misses();
    assert_int_equal(s2_fault_write(&vm, ipa_make(MIB(2) + KIB(8))), S2_FAULT_RETRY);
    assert_int_equal(misses(), 1);
    met_transit = true;
    fake_cpu = 0;
}

static void a_descriptor_in_transit_is_missed(void **state)
{
    (void)state;
    met_transit = false;
    make_vm(&vm, 40);
    map_ram(&vm, MIB(2), MIB(2));
    enable_log(&vm);
    fake_hook = store_during_split;
    store(MIB(2));
    fake_hook = NULL;
    assert_true(met_transit);
    assert_int_equal(dirty_log_count(&vm), 1);
    fake_cpu = 1;
    store(MIB(2) + KIB(8));
    fake_cpu = 0;
    assert_int_equal(harvest(), 2);
    end_vm(&vm);
}

static void splits_and_merges_are_followed(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(8));
    for (unsigned round = 0; round < 3; round++) {
        enable_log(&vm);
        for (uint64_t ipa = 0; ipa < MIB(8); ipa += MIB(2)) {
            store_from_all_cpus(ipa + KIB(4) * round);
        }
        assert_int_equal(stats().leaves[3], 4 * 512);
        assert_true(hits() >= 4 * (FAKE_CPUS - 1));
        /* All four tables go, and the pages are used for other things. */
        log_off(&vm);
        assert_int_equal(stats().leaves[2], 4);
    }
    end_vm(&vm);
}

static void a_gibibyte_never_becomes_one_block(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, GIB(1), GIB(1));
    /* Neither as it was mapped nor as it was merged does the window show guest memory. */
    for (unsigned round = 0; round < 2; round++) {
        enable_log(&vm);
        store(GIB(1) + KIB(4) * round);
        log_off(&vm);
    }
    assert_int_equal(stats().leaves[2], 512);
    end_vm(&vm);
}

static void empty_tables_leave_the_window(void **state)
{
    (void)state;
    make_vm(&vm, 48);
    map_ram(&vm, KIB(4), KIB(4));
    map_ram(&vm, GIB(1) + KIB(4), KIB(4));
    enable_log(&vm);
    store_from_all_cpus(KIB(4));
    store_from_all_cpus(GIB(1) + KIB(4));
    log_off(&vm);
    assert_int_equal(s2_unmap(&vm, ipa_make(0), GIB(2), NULL, NULL), 0);
    /* A block in the place of one, nothing in the place of the others, at two levels. */
    map_ram(&vm, 0, MIB(2));
    for (ipa_t cursor = ipa_make(0); s2_merge(&vm, &cursor) != 0;) {
    }
    enable_log(&vm);
    (void)misses();
    assert_int_equal(fake_store(&vm, ipa_make(GIB(1) + KIB(4)), 1), FAKE_UNMAPPED);
    assert_int_equal(misses(), 1);
    end_vm(&vm);
}

static void roots_of_every_shape(void **state)
{
    static const struct {
        uint8_t ipa_bits;
        uint64_t ipa;
    } cases[] = {
        {32, GIB(4) - KIB(4)},     {39, GIB(511)},
        {40, GIB(1024) - KIB(4)},  {43, GIB(7 * 1024) + MIB(6)},
        {44, GIB(16384) - KIB(4)}, {48, GIB(262144) - KIB(4)},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        make_vm(&vm, cases[i].ipa_bits);
        assert_int_equal(s2_map(&vm, ipa_make(cases[i].ipa), frame_for(MIB(4)), KIB(4), S2_RAM_RW),
                         0);
        map_ram(&vm, KIB(4), KIB(4));
        enable_log(&vm);
        (void)hits();
        store_from_all_cpus(cases[i].ipa);
        store_from_all_cpus(KIB(4));
        assert_true(hits() >= 2 * FAKE_CPUS);
        assert_int_equal(misses(), 0);
        end_vm(&vm);
    }
}

static void a_vmid_is_used_again(void **state)
{
    struct s2_vm other;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(s2_init(&vm, &(struct s2_config){.vmid = 1, .ipa_bits = 40}), 0);
        assert_int_equal(s2_init(&other, &(struct s2_config){.vmid = 2, .ipa_bits = 48}), 0);
        map_ram(&vm, MIB(2), KIB(8));
        map_ram(&other, MIB(2), KIB(4));
        enable_log(&vm);
        enable_log(&other);
        store_from_all_cpus(MIB(2));
        assert_int_equal(fake_store(&other, ipa_make(MIB(2)), 1), FAKE_DONE);
        /* Two windows side by side: a page that one VM has and the other has not. */
        assert_int_equal(fake_store(&other, ipa_make(MIB(2) + KIB(4)), 1), FAKE_UNMAPPED);
        store(MIB(2) + KIB(4));
        log_off(&other);
        assert_int_equal(s2_unmap(&other, ipa_make(0), GIB(1), NULL, NULL), 0);
        s2_destroy(&other);
        end_vm(&vm);
    }
}

static void without_a_window_nothing_is_made(void **state)
{
    (void)state;
    fake_window_no_room();
    assert_int_equal(s2_init(&vm, &(struct s2_config){.vmid = 1, .ipa_bits = 40}), -CORE_ENOMEM);
    assert_int_equal(fake_pages_allocated(), 0);
}

#define WINDOW_TEST(name) cmocka_unit_test_setup(name, start)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WINDOW_TEST(a_page_is_found_through_the_window),
        WINDOW_TEST(finding_agrees_with_the_walk),
        WINDOW_TEST(blocks_and_holes_are_missed_and_walked),
        WINDOW_TEST(a_table_may_be_seen_late),
        WINDOW_TEST(a_descriptor_in_transit_is_missed),
        WINDOW_TEST(splits_and_merges_are_followed),
        WINDOW_TEST(a_gibibyte_never_becomes_one_block),
        WINDOW_TEST(empty_tables_leave_the_window),
        WINDOW_TEST(roots_of_every_shape),
        WINDOW_TEST(a_vmid_is_used_again),
        WINDOW_TEST(without_a_window_nothing_is_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
