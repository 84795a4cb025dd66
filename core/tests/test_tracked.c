/* SPDX-License-Identifier: MIT */
/*
 * Pages whose first write the hardware notes in the descriptor. It may do so at any moment, also
 * while the write lock is held: here another CPU stores at each point inside an operation in turn.
 */
#include "log.h"

#include "log_util.h"

#define PAGES 512u

/* The CPU whose stores come in between, and where. */
static long store_at, point;
static uint64_t stores;

static void store_at_point(void)
{
    if (point++ == store_at) {
        unsigned cpu = fake_cpu;

        fake_cpu = 1;
        fake_hook = NULL;
        stores += fake_store_without_fault(&vm, ipa_from_gfn(3), 7);
        fake_hook = store_at_point;
        fake_cpu = cpu;
    }
}

/* CPU 1 holds a clean entry for page 3, so its store needs no walk. */
static void start(uint64_t bytes)
{
    uint64_t value;

    log_options = (struct dirty_log_options){.hardware = true, .eager_split = true};
    make_vm(&vm, 40);
    map_ram(&vm, 0, bytes);
    enable_log(&vm);
    fake_cpu = 1;
    assert_int_equal(fake_load(&vm, ipa_from_gfn(3), &value), FAKE_DONE);
    fake_cpu = 0;
    stores = 0;
}

/* Runs operation with a store at each point; check is told whether one took place. */
static void at_every_point(void (*operation)(void), void (*check)(bool stored))
{
    unsigned seen = 0;

    /* Each point up to behind page 3, then some. */
    for (store_at = 0; store_at == 0 || store_at <= point;
         store_at += store_at < 150 ? 1 : 1 + point / 100) {
        start(MIB(4));
        point = 0;
        fake_hook = store_at_point;
        operation();
        fake_hook = NULL;
        fake_check_tlbs(&vm);
        check(stores != 0);
        seen += stores != 0;
        end_vm(&vm);
    }
    assert_true(seen > 1);
}

static void make_read_only(void)
{
    assert_int_equal(s2_set_type(&vm, ipa_make(0), MIB(2), S2_RAM_RO), 0);
}

static void is_reported(bool stored)
{
    assert_int_equal(dirty_log_count(&vm), stored);
    assert_int_equal(harvest(), stored);
    assert_int_equal(test_bit(bits, 3), stored);
}

static void read_only_from_then_on(bool stored)
{
    is_reported(stored);
    assert_false(fake_store_without_fault(&vm, ipa_from_gfn(3), 8));
    assert_int_equal(fake_store(&vm, ipa_from_gfn(3), 8), FAKE_READONLY);
}

static void a_page_made_read_only_keeps_its_mark(void **state)
{
    (void)state;
    at_every_point(make_read_only, read_only_from_then_on);
}

static uint64_t released_pages;

static void count_released(void *context, ipa_t ipa, pa_t pa, uint64_t bytes, enum s2_type type,
                           bool writable)
{
    (void)context;
    (void)writable;
    assert_int_equal(pa.addr, frame_for(ipa.addr).addr);
    assert_int_equal(type, S2_RAM_RW);
    released_pages += bytes >> PAGE_SHIFT;
}

static void remove_pages(void)
{
    released_pages = 0;
    assert_int_equal(s2_unmap(&vm, ipa_make(0), MIB(2), count_released, NULL), 0);
}

static void is_gone(bool stored)
{
    (void)stored;
    assert_int_equal(released_pages, PAGES);
    assert_int_equal(s2_lookup(&vm, ipa_from_gfn(3)).type, S2_NONE);
    assert_false(fake_store_without_fault(&vm, ipa_from_gfn(3), 8));
    assert_int_equal(dirty_log_count(&vm), 0);
}

static void an_unmapped_page_is_gone(void **state)
{
    (void)state;
    at_every_point(remove_pages, is_gone);
}

static void merge(void)
{
    ipa_t cursor = ipa_make(0);

    while (s2_merge(&vm, &cursor) == -CORE_ERESTART) {
    }
}

static void merging_while_logging_loses_nothing(void **state)
{
    (void)state;
    at_every_point(merge, is_reported);
}

static void cold_tables_become_blocks_and_split_again(void **state)
{
    uint64_t pages;

    (void)state;
    start(MIB(4));
    pages = fake_pages_allocated();
    store(KIB(4));
    dirty_log_mark(&vm, ipa_make(MIB(3)), DIRTY_WRITER_DEVICE);
    merge();
    /* The first has an open page. The second keeps its mark. */
    assert_int_equal(stats().leaves[2], 1);
    assert_int_equal(stats().tables_prepaid, 1);
    assert_int_equal(harvest(), 2);
    merge();
    assert_int_equal(stats().leaves[2], 2);
    assert_int_equal(fake_pages_allocated(), pages);
    fake_fail_allocation(0);
    store(MIB(2));
    store(0);
    fake_fail_allocation(-1);
    assert_int_equal(stats().leaves[3], 1024);
    assert_int_equal(harvest(), 2);
    end_vm(&vm);
}

static uint64_t first_round;

