/* SPDX-License-Identifier: MIT */
/* The dirty log: states, marks, harvests and their sessions, one thing at a time. */
#include "log_util.h"

static void logging_starts_clean_and_lazily(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(64));
    store(MIB(1));
    assert_false(dirty_log_is_on(&vm));
    enable_log(&vm);
    assert_true(dirty_log_is_on(&vm));
    fake_check_tlbs(&vm);
    assert_int_equal(dirty_log_count(&vm), 0);
    assert_int_equal(dirty_log_limit_gfn(&vm), MIB(64) >> PAGE_SHIFT);
    if (log_options.eager_split) {
        assert_int_equal(stats().leaves[3], 32 * 512);
        assert_int_equal(stats().tables_prepaid, 0);
        end_vm(&vm);
        return;
    }
    /* Blocks are still blocks, closed, with a table set aside for each. */
    assert_int_equal(stats().leaves[2], 32);
    assert_int_equal(stats().tables_prepaid, 32);
    assert_false(s2_lookup(&vm, ipa_make(MIB(1))).writable);
    assert_int_equal(s2_lookup(&vm, ipa_make(MIB(1))).type, S2_RAM_RW);
    /* The first write splits one block and opens one page of it. */
    store(MIB(1));
    assert_int_equal(stats().leaves[2], 31);
    assert_int_equal(stats().tables_prepaid, 31);
    assert_int_equal(stats().faults_split, 1);
    assert_int_equal(stats().faults_first_write, first_write_faults(1));
    assert_int_equal(dirty_log_count(&vm), 1);
    assert_true(s2_lookup(&vm, ipa_make(MIB(1))).writable);
    assert_false(s2_lookup(&vm, ipa_make(MIB(1) + KIB(4))).writable);
    store(MIB(1));
    assert_int_equal(stats().faults_first_write, first_write_faults(1));
    end_vm(&vm);
}

static void a_gibibyte_block_splits_down_to_a_page(void **state)
{
    uint64_t prepaid;

    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, GIB(1), GIB(1));
    enable_log(&vm);
    prepaid = log_options.eager_split ? 0 : BLOCKS_OF_1G ? 513 : 512;
    assert_int_equal(stats().tables_prepaid, prepaid);
    store(GIB(2) - KIB(4));
    assert_int_equal(stats().tables_prepaid, log_options.eager_split ? 0 : 511);
    assert_int_equal(dirty_log_count(&vm), 1);
    log_off(&vm);
    assert_int_equal(stats().leaves[1], BLOCKS_OF_1G ? 1 : 0);
    assert_int_equal(stats().leaves[2], BLOCKS_OF_1G ? 0 : 512);
    assert_int_equal(stats().leaves[3], 0);
    assert_int_equal(stats().tables_prepaid, 0);
    end_vm(&vm);
}

static void reading_marks_nothing(void **state)
{
    uint64_t value;

    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(2));
    enable_log(&vm);
    for (uint64_t ipa = 0; ipa < MIB(2); ipa += KIB(4)) {
        assert_int_equal(fake_load(&vm, ipa_make(ipa), &value), FAKE_DONE);
    }
    assert_int_equal(dirty_log_count(&vm), 0);
    assert_int_equal(harvest(), 0);
    end_vm(&vm);
}

static void each_write_is_reported_once_per_round(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(4));
    enable_log(&vm);
    for (unsigned round = 0; round < 3; round++) {
        store(0);
        store(MIB(4) - KIB(4));
        store(KIB(4) * 63);
        store(KIB(4) * 64);
        assert_int_equal(dirty_log_count(&vm), 4);
        assert_int_equal(harvest(), 4);
        assert_true(test_bit(bits, 0));
        assert_true(test_bit(bits, 1023));
        assert_true(test_bit(bits, 63));
        assert_true(test_bit(bits, 64));
        assert_int_equal(dirty_log_count(&vm), 0);
    }
    assert_int_equal(harvest(), 0);
    assert_false(test_bit(bits, 0));
    assert_int_equal(stats().faults_first_write, first_write_faults(12));
    end_vm(&vm);
}

/* The other CPU opens the page; ours still holds the closed entry and must get rid of it. */
static void a_stale_closed_entry_costs_one_fault(void **state)
{
    uint64_t value;

    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(2));
    enable_log(&vm);
    assert_int_equal(fake_load(&vm, ipa_make(0), &value), FAKE_DONE);
    fake_cpu = 1;
    store(0);
    fake_cpu = 0;
    store(0); /* the split has invalidated everything: this one finds the page open */
    harvest();
    assert_int_equal(fake_load(&vm, ipa_make(0), &value), FAKE_DONE);
    fake_cpu = 1;
    store(0);
    fake_cpu = 0;
    assert_int_equal(stats().faults_spurious, 0);
    store(0);
    store(0);
    assert_int_equal(stats().faults_spurious, first_write_faults(1));
    end_vm(&vm);
}

