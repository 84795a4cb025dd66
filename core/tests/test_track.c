/* SPDX-License-Identifier: MIT */
/* A watched range: what was written is reported once, with the log on, off, and being switched. */
#include "log_util.h"

#include <core/dirty_track.h>

#define FIRST 100u
#define PAGES 1500u

static uint8_t found[(PAGES + 63) / 64 * 8];

static void scan(void)
{
    uint64_t cursor = 0;
    unsigned steps = 0;

    while (dirty_track_scan(&vm, &cursor) == -CORE_ERESTART) {
        steps++;
    }
    assert_int_equal(steps, (FIRST + PAGES - 1) / 512 - FIRST / 512); /* bounded steps */
    fake_check_tlbs(&vm);
}

/* How many pages were written, as found says. */
static unsigned look(bool deliver)
{
    unsigned count = 0;

    scan();
    dirty_track_report(&vm, 0, sizeof(found) / 8, found);
    dirty_track_finish(&vm, deliver);
    for (unsigned i = 0; i < 8 * sizeof(found); i++) {
        count += test_bit(found, i);
        assert_false(i >= PAGES && test_bit(found, i));
    }
    return count;
}

static void store_page(uint64_t gfn)
{
    store(gfn * KIB(4));
}

static void watch(void)
{
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(16));
    assert_int_equal(dirty_track_start(&vm, FIRST, PAGES), 0);
    assert_int_equal(look(true), PAGES); /* all, to begin with */
}

static void check_writes(void)
{
    look(true);
    store_page(FIRST - 1);
    store_page(FIRST);
    store_page(FIRST + PAGES - 1);
    store_page(FIRST + PAGES);
    store_page(1000);
    assert_int_equal(look(true), 3);
    assert_true(test_bit(found, 0) && test_bit(found, PAGES - 1) && test_bit(found, 1000 - FIRST));
    assert_int_equal(look(true), 0);
}

static void writes_are_reported_once(void **state)
{
    (void)state;
    watch();
    check_writes();
    store_page(700);
    assert_int_equal(look(false), 1); /* not delivered: again */
    store_page(800);
    assert_int_equal(look(true), 2);
    assert_int_equal(look(true), 0);
    /* Other writers, with the log off; but not who knows himself. */
    dirty_log_mark(&vm, ipa_from_gfn(200), DIRTY_WRITER_HYPERCALL);
    dirty_log_mark(&vm, ipa_from_gfn(201), DIRTY_WRITER_FOREIGN);
    dirty_log_mark(&vm, ipa_from_gfn(99), DIRTY_WRITER_DEVICE);
    assert_int_equal(look(true), 1);
    /* Outside the range nothing was split. */
    assert_int_equal(s2_lookup(&vm, ipa_make(MIB(8))).bytes, MIB(2));
    dirty_track_stop(&vm);
    end_vm(&vm);
}

static void watching_beside_the_log(void **state)
{
    (void)state;
    watch();
    store_page(300);
    enable_log(&vm); /* closes what was open: nothing may get lost */
    assert_true(look(true) >= 1);
    check_writes();
    /* The log has them all, whatever was looked at in between. */
    assert_int_equal(harvest(), 5);
    assert_true(test_bit(bits, FIRST) && test_bit(bits, 1000) && test_bit(bits, FIRST + PAGES));
    /* A write, then a CLEAN before the look. */
    look(true);
    store_page(400);
    assert_int_equal(harvest(), 1);
    assert_int_equal(look(true), 1);
    assert_true(test_bit(found, 400 - FIRST));
    /* A write, a look, a write: each of the two has it. */
    store_page(401);
    assert_int_equal(look(true), 1);
    store_page(401);
    assert_int_equal(look(true), 1);
    assert_int_equal(harvest(), 1);
    assert_int_equal(harvest(), 0);
    store_page(402);
    log_off(&vm);
    assert_true(look(true) >= 1);
    assert_true(test_bit(found, 402 - FIRST));
    check_writes();
    dirty_track_stop(&vm);
    end_vm(&vm);
}

static void new_pages_count_as_written(void **state)
{
    (void)state;
    watch();
    assert_int_equal(s2_unmap(&vm, ipa_from_gfn(500), KIB(8), NULL, NULL), 0);
    assert_int_equal(look(true), 0);
    map_ram(&vm, 500 * KIB(4), KIB(8));
    assert_int_equal(look(true), 2);
    enable_log(&vm);
    look(true);
    assert_int_equal(s2_unmap(&vm, ipa_from_gfn(500), KIB(8), NULL, NULL), 0);
    map_ram(&vm, 500 * KIB(4), KIB(8));
    assert_int_equal(look(true), 2);
    dirty_track_stop(&vm);
    end_vm(&vm);
}

/* Without memory a block cannot be split: all of it counts, until there is memory again. */
static void without_memory_more_is_reported(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(16));
    fake_fail_allocation(0);
    assert_int_equal(dirty_track_start(&vm, FIRST, PAGES), -CORE_ENOMEM);
    fake_fail_allocation(1);
    assert_int_equal(dirty_track_start(&vm, FIRST, PAGES), 0);
    assert_int_equal(look(true), PAGES);
    assert_int_equal(look(true), PAGES);
    fake_fail_allocation(-1);
    assert_int_equal(look(true), PAGES);
    assert_int_equal(look(true), 0);
    assert_int_equal(dirty_track_start(&vm, 7, 1), 0); /* another range */
    assert_true(dirty_track_is_on(&vm, 7, 1) && !dirty_track_is_on(&vm, FIRST, PAGES));
    assert_int_equal(dirty_track_start(&vm, 7, 0), -CORE_EINVAL);
    assert_int_equal(dirty_track_start(&vm, 7, DIRTY_TRACK_PAGES_MAX + 1), -CORE_EINVAL);
    assert_int_equal(dirty_track_start(&vm, UINT64_MAX, 2), -CORE_EINVAL);
    end_vm(&vm); /* frees what is still watched */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(writes_are_reported_once),
        TEST(watching_beside_the_log),
        TEST(new_pages_count_as_written),
        TEST(without_memory_more_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
