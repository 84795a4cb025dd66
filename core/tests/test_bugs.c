/* SPDX-License-Identifier: MIT */
/*
 * Bugs that lost dirty pages in other hypervisors: one test each, named by its number in
 * docs/design/dirty-log.md, in each way of noticing writes. Those that need the hypervisor or the
 * toolstack have their tests there.
 *
 *   test_core_bugs [NAME]    all, or those whose name matches (with * and ?)
 */
#include "bugs.h"

#include <pthread.h>

static void write_page_0(void)
{
    write_page(0);
}

static void harvest_round(void)
{
    (void)round_trip();
}

/* A write between the protection of a page and the taking of its mark. */
static void bug_01_protect_before_swap(void **state)
{
    (void)state;
    for (unsigned blocks = 0; blocks < 2; blocks++) {
        bool more = true;

        for (long point = 0; more; point++) {
            start(blocks);
            write_page(0);
            write_page(1);
            more = run_with(harvest_round, write_page_0, point);
            check_invariant();
            write_page(0);
            finish();
        }
    }
}

/* A block was opened as a whole, and one page of it marked. */
static void bug_02_block_opened_one_page_marked(void **state)
{
    (void)state;
    for (unsigned without_tables = 0; without_tables < 2; without_tables++) {
        start(true);
        if (without_tables) {
            s2_pool_release(&vm);
        }
        write_page(5);
        check_invariant();
        for (uint64_t gfn = 0; gfn < PAGES; gfn += 3) {
            write_page(gfn);
        }
        (void)round_trip();
        for (uint64_t gfn = 0; gfn < PAGES; gfn += 5) {
            write_page(gfn);
        }
        finish();
    }
}

/* The permission was taken away before what it said had been recorded. */
static void bug_03_downgrade_before_recording(void **state)
{
    (void)state;
    start(false);
    write_page(3);
    write_page(4);
    assert_int_equal(s2_set_type(&vm, ipa_of(3), KIB(4), S2_RAM_RO), 0);
    assert_int_equal(fake_store(&vm, ipa_of(3), 1), FAKE_READONLY);
    assert_int_equal(dirty_log_count(&vm), 2);
    /* The page is another one now, written before it came here. */
    *fake_word(frame_for(GIB(1))) = ++next_value;
    assert_int_equal(s2_unmap(&vm, ipa_of(4), KIB(4), NULL, NULL), 0);
    assert_int_equal(s2_map(&vm, ipa_of(4), frame_for(GIB(1)), KIB(4), S2_RAM_RW), 0);
    assert_int_equal(dirty_log_count(&vm), 2);
    finish();

    /* An open block becomes a table of pages: all of them stay marked. */
    start(true);
    s2_pool_release(&vm);
    write_page(700);
    assert_int_equal(s2_unmap(&vm, ipa_of(600), KIB(4), NULL, NULL), 0);
    write_page(701);
    write_page(513);
    finish();
}

static struct s2_vm other;

/* The same frame through another mapping, which was large and not protected. */
static void bug_04_alias_of_a_frame(void **state)
{
    struct s2_stats now;

    (void)state;
    start(true);
    make_vm(&other, 40);
    assert_int_equal(s2_map(&other, ipa_of(0), frame_for(0), MIB(2), S2_FOREIGN_RW), 0);
    s2_stats_get(&other, &now);
    assert_int_equal(now.leaves[3], 512);
    assert_int_equal(fake_store(&other, ipa_of(7), ++next_value), FAKE_FOREIGN);
    assert_int_equal(dirty_log_pin(&vm, ipa_of(7)), 0);
    assert_true(s2_open_foreign(&other, ipa_of(7), frame_for(KIB(4) * 7)));
    assert_int_equal(fake_store(&other, ipa_of(8), 1), FAKE_FOREIGN);
    for (unsigned round = 0; round < 3; round++) {
        assert_int_equal(fake_store(&other, ipa_of(7), ++next_value), FAKE_DONE);
        assert_int_equal(round_trip(), 1);
        assert_int_equal(copy[7], next_value);
    }
    assert_int_equal(fake_store(&other, ipa_of(7), ++next_value), FAKE_DONE);
    assert_int_equal(s2_unmap(&other, ipa_of(0), MIB(2), NULL, NULL), 0);
    dirty_log_unpin(&vm, ipa_of(7));
    s2_destroy(&other);
    finish();
}