/* The neighbours are dirty, so that page 3 is looked at closely. */
static void take_round(void)
{
    store(KIB(8));
    store(KIB(16));
    first_round = harvest() - 2;
}

/* In this round or in the next, and the copy that follows the report holds the store. */
static void one_of_two_rounds_reports(bool stored)
{
    assert_int_equal(first_round + harvest(), stored);
}

static void a_harvest_loses_no_store(void **state)
{
    (void)state;
    at_every_point(take_round, one_of_two_rounds_reports);
}

static uint64_t copied;

static void take_and_copy(void)
{
    store(KIB(12));
    copied = 0;
    first_round = harvest();
    if (test_bit(bits, 3)) {
        copied = *fake_word(frame_for(KIB(12)));
    }
}

static void copy_is_right_after_the_next_round(bool stored)
{
    (void)stored;
    if (harvest() != 0) {
        copied = *fake_word(frame_for(KIB(12)));
    }
    assert_int_equal(copied, *fake_word(frame_for(KIB(12))));
}

static void a_dirty_entry_of_another_cpu_is_invalidated(void **state)
{
    (void)state;
    at_every_point(take_and_copy, copy_is_right_after_the_next_round);
}

static void turn_off(void)
{
    log_off(&vm);
}

static void is_as_before_logging(bool stored)
{
    struct s2_stats before = stats();

    (void)stored;
    assert_int_equal(before.leaves[2], 2);
    for (uint64_t ipa = 0; ipa < MIB(4); ipa += KIB(4)) {
        assert_true(fake_store_without_fault(&vm, ipa_make(ipa), 1));
    }
}

static void off_under_stores_restores_blocks(void **state)
{
    (void)state;
    at_every_point(turn_off, is_as_before_logging);
}

static void no_fault_for_pages_and_one_for_a_block(void **state)
{
    struct s2_stats before;

    (void)state;
    log_options = (struct dirty_log_options){.hardware = true};
    make_vm(&vm, 40);
    map_ram(&vm, KIB(4), MIB(4) - KIB(4)); /* pages, then a block */
    enable_log(&vm);
    for (unsigned round = 0; round < 3; round++) {
        before = stats();
        for (uint64_t ipa = KIB(4); ipa < MIB(4); ipa += KIB(4)) {
            store(ipa);
        }
        assert_int_equal(stats().faults_split - before.faults_split, round == 0);
        assert_int_equal(stats().faults_first_write, 0);
        assert_int_equal(stats().faults_spurious, 0);
        assert_int_equal(harvest(), 1023);
    }
    end_vm(&vm);
}

static void eager_splits_take_bounded_steps_and_leave_no_fault(void **state)
{
    unsigned steps = 0;
    uint64_t splits = 0;
    int result;

    (void)state;
    for (unsigned hardware = 0; hardware < 2; hardware++) {
        log_options = (struct dirty_log_options){.hardware = hardware, .eager_split = true};
        make_vm(&vm, 40);
        map_ram(&vm, 0, GIB(1));
        splits = 0;
        do {
            result = dirty_log_enable(&vm, &log_options);
            assert_true(stats().splits - splits <= 17); /* 16 tables, and one of a larger block */
            splits = stats().splits;
            steps++;
            store(MIB(600)); /* the guest runs on */
        } while (result == -CORE_ERESTART);
        assert_int_equal(result, 0);
        assert_true(steps >= 512 / 16);
        assert_int_equal(stats().leaves[3], 512 * 512);
        splits = stats().faults_split;
        for (uint64_t ipa = 0; ipa < GIB(1); ipa += MIB(2)) {
            store(ipa);
        }
        assert_int_equal(stats().faults_split, splits);
        /* And each write was noticed: the pages were closed. */
        assert_int_equal(dirty_log_count(&vm), 512);
        assert_int_equal(harvest(), 64);
        log_off(&vm);
        assert_int_equal(stats().leaves[BLOCKS_OF_1G ? 1 : 2], BLOCKS_OF_1G ? 1 : 512);
        end_vm(&vm);
    }
}

/* A CPU that does not do what its registers say takes the fault; nothing is lost. */
static void a_fault_on_a_tracked_page_opens_it(void **state)
{
    (void)state;
    start(MIB(2));
    fake_set_hardware_dirty(false);
    fake_cpu = 2;
    store(KIB(4) * 9);
    fake_cpu = 0;
    assert_int_equal(stats().faults_first_write, 1);
    fake_set_hardware_dirty(true);
    assert_int_equal(harvest(), 1);
    assert_true(test_bit(bits, 9));
    end_vm(&vm);
}