static void every_page_of_a_region_is_found(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    /* Shorter than a word, not at a word's start, with a hole in the word. */
    map_ram(&vm, KIB(4) * 5, KIB(4) * 3);
    map_ram(&vm, KIB(4) * 60, KIB(4) * 70);
    enable_log(&vm);
    assert_int_equal(dirty_log_limit_gfn(&vm), 130);
    for (uint64_t gfn = 0; gfn < 140; gfn++) {
        bool mapped = (gfn >= 5 && gfn < 8) || (gfn >= 60 && gfn < 130);

        assert_int_equal(fake_store(&vm, ipa_from_gfn(gfn), 1), mapped ? FAKE_DONE : FAKE_UNMAPPED);
        assert_int_equal(harvest(), mapped);
        assert_int_equal(test_bit(bits, gfn), mapped);
    }
    end_vm(&vm);
}

static void pages_at_the_edges_of_chunks_and_of_the_space(void **state)
{
    const uint64_t top = (UINT64_C(1) << 36) - 1;
    const uint64_t gfns[] = {0, CHUNK - 1, CHUNK, 3 * CHUNK - 1, top};

    (void)state;
    make_vm(&vm, 48);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(
            s2_map(&vm, ipa_from_gfn(gfns[i]), frame_for(KIB(4) * i), KIB(4), S2_RAM_RW), 0);
    }
    enable_log(&vm);
    assert_int_equal(dirty_log_limit_gfn(&vm), top + 1);
    for (unsigned i = 0; i < 5; i++) {
        store(gfns[i] << PAGE_SHIFT);
    }
    assert_int_equal(dirty_log_count(&vm), 5);
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    for (unsigned i = 0; i < 5; i++) {
        uint64_t first = gfns[i] & ~(uint64_t)63;

        assert_int_equal(dirty_log_harvest_take(&vm, first, 64, bits), 1);
        assert_true(test_bit(bits, gfns[i] - first));
        assert_int_equal(dirty_log_harvest_take(&vm, first, 64, bits), 0);
    }
    /* A range that no chunk backs, and one above everything: zeros. */
    memset(bits, 0xff, sizeof(bits));
    assert_int_equal(take(4 * CHUNK), 0);
    assert_int_equal(bits[0] | bits[sizeof(bits) - 1], 0);
    assert_int_equal(take(UINT64_C(1) << 36), 0);
    dirty_log_harvest_commit(&vm);
    end_vm(&vm);
}

static void a_partial_harvest_leaves_the_rest(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(32));
    enable_log(&vm);
    for (uint64_t gfn = 0; gfn < 8192; gfn += 64) {
        store(gfn << PAGE_SHIFT);
    }
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    /* Inside one summary word, and across two. */
    assert_int_equal(dirty_log_harvest_take(&vm, 128, 192, bits), 3);
    assert_int_equal(dirty_log_harvest_take(&vm, 4032, 128, bits), 2);
    dirty_log_harvest_commit(&vm);
    assert_int_equal(dirty_log_count(&vm), 128 - 5);
    assert_int_equal(harvest(), 128 - 5);
    assert_false(test_bit(bits, 128));
    assert_true(test_bit(bits, 320));
    end_vm(&vm);
}

static void abort_puts_all_chunks_back(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(384));
    enable_log(&vm);
    store(KIB(4));
    store(MIB(200));
    store(MIB(384) - KIB(4));
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    assert_int_equal(take(0), 1);
    assert_int_equal(take(CHUNK), 1);
    store(KIB(8)); /* meanwhile */
    abort_session(&vm);
    assert_int_equal(dirty_log_count(&vm), 4);
    /* What a committed session took does not come back with a later abort. */
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    assert_int_equal(take(0), 2);
    assert_true(test_bit(bits, 1));
    assert_true(test_bit(bits, 2));
    dirty_log_harvest_commit(&vm);
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    assert_int_equal(take(CHUNK), 1);
    abort_session(&vm);
    assert_int_equal(dirty_log_count(&vm), 2);
    assert_int_equal(harvest(), 0);
    end_vm(&vm);
}

static void untake_gives_single_pages_back(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(2));
    enable_log(&vm);
    for (uint64_t gfn = 0; gfn < 16; gfn++) {
        store(gfn << PAGE_SHIFT);
    }
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    assert_int_equal(take(0), 16);
    dirty_log_harvest_untake(&vm, 13, 100);
    assert_int_equal(dirty_log_count(&vm), 3);
    dirty_log_harvest_commit(&vm);
    assert_int_equal(harvest(), 3);
    assert_true(test_bit(bits, 13) && test_bit(bits, 14) && test_bit(bits, 15));
    end_vm(&vm);
}