/* Ranges of one to three words that begin and end around gfn at. */
static void ranges_around(uint64_t at)
{
    for (uint64_t edge = at - 128; edge <= at + 128; edge += 64) {
        for (uint64_t words = 1; words <= 3; words++) {
            uint64_t end = edge + words * 64;

            store((edge - 1) << PAGE_SHIFT);
            store(edge << PAGE_SHIFT);
            store((end - 1) << PAGE_SHIFT);
            store(end << PAGE_SHIFT);
            assert_int_equal(dirty_log_harvest_begin(&vm), 0);
            assert_int_equal(dirty_log_harvest_take(&vm, edge, end - edge, bits), 2);
            assert_true(test_bit(bits, 0) && test_bit(bits, end - edge - 1));
            assert_int_equal(dirty_log_harvest_take(&vm, edge - 64, 64, bits), 1);
            assert_true(test_bit(bits, 63));
            assert_int_equal(dirty_log_harvest_take(&vm, end, 64, bits), 1);
            assert_true(test_bit(bits, 0));
            dirty_log_harvest_commit(&vm);
        }
    }
}

/* Ranges: page 0, the last page, the edges of words, of summary words and of chunks. */
static void bug_06_edges_of_a_range(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, 2 * CHUNK * PAGE_SIZE_BYTES);
    enable_log(&vm);
    ranges_around(64 * 64); /* what one summary word stands for */
    ranges_around(CHUNK);
    end_vm(&vm);
    /* Ranges of pages that are marked as such: each beginning and length around a word. */
    for (uint64_t first = 62; first <= 66; first++) {
        for (uint64_t pages = 1; pages <= 130; pages += 1 + (pages > 3 && pages < 60) * 20) {
            make_vm(&vm, 40);
            enable_log(&vm);
            map_ram(&vm, first << PAGE_SHIFT, pages << PAGE_SHIFT);
            assert_int_equal(harvest(), pages);
            assert_false(test_bit(bits, first - 1) || test_bit(bits, first + pages));
            assert_true(test_bit(bits, first) && test_bit(bits, first + pages - 1));
            end_vm(&vm);
        }
    }
}

/* Bits were cleared that the caller had never got. */
static void bug_07_only_what_was_reported_is_cleared(void **state)
{
    (void)state;
    start(false);
    for (uint64_t gfn = 0; gfn < PAGES; gfn += 16) {
        write_page(gfn);
    }
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    assert_int_equal(dirty_log_harvest_take(&vm, 128, 64, bits), 4);
    assert_int_equal(dirty_log_harvest_take(&vm, 320, 64, bits), 4);
    dirty_log_harvest_untake(&vm, 336, 48); /* its bytes had no room */
    dirty_log_harvest_commit(&vm);
    assert_int_equal(dirty_log_count(&vm), PAGES / 16 - 4 - 1);
    for (uint64_t gfn = 128; gfn < 192; gfn++) {
        copy[gfn] = word_of(gfn);
    }
    copy[320] = word_of(320);
    finish();
}

/* The map changed between the write and the fetch. */
static void bug_08_page_moved_before_the_fetch(void **state)
{
    pa_t frame;

    (void)state;
    start(false);
    write_page(9);
    frame = s2_lookup(&vm, ipa_of(9)).pa;
    assert_int_equal(s2_unmap(&vm, ipa_of(9), KIB(4), NULL, NULL), 0);
    assert_int_equal(s2_unmap(&vm, ipa_of(1100), KIB(4), NULL, NULL), 0);
    assert_int_equal(s2_map(&vm, ipa_of(1100), frame, KIB(4), S2_RAM_RW), 0);
    assert_int_equal(dirty_log_peek(&vm, 0, PAGES, bits), 1);
    assert_true(test_bit(bits, 1100) && !test_bit(bits, 9));
    finish();
}