static void memory_mapped_meanwhile_is_tracked(void **state)
{
    (void)state;
    start(MIB(2));
    map_ram(&vm, GIB(3), MIB(2)); /* a chunk of its own */
    assert_int_equal(dirty_log_count(&vm), PAGES);
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    assert_int_equal(take(GIB(3) >> PAGE_SHIFT), PAGES);
    dirty_log_harvest_commit(&vm);
    store(GIB(3) + KIB(8));
    assert_int_equal(stats().faults_first_write + stats().faults_split, 0);
    assert_int_equal(dirty_log_peek(&vm, GIB(3) >> PAGE_SHIFT, 64, bits), 1);
    assert_int_equal(dirty_log_count(&vm), 1);
    /* A page that becomes writable while logging is on. */
    assert_int_equal(s2_map(&vm, ipa_make(GIB(5)), frame_for(0), KIB(4), S2_RAM_RO), 0);
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    assert_int_equal(take(GIB(5) >> PAGE_SHIFT), 1);
    dirty_log_harvest_commit(&vm);
    assert_int_equal(s2_set_type(&vm, ipa_make(GIB(5)), KIB(4), S2_RAM_RW), 0);
    store(GIB(5));
    assert_int_equal(stats().faults_first_write + stats().faults_split, 0);
    assert_int_equal(dirty_log_peek(&vm, GIB(5) >> PAGE_SHIFT, 64, bits), 1);
    end_vm(&vm);
}

/* Made writable before the sweep comes by, so that the hardware has noted a write already. */
static void the_sweep_leaves_tracked_pages_alone(void **state)
{
    const ipa_t page = ipa_from_gfn(9);

    (void)state;
    log_options = (struct dirty_log_options){.hardware = true};
    make_vm(&vm, 40);
    map_ram(&vm, KIB(4), MIB(2) - KIB(4)); /* pages */
    assert_int_equal(s2_set_type(&vm, page, KIB(4), S2_RAM_RO), 0);
    while (atomic_load(&vm.log.state) != DIRTY_LOG_PROTECT) {
        assert_int_equal(dirty_log_enable(&vm, &log_options), -CORE_ERESTART);
    }
    assert_int_equal(s2_set_type(&vm, page, KIB(4), S2_RAM_RW), 0);
    assert_true(fake_store_without_fault(&vm, page, 1));
    enable_log(&vm);
    assert_int_equal(harvest(), 1);
    assert_true(test_bit(bits, 9));
    end_vm(&vm);
}

/* Far apart, so that a call has to find the next chunk by the hardware's notes alone. */
static void harvests_by_words_find_all_notes(void **state)
{
    struct dirty_log_word words[DIRTY_LOG_WORDS];
    uint64_t pages, found = 0;
    unsigned calls = 0;

    (void)state;
    start(MIB(4));
    assert_int_equal(s2_map(&vm, ipa_make(GIB(100)), frame_for(MIB(8)), MIB(2), S2_RAM_RW), 0);
    assert_int_equal(s2_map(&vm, ipa_make(GIB(101)), frame_for(MIB(4)), KIB(4), S2_RAM_RW), 0);
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    for (uint64_t gfn = 0; gfn != UINT64_MAX;) {
        (void)dirty_log_harvest_words(&vm, &gfn, UINT64_MAX, words, &pages);
    }
    store(0);
    store(MIB(4) - KIB(4));
    store(GIB(100) + MIB(1));
    store(GIB(101));
    for (uint64_t gfn = 0; gfn != UINT64_MAX; calls++) {
        unsigned count = dirty_log_harvest_words(&vm, &gfn, UINT64_MAX, words, &pages);

        for (unsigned i = 0; i < count; i++) {
            assert_int_equal(__builtin_popcountll(words[i].bits), 1);
        }
        found += pages;
        fake_check_tlbs(&vm);
    }
    assert_int_equal(found, 4);
    assert_true(calls <= 3 * 4 + 1); /* a quarter of a chunk each; nothing for the hole */
    abort_session(&vm);
    assert_int_equal(dirty_log_count(&vm), 512 + 1 + 2); /* new pages, and two old ones */
    end_vm(&vm);
}

/*
 * Another page's mark is half made, by a CPU that stands still: the word is set and its summary
 * is not; or the summary is, and top is not. What the hardware noted is taken all the same.
 */
static void half_a_mark_hides_no_note(void **state)
{
    struct dirty_log_chunk *chunk;

    (void)state;
    for (unsigned level = 0; level < 2; level++) {
        start(MIB(4));
        chunk = log_chunk_of(&vm, 0);
        chunk->bits[level] = UINT64_C(1) << 5;
        chunk->summary[0] = level << 1;
        store(KIB(12));
        assert_int_equal(harvest(), 2);
        assert_true(test_bit(bits, 3) && test_bit(bits, level * 64 + 5));
        assert_int_equal(harvest(), 0);
        end_vm(&vm);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_page_made_read_only_keeps_its_mark),
        TEST(an_unmapped_page_is_gone),
        TEST(merging_while_logging_loses_nothing),
        TEST(cold_tables_become_blocks_and_split_again),
        TEST(a_harvest_loses_no_store),
        TEST(a_dirty_entry_of_another_cpu_is_invalidated),
        TEST(off_under_stores_restores_blocks),
        TEST(no_fault_for_pages_and_one_for_a_block),
        TEST(eager_splits_take_bounded_steps_and_leave_no_fault),
        TEST(a_fault_on_a_tracked_page_opens_it),
        TEST(memory_mapped_meanwhile_is_tracked),
        TEST(the_sweep_leaves_tracked_pages_alone),
        TEST(harvests_by_words_find_all_notes),
        TEST(half_a_mark_hides_no_note),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