static void there_is_one_session(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(2));
    assert_int_equal(dirty_log_harvest_begin(&vm), -CORE_EINVAL);
    fake_set_hardware_dirty(false);
    assert_int_equal(dirty_log_enable(&vm, &(struct dirty_log_options){.hardware = true}),
                     -CORE_EINVAL);
    fake_set_hardware_dirty(true);
    assert_int_equal(dirty_log_enable(&vm, &log_options), -CORE_ERESTART);
    assert_int_equal(dirty_log_harvest_begin(&vm), -CORE_EBUSY);
    assert_true(dirty_log_is_on(&vm));
    enable_log(&vm);
    assert_int_equal(dirty_log_enable(&vm, &log_options), -CORE_EBUSY);
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    assert_int_equal(dirty_log_harvest_begin(&vm), -CORE_EBUSY);
    abort_session(&vm);
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    store(0);
    /* Off ends the session; what its owner still does has no effect. */
    log_off(&vm);
    assert_int_equal(take(0), 0);
    abort_session(&vm);
    dirty_log_harvest_commit(&vm);
    dirty_log_harvest_untake(&vm, 0, 64);
    assert_int_equal(dirty_log_harvest_begin(&vm), -CORE_EINVAL);
    enable_log(&vm);
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    assert_int_equal(take(0), 0);
    end_vm(&vm);
}

static void peek_changes_nothing(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(2));
    memset(bits, 0xff, sizeof(bits));
    assert_int_equal(dirty_log_peek(&vm, 0, CHUNK, bits), 0);
    assert_int_equal(bits[7], 0);
    enable_log(&vm);
    store(KIB(4) * 77);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(dirty_log_peek(&vm, 0, CHUNK, bits), 1);
        assert_true(test_bit(bits, 77));
        assert_int_equal(dirty_log_peek(&vm, 0, 64, bits), 0);
    }
    assert_int_equal(harvest(), 1);
    end_vm(&vm);
}

static void other_writers_mark_ram_only(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(2));
    assert_int_equal(s2_map(&vm, ipa_make(MIB(2)), frame_for(MIB(2)), KIB(4), S2_RAM_RO), 0);
    assert_int_equal(s2_map(&vm, ipa_make(MIB(4)), frame_for(MIB(4)), KIB(4), S2_SHARED), 0);
    assert_int_equal(s2_map(&vm, ipa_make(MIB(6)), frame_for(MIB(6)), KIB(4), S2_FOREIGN_RW), 0);
    dirty_log_mark(&vm, ipa_make(0), DIRTY_WRITER_DEVICE); /* logging is off */
    enable_log(&vm);
    assert_int_equal(dirty_log_count(&vm), 0);
    dirty_log_mark(&vm, ipa_make(MIB(1) + 5), DIRTY_WRITER_DEVICE);
    dirty_log_mark(&vm, ipa_make(MIB(2)), DIRTY_WRITER_DEVICE);
    dirty_log_mark(&vm, ipa_make(MIB(4)), DIRTY_WRITER_DEVICE);
    dirty_log_mark(&vm, ipa_make(MIB(6)), DIRTY_WRITER_DEVICE);
    dirty_log_mark(&vm, ipa_make(MIB(8)), DIRTY_WRITER_DEVICE);
    dirty_log_mark(&vm, ipa_make(GIB(8)), DIRTY_WRITER_DEVICE);
    dirty_log_mark(&vm, ipa_make(~UINT64_C(0)), DIRTY_WRITER_DEVICE);
    /* A mark opens nothing and splits nothing. */
    assert_int_equal(s2_lookup(&vm, ipa_make(MIB(1))).bytes,
                     log_options.eager_split ? KIB(4) : MIB(2));
    assert_int_equal(harvest(), 2);
    assert_true(test_bit(bits, 256));
    assert_true(test_bit(bits, 512));
    end_vm(&vm);
}

