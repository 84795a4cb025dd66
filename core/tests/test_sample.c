/* SPDX-License-Identifier: MIT */
/*
 * One page in 64 left to a fault where the hardware notes writes: it says who wrote, it moves, and
 * what is reported is the same as without.
 */
#include "log_util.h"

#define PAGES  1024u
#define WORDS  (PAGES / 64)
#define WRITER 1u /* CPUs */
#define READER 2u

static void start(void)
{
    log_options = (struct dirty_log_options){.hardware = true, .eager_split = true};
    make_vm(&vm, 40);
    map_ram(&vm, 0, (uint64_t)PAGES << PAGE_SHIFT);
    enable_log(&vm);
}

static void start_sampling(void)
{
    start();
    assert_int_equal(dirty_log_sample(&vm, true), 0);
}

static void store_all(void)
{
    for (uint64_t gfn = 0; gfn < PAGES; gfn++) {
        store(gfn << PAGE_SHIFT);
    }
}

static void only_the_sample_takes_faults_and_it_moves(void **state)
{
    uint64_t faults, seen = 0;

    (void)state;
    start_sampling();
    assert_int_equal(dirty_log_pages_per_fault(&vm), 0); /* it begins with a harvest */
    assert_int_equal(fake_tracked_pages(&vm), PAGES);
    assert_int_equal(harvest(), 0);
    for (unsigned round = 0; round < 130; round++) {
        unsigned sampled = 64;

        assert_int_equal(dirty_log_pages_per_fault(&vm), 64);
        assert_int_equal(fake_tracked_pages(&vm), PAGES - WORDS);
        for (unsigned i = 0; i < 64; i++) {
            if (!fake_store_without_fault(&vm, ipa_from_gfn(i), 1)) {
                assert_int_equal(sampled, 64);
                sampled = i;
            }
        }
        assert_true(sampled < 64);
        assert_int_equal(seen >> sampled & 1, round >= 64); /* each page once, then all again */
        seen |= UINT64_C(1) << sampled;
        faults = stats().faults_first_write;
        store_all();
        assert_int_equal(stats().faults_first_write - faults, WORDS);
        assert_int_equal(fake_tracked_pages(&vm), PAGES); /* as the hardware would leave them */
        store_all();
        assert_int_equal(stats().faults_first_write - faults, WORDS);
        assert_int_equal(dirty_log_count(&vm), PAGES);
        assert_int_equal(harvest(), PAGES);
    }
    assert_int_equal(stats().bits_set[DIRTY_WRITER_VCPU], 130 * WORDS);
    assert_int_equal(stats().faults_spurious, 0);
    end_vm(&vm);
}

/* How many of those pages are in the sample now: they are written to. */
static unsigned sampled_of(uint64_t first, unsigned count, unsigned stride)
{
    unsigned found = 0;

    for (unsigned i = 0; i < count; i++) {
        found += !fake_store_without_fault(&vm, ipa_from_gfn(first + (uint64_t)i * stride), 1);
    }
    return found;
}

/* 16 pages, next to each other or one of each word: a quarter of one in each round, or nearly. */
static void few_pages_are_met_evenly(void **state)
{
    (void)state;
    start_sampling();
    for (unsigned stride = 1; stride <= 64; stride *= 64) {
        for (unsigned round = 0; round < 64; round += 8) {
            unsigned found = 0;

            for (unsigned i = 0; i < 8; i++) {
                assert_int_equal(harvest() > 16, 0);
                found += sampled_of(stride == 1 ? 128 + 5 : 7, 16, stride);
            }
            assert_in_range(found, 1, 3);
        }
    }
    end_vm(&vm);
}

static uint64_t first_writes_of(unsigned cpu)
{
    uint64_t faults, first_writes;

    s2_stats_cpu(&vm, cpu, &faults, &first_writes);
    assert_int_equal(faults, first_writes);
    return first_writes;
}

static void the_writer_is_found(void **state)
{
    uint64_t value;

    (void)state;
    start_sampling();
    for (unsigned round = 0; round < 8; round++) {
        (void)harvest();
        fake_cpu = READER;
        for (uint64_t gfn = 0; gfn < PAGES; gfn++) {
            assert_int_equal(fake_load(&vm, ipa_from_gfn(gfn), &value), FAKE_DONE);
        }
        fake_cpu = WRITER;
        store_all();
        fake_cpu = 0;
    }
    assert_int_equal(first_writes_of(READER), 0);
    assert_int_equal(first_writes_of(WRITER) * dirty_log_pages_per_fault(&vm), 8 * PAGES);
    end_vm(&vm);
}

/* The CPU whose stores come in between, and where. */
static long store_at, point;
static unsigned page;

static void store_at_point(void)
{
    if (point++ == store_at) {
        fake_cpu = WRITER;
        fake_hook = NULL;
        assert_int_equal(fake_store(&vm, ipa_from_gfn(page), (uint64_t)store_at + 100), FAKE_DONE);
        fake_hook = store_at_point;
        fake_cpu = 0;
    }
}

static uint64_t copied;

/* As a migration does: take, then read what was reported. */
static uint64_t harvest_and_copy(void)
{
    uint64_t taken = harvest();

    if (test_bit(bits, page)) {
        copied = *fake_word(frame_for((uint64_t)page << PAGE_SHIFT));
    }
    return taken;
}

/*
 * A store at each point of a harvest, to a page that leaves the sample in it, comes into it, or is
 * far from it, and that was written before or not. The copy is right after the next round.
 */