/* Two regions shorter than a word share it. */
static void bug_09_regions_share_a_word(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, KIB(4) * 3, KIB(4) * 5);
    map_ram(&vm, KIB(4) * 20, KIB(4) * 7);
    enable_log(&vm);
    for (uint64_t gfn = 3; gfn < 27; gfn++) {
        if (gfn < 8 || gfn >= 20) {
            store(gfn << PAGE_SHIFT);
        }
    }
    assert_int_equal(dirty_log_count(&vm), 12);
    assert_int_equal(s2_unmap(&vm, ipa_of(3), KIB(4) * 5, NULL, NULL), 0);
    assert_int_equal(dirty_log_count(&vm), 7);
    map_ram(&vm, KIB(4) * 30, KIB(4) * 2);
    assert_int_equal(harvest(), 9);
    for (uint64_t gfn = 0; gfn < 64; gfn++) {
        assert_int_equal(test_bit(bits, gfn), (gfn >= 20 && gfn < 27) || gfn == 30 || gfn == 31);
    }
    end_vm(&vm);
}

/* A page that is written all the time, by a CPU that keeps what it has translated. */
static void bug_10_hot_page_after_rearming(void **state)
{
    (void)state;
    start(false);
    for (unsigned i = 0; i < 4; i++) {
        fake_cpu = i % 3;
        write_page(40);
        fake_cpu = (i + 1) % 3;
        write_page(40);
        assert_int_equal(round_trip(), 1);
        assert_int_equal(copy[40], next_value);
    }
    fake_cpu = 0;
    for (unsigned i = 0; i < 3; i++) { /* and by one that nobody else helps to be seen */
        write_page(40);
        assert_int_equal(round_trip(), 1);
        assert_int_equal(copy[40], next_value);
    }
    write_page(40);
    finish();
}

/* What the guest and the hypervisor write while logging is being turned on. */
static void bug_14_writes_while_enabling(void **state)
{
    (void)state;
    for (unsigned steps = 1;; steps++) {
        int result = -CORE_ERESTART;

        make_vm(&vm, 40);
        map_ram(&vm, 0, MIB(6));
        write_page(1);
        for (unsigned i = 0; i < steps && result != 0; i++) {
            result = dirty_log_enable(&vm, &log_options);
        }
        /* Written before it is on: in the copy of everything, whose time begins when it is on. */
        write_page(1);
        *fake_word(frame_for(KIB(8))) = ++next_value;
        dirty_log_mark(&vm, ipa_of(2), DIRTY_WRITER_HYPERCALL);
        while (result != 0) {
            result = dirty_log_enable(&vm, &log_options);
        }
        copy_all();
        write_page(1);
        write_page(700);
        finish();
        if (steps == 8) {
            break;
        }
    }
}

/* A hole between two banks: what lies behind it keeps its place. */
static void bug_15_places_behind_a_hole(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(2));
    map_ram(&vm, MIB(8), MIB(2)); /* pages 2048 to 2559 */
    map_ram(&vm, MIB(120), MIB(16));
    enable_log(&vm);
    store(MIB(8));
    store(MIB(10) - KIB(4));
    store(MIB(120));
    store(MIB(128));
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    /* The ends of the first bank are clean, and the range begins inside of it. */
    assert_int_equal(dirty_log_harvest_take(&vm, 64, CHUNK - 64, bits), 3);
    assert_true(test_bit(bits, 2048 - 64) && test_bit(bits, 2559 - 64));
    assert_true(test_bit(bits, (MIB(120) >> PAGE_SHIFT) - 64));
    assert_int_equal(dirty_log_harvest_take(&vm, CHUNK, 64, bits), 1);
    assert_true(test_bit(bits, 0));
    dirty_log_harvest_commit(&vm);
    end_vm(&vm);
}

/* The bits were gone when the writing of the copy failed. */
static void bug_16_failed_round_keeps_its_bits(void **state)
{
    (void)state;
    start(false);
    write_page(2);
    write_page(1400);
    for (unsigned times = 0; times < 3; times++) {
        assert_int_equal(dirty_log_harvest_begin(&vm), 0);
        assert_int_equal(dirty_log_harvest_take(&vm, 0, 768, bits), 1 + (times != 0));
        assert_int_equal(dirty_log_harvest_take(&vm, 768, 768, bits), 1);
        write_page(70);
        abort_session(&vm);
        check_invariant();
        assert_int_equal(dirty_log_count(&vm), 3);
    }
    finish();
}