static void off_restores_blocks_and_memory(void **state)
{
    struct s2_stats before, after;
    uint64_t pages;

    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, KIB(4), GIB(1) + MIB(4));
    before = stats();
    pages = fake_pages_allocated();
    for (unsigned round = 0; round < 2; round++) {
        enable_log(&vm);
        for (uint64_t ipa = KIB(4); ipa < GIB(1) + MIB(4); ipa += MIB(1)) {
            store(ipa);
        }
        (void)harvest();
        log_off(&vm);
        fake_check_tlbs(&vm);
        after = stats();
        assert_memory_equal(before.leaves, after.leaves, sizeof(before.leaves));
        assert_int_equal(fake_pages_allocated(), pages);
        /* A full rewrite takes no fault. */
        for (uint64_t ipa = KIB(4); ipa < GIB(1) + MIB(4); ipa += KIB(256)) {
            store(ipa);
        }
        assert_int_equal(stats().faults_first_write, after.faults_first_write);
        assert_int_equal(stats().faults_spurious, after.faults_spurious);
    }
    assert_int_equal(dirty_log_off(&vm), 0);
    end_vm(&vm);
}

static void enabling_in_steps_can_be_undone_anywhere(void **state)
{
    struct s2_stats before, after;
    int result = -CORE_ERESTART;

    (void)state;
    for (unsigned steps = 0; result != 0; steps++) {
        uint64_t pages;

        make_vm(&vm, 40);
        map_ram(&vm, 0, GIB(1));
        for (uint64_t ipa = GIB(2); ipa < GIB(2) + MIB(64); ipa += KIB(8)) {
            map_ram(&vm, ipa, KIB(4)); /* makes the sweep take several steps */
        }
        before = stats();
        pages = fake_pages_allocated();
        for (unsigned i = 0; i <= steps; i++) {
            result = dirty_log_enable(&vm, &log_options);
            store(MIB(5)); /* the guest runs on */
        }
        assert_true(result == 0 || result == -CORE_ERESTART);
        assert_true(steps < 100);
        log_off(&vm);
        after = stats();
        assert_memory_equal(before.leaves, after.leaves, sizeof(before.leaves));
        assert_int_equal(fake_pages_allocated(), pages);
        end_vm(&vm);
    }
}

static void an_abandoned_off_is_finished_by_enable(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(64));
    for (unsigned steps = 1; steps <= 4; steps++) {
        enable_log(&vm);
        store(MIB(7));
        for (unsigned i = 0; i < steps; i++) {
            int result = dirty_log_off(&vm);

            /* Three steps for a few tables; more where all blocks were split. */
            assert_true(result == -CORE_ERESTART || (result == 0 && i == 3));
            assert_true(log_options.eager_split || i < 3 || result == 0);
            assert_false(dirty_log_is_on(&vm));
            store(MIB(9)); /* open and not marked */
            dirty_log_mark(&vm, ipa_make(0), DIRTY_WRITER_DEVICE);
        }
        enable_log(&vm);
        assert_int_equal(dirty_log_count(&vm), 0);
        store(MIB(9));
        assert_int_equal(dirty_log_count(&vm), 1);
        log_off(&vm);
    }
    end_vm(&vm);
}

static void enable_without_memory_changes_nothing(void **state)
{
    int result = -CORE_ENOMEM;

    (void)state;
    for (long n = 0; result != 0; n++) {
        uint64_t pages;

        make_vm(&vm, 40);
        map_ram(&vm, 0, MIB(16));
        map_ram(&vm, GIB(1), MIB(16));
        pages = fake_pages_allocated();
        fake_fail_allocation(n);
        do {
            result = dirty_log_enable(&vm, &log_options);
        } while (result == -CORE_ERESTART);
        fake_fail_allocation(-1);
        if (result != 0) {
            assert_int_equal(result, -CORE_ENOMEM);
            assert_false(dirty_log_is_on(&vm));
            assert_int_equal(fake_pages_allocated(), pages);
            store(MIB(3));
            assert_int_equal(stats().faults_first_write, 0);
        } else {
            /* The directory, a group of records, two chunks, tables for 16 blocks by threes. */
            assert_int_equal(n, 1 + 1 + 2 + 6);
        }
        end_vm(&vm);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(logging_starts_clean_and_lazily),
        TEST(a_gibibyte_block_splits_down_to_a_page),
        TEST(reading_marks_nothing),
        TEST(each_write_is_reported_once_per_round),
        TEST(a_stale_closed_entry_costs_one_fault),
        TEST(every_page_of_a_region_is_found),
        TEST(pages_at_the_edges_of_chunks_and_of_the_space),
        TEST(a_partial_harvest_leaves_the_rest),
        TEST(abort_puts_all_chunks_back),
        TEST(untake_gives_single_pages_back),
        TEST(there_is_one_session),
        TEST(peek_changes_nothing),
        TEST(other_writers_mark_ram_only),
        TEST(off_restores_blocks_and_memory),
        TEST(enabling_in_steps_can_be_undone_anywhere),
        TEST(an_abandoned_off_is_finished_by_enable),
        TEST(enable_without_memory_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