static void no_store_is_lost_while_the_sample_moves(void **state)
{
    static const unsigned pages[] = {14, 53, 4};

    (void)state;
    for (unsigned variant = 0; variant < 6; variant++) {
        for (store_at = 0, point = 1; store_at < point; store_at += 1 + point / 400) {
            uint64_t value = 0;

            start_sampling();
            page = pages[variant % 3];
            (void)harvest();
            (void)harvest();
            (void)harvest(); /* page 14 is in the sample now, page 53 will be, page 4 is not */
            fake_cpu = WRITER;
            assert_int_equal(fake_load(&vm, ipa_from_gfn(page), &value), FAKE_DONE);
            fake_cpu = 0;
            copied = *fake_word(frame_for((uint64_t)page << PAGE_SHIFT));
            if (variant >= 3) {
                fake_cpu = WRITER;
                store((uint64_t)page << PAGE_SHIFT);
                fake_cpu = 0;
            }
            point = 0;
            fake_hook = store_at_point;
            (void)harvest_and_copy();
            fake_hook = NULL;
            fake_check_tlbs(&vm);
            (void)harvest_and_copy();
            assert_int_equal(copied, *fake_word(frame_for((uint64_t)page << PAGE_SHIFT)));
            assert_int_equal(harvest_and_copy(), 0);
            end_vm(&vm);
        }
        assert_true(point > 20);
    }
}

/* Harvests by words, ranges of the address space, holes, an abort: each page is what it should be.
 */
static void every_way_of_harvesting_places_it(void **state)
{
    struct dirty_log_word words[DIRTY_LOG_WORDS];
    uint64_t pages, found = 0;

    (void)state;
    start_sampling();
    assert_int_equal(s2_map(&vm, ipa_make(GIB(5)), frame_for(MIB(8)), MIB(2), S2_RAM_RW), 0);
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    for (uint64_t gfn = 0; gfn != UINT64_MAX;) {
        (void)dirty_log_harvest_words(&vm, &gfn, UINT64_MAX, words, &pages);
        found += pages;
    }
    assert_int_equal(found, 512); /* new memory */
    assert_int_equal(fake_tracked_pages(&vm), (PAGES + 512) / 64 * 63);
    abort_session(&vm);
    assert_int_equal(dirty_log_count(&vm), 512);
    /* Half of it only; the next one finds the rest where the last but one left it. */
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    assert_int_equal(dirty_log_harvest_take(&vm, 0, 512, bits), 0);
    abort_session(&vm);
    assert_int_equal(fake_tracked_pages(&vm), (PAGES + 512) / 64 * 63);
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    assert_int_equal(take(0), 0);
    assert_int_equal(take(GIB(5) >> PAGE_SHIFT), 512);
    dirty_log_harvest_commit(&vm);
    assert_int_equal(fake_tracked_pages(&vm), (PAGES + 512) / 64 * 63);
    assert_false(fake_store_without_fault(&vm, ipa_from_gfn(14), 1));
    assert_false(fake_store_without_fault(&vm, ipa_from_gfn(PAGES - 64 + 53), 1));
    end_vm(&vm);
}

static void switched_off_it_goes(void **state)
{
    (void)state;
    start_sampling();
    assert_int_equal(harvest(), 0);
    assert_int_equal(dirty_log_sample(&vm, false), 0);
    assert_int_equal(harvest(), 0);
    assert_int_equal(fake_tracked_pages(&vm), PAGES);
    assert_int_equal(dirty_log_pages_per_fault(&vm), 0);
    store_all();
    assert_int_equal(stats().faults_first_write, 0);
    assert_int_equal(harvest(), PAGES);
    end_vm(&vm);
}

static void it_ends_with_the_logging(void **state)
{
    (void)state;
    assert_int_equal((make_vm(&vm, 40), dirty_log_sample(&vm, true)), -CORE_EINVAL);
    end_vm(&vm);
    start_sampling();
    assert_int_equal(harvest(), 0);
    log_off(&vm);
    assert_int_equal(stats().leaves[2], PAGES / 512); /* blocks again */
    for (uint64_t gfn = 0; gfn < PAGES; gfn++) {
        assert_true(fake_store_without_fault(&vm, ipa_from_gfn(gfn), 1));
    }
    enable_log(&vm);
    assert_int_equal(dirty_log_pages_per_fault(&vm), 0);
    assert_int_equal(harvest(), 0);
    assert_int_equal(fake_tracked_pages(&vm), PAGES);
    end_vm(&vm);
}

static void faults_need_no_sample(void **state)
{
    (void)state;
    log_options = (struct dirty_log_options){.eager_split = true};
    make_vm(&vm, 40);
    map_ram(&vm, 0, (uint64_t)PAGES << PAGE_SHIFT);
    enable_log(&vm);
    assert_int_equal(dirty_log_sample(&vm, true), 0);
    assert_int_equal(dirty_log_pages_per_fault(&vm), 1);
    assert_int_equal(harvest(), 0);
    assert_int_equal(dirty_log_pages_per_fault(&vm), 1);
    fake_cpu = WRITER;
    store_all();
    fake_cpu = 0;
    assert_int_equal(first_writes_of(WRITER), PAGES);
    assert_int_equal(harvest(), PAGES);
    assert_int_equal(fake_tracked_pages(&vm), 0);
    end_vm(&vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_the_sample_takes_faults_and_it_moves),
        TEST(few_pages_are_met_evenly),
        TEST(the_writer_is_found),
        TEST(no_store_is_lost_while_the_sample_moves),
        TEST(every_way_of_harvesting_places_it),
        TEST(switched_off_it_goes),
        TEST(it_ends_with_the_logging),
        TEST(faults_need_no_sample),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