/* The second migration of a guest: nothing of the first is left, and the copy of all is its start.
 */
static void bug_17_second_migration(void **state)
{
    struct s2_stats before;

    (void)state;
    start(true);
    before = stats();
    for (unsigned times = 0; times < 3; times++) {
        write_page(3);
        (void)round_trip();
        write_page(800);
        log_off(&vm);
        write_page(3); /* between two migrations nobody looks */
        enable_log(&vm);
        assert_memory_equal(stats().leaves, before.leaves, sizeof(before.leaves));
        assert_int_equal(dirty_log_count(&vm), 0);
        copy_all();
        write_page(3);
    }
    finish();
}

/* A migration took and committed rounds, and then failed: the next one is complete. */
static void bug_19_failed_migration_consumes_nothing(void **state)
{
    (void)state;
    start(false);
    write_page(1);
    write_page(2);
    assert_int_equal(round_trip(), 2);
    write_page(3);
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    assert_int_equal(dirty_log_harvest_take(&vm, 0, PAGES, bits), 1);
    /* Its owner is gone: whoever turns logging off ends the session, and a new log begins. */
    log_off(&vm);
    enable_log(&vm);
    copy_all();
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    write_page(2);
    assert_int_equal(dirty_log_harvest_take(&vm, 0, PAGES, bits), 1);
    abort_session(&vm);
    finish();
}

static _Atomic bool between; /* open, and not marked */
static _Atomic bool last_round_over;

static void stop_between(void)
{
    struct s2_leaf leaf;
    uint64_t spins;

    if (fake_cpu != 1 || atomic_load(&between)) {
        return;
    }
    fake_cpu = 2; /* so that looking brings us not here again, and on a lock line of its own */
    leaf = s2_lookup(&vm, ipa_of(0));
    fake_cpu = 1;
    if (!leaf.writable) {
        return;
    }
    spins = fake_spins;
    atomic_store(&between, true);
    /* Until the last round waits for us, or has not. */
    while (fake_spins == spins && !atomic_load(&last_round_over)) {
        sched_yield();
    }
}

static void *write_on_cpu_1(void *argument)
{
    (void)argument;
    fake_cpu = 1;
    write_page(0);
    return NULL;
}

/* The last round was over when somebody else marked what he had written before it. */
static void bug_20_last_round_waits_for_writers(void **state)
{
    pthread_t writer;

    (void)state;
    start(false);
    between = false;
    last_round_over = false;
    fake_hook = stop_between;
    assert_int_equal(pthread_create(&writer, NULL, write_on_cpu_1, NULL), 0);
    while (!atomic_load(&between)) {
        sched_yield();
    }
    s2_drain(&vm);
    (void)round_trip();
    atomic_store(&last_round_over, true);
    assert_int_equal(pthread_join(writer, NULL), 0);
    fake_hook = NULL;
    assert_int_equal(dirty_log_count(&vm), 0);
    finish();
}

/* Who may write without a fault is dirty in each round, and once more when he is gone. */
static void bug_23_mapped_for_writing(void **state)
{
    (void)state;
    start(false);
    assert_int_equal(dirty_log_pin(&vm, ipa_of(9)), 0);
    for (unsigned round = 0; round < 3; round++) {
        *fake_word(frame_for(KIB(4) * 9)) = ++next_value;
        assert_int_equal(round_trip(), 1);
        assert_int_equal(copy[9], next_value);
    }
    *fake_word(frame_for(KIB(4) * 9)) = ++next_value;
    assert_int_equal(round_trip(), 1);
    *fake_word(frame_for(KIB(4) * 9)) = ++next_value;
    dirty_log_unpin(&vm, ipa_of(9));
    assert_int_equal(round_trip(), 1);
    assert_int_equal(round_trip(), 0);
    finish();
}

/* Two who read one log: nobody gets what the other had to get. */
static void bug_24_two_consumers(void **state)
{
    (void)state;
    start(false);
    write_page(11);
    write_page(12);
    assert_int_equal(dirty_log_peek(&vm, 0, PAGES, bits), 2);
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    assert_int_equal(dirty_log_harvest_take(&vm, 0, 64, bits), 2);
    assert_int_equal(dirty_log_harvest_begin(&vm), -CORE_EBUSY);
    assert_int_equal(dirty_log_peek(&vm, 0, PAGES, bits), 0);
    abort_session(&vm);
    assert_int_equal(dirty_log_peek(&vm, 0, PAGES, bits), 2);
    finish();
}

/* Ballooning and the like: pages go and come, at places old and new. */
static void bug_26_changes_of_the_map(void **state)
{
    (void)state;
    for (unsigned blocks = 0; blocks < 2; blocks++) {
        start(blocks);
        write_page(20);
        write_page(600);
        assert_int_equal(s2_unmap(&vm, ipa_of(16), KIB(4) * 8, NULL, NULL), 0);
        assert_int_equal(dirty_log_count(&vm), 1);
        (void)round_trip();
        for (uint64_t gfn = 16; gfn < 24; gfn++) {
            *fake_word(frame_for(GIB(1) + gfn * KIB(4))) = ++next_value;
        }
        assert_int_equal(
            s2_map(&vm, ipa_of(16), frame_for(GIB(1) + KIB(64)), KIB(4) * 8, S2_RAM_RW), 0);
        map_ram(&vm, GIB(3), KIB(8)); /* beyond all that was covered */
        assert_int_equal(dirty_log_count(&vm), 10);
        (void)round_trip();
        write_page(19);
        store(GIB(3) + KIB(4));
        assert_int_equal(dirty_log_count(&vm), 1 + 2);
        finish();
    }
}

static void split_by_unmap(void)
{
    if (!acting) {
        (void)s2_unmap(&vm, ipa_of(511), KIB(4), NULL, NULL);
    }
}

static void write_pages_of_the_block(void)
{
    write_page(0);
    write_page(3);
    write_page(300);
}

/* The descriptor changed between the look at it and its replacement. */
static void bug_27_replaced_while_it_changed(void **state)
{
    static const action_fn outer[] = {harvest_round, write_page_0, split_by_unmap};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned blocks = 0; blocks < 2; blocks++) {
            bool more = true;

            for (long point = 0; more && point < 3000; point += 1 + (point > 300) * 17) {
                start(blocks);
                write_page(600); /* the first block is one still */
                if (!blocks) {
                    write_page(2); /* so that a scan looks at their neighbour closely */
                    write_page(4);
                }
                more = run_with(outer[i], write_pages_of_the_block, point);
                finish();
                start(blocks);
                write_page(0);
                more = run_with(outer[i], harvest_round, point) || more;
                finish();
            }
        }
    }
}

static int run_all(const char *name)
{
    const struct CMUnitTest tests[] = {
        TEST(bug_01_protect_before_swap),
        TEST(bug_02_block_opened_one_page_marked),
        TEST(bug_03_downgrade_before_recording),
        TEST(bug_04_alias_of_a_frame),
        TEST(bug_06_edges_of_a_range),
        TEST(bug_07_only_what_was_reported_is_cleared),
        TEST(bug_08_page_moved_before_the_fetch),
        TEST(bug_09_regions_share_a_word),
        TEST(bug_10_hot_page_after_rearming),
        TEST(bug_14_writes_while_enabling),
        TEST(bug_15_places_behind_a_hole),
        TEST(bug_16_failed_round_keeps_its_bits),
        TEST(bug_17_second_migration),
        TEST(bug_19_failed_migration_consumes_nothing),
        TEST(bug_20_last_round_waits_for_writers),
        TEST(bug_23_mapped_for_writing),
        TEST(bug_24_two_consumers),
        TEST(bug_26_changes_of_the_map),
        TEST(bug_27_replaced_while_it_changed),
    };

    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    int failed;

    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    failed = run_all("by faults");
    if (port_has_hardware_dirty()) {
        setenv("CORE_LOG", "hardware", 1);
        failed += run_all("by hardware updates");
    }
    return failed;
}
