/* SPDX-License-Identifier: MIT */
/* What changes under a dirty log: mappings, types, pins, and memory running out. */
#include "log_util.h"

static void pages_mapped_meanwhile_are_dirty(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(2));
    enable_log(&vm);
    map_ram(&vm, MIB(2), MIB(4));
    assert_int_equal(stats().leaves[2], 1);
    assert_int_equal(dirty_log_count(&vm), 1024);
    /* Above all that was covered, even beyond the records of the chunks. */
    assert_int_equal(s2_map(&vm, ipa_make(GIB(600)), frame_for(GIB(1)), KIB(4), S2_RAM_RW), 0);
    assert_int_equal(dirty_log_limit_gfn(&vm), (GIB(600) >> PAGE_SHIFT) + 1);
    assert_int_equal(dirty_log_count(&vm), 1025);
    assert_int_equal(harvest(), 1024);
    store(GIB(600));
    assert_int_equal(dirty_log_count(&vm), 1);
    /* A frame of another VM is not ours to report. */
    assert_int_equal(s2_map(&vm, ipa_make(GIB(2)), frame_for(GIB(1)), KIB(4), S2_FOREIGN_RW), 0);
    assert_int_equal(dirty_log_count(&vm), 1);
    end_vm(&vm);
}

/* In whatever order it was mapped, and also if what was at an end is gone. */
static void all_ram_is_found(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, GIB(2), MIB(2));
    map_ram(&vm, GIB(3), MIB(2));
    map_ram(&vm, MIB(700), KIB(8));
    map_ram(&vm, MIB(100), KIB(4));
    map_ram(&vm, GIB(9), KIB(8));
    assert_int_equal(s2_unmap(&vm, ipa_make(MIB(100)), KIB(4), NULL, NULL), 0);
    assert_int_equal(s2_unmap(&vm, ipa_make(GIB(9)), KIB(8), NULL, NULL), 0);
    enable_log(&vm);
    assert_int_equal(dirty_log_limit_gfn(&vm), GIB(3) / KIB(4) + 512);
    store(MIB(700));
    store(GIB(2));
    store(GIB(3) + KIB(8));
    assert_int_equal(dirty_log_count(&vm), 3);
    end_vm(&vm);
}

/* What is mapped below all RAM before anything is closed: the sweep begins there. */
static void ram_below_the_first_is_swept_too(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, MIB(8), MIB(2));
    assert_int_equal(dirty_log_enable(&vm, &log_options), -CORE_ERESTART);
    assert_int_equal(atomic_load(&vm.log.state), DIRTY_LOG_PREPARE);
    map_ram(&vm, 0, MIB(2));
    enable_log(&vm);
    store(KIB(8));
    store(MIB(9));
    assert_int_equal(dirty_log_count(&vm), 2);
    assert_int_equal(harvest(), 2);
    assert_true(test_bit(bits, 2));
    end_vm(&vm);
}

static void unmapped_pages_leave_the_log(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(4));
    enable_log(&vm);
    store(KIB(4) * 10);
    store(KIB(4) * 11);
    store(KIB(4) * 700);
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    assert_int_equal(take(0), 3);
    store(KIB(4) * 11);
    assert_int_equal(s2_unmap(&vm, ipa_make(KIB(4) * 11), MIB(2), NULL, NULL), 0);
    assert_int_equal(dirty_log_count(&vm), 0);
    abort_session(&vm);
    assert_int_equal(dirty_log_count(&vm), 2);
    assert_int_equal(harvest(), 2);
    assert_true(test_bit(bits, 10));
    assert_true(test_bit(bits, 700));
    end_vm(&vm);
}

static void set_type_keeps_the_marks(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(4));
    assert_int_equal(s2_set_type(&vm, ipa_make(0), MIB(2), S2_RAM_RO), 0);
    enable_log(&vm);
    assert_int_equal(stats().tables_prepaid, 1);
    assert_int_equal(fake_store(&vm, ipa_make(0), 1), FAKE_READONLY);
    store(MIB(2));
    /* Written, then made read-only: still to be reported. */
    assert_int_equal(s2_set_type(&vm, ipa_make(MIB(2)), KIB(4), S2_RAM_RO), 0);
    assert_int_equal(harvest(), 1);
    /* Made writable while logging is on: closed, and its split is paid for. */
    fake_fail_allocation(0);
    assert_int_equal(s2_set_type(&vm, ipa_make(0), MIB(2), S2_RAM_RW), -CORE_ENOMEM);
    fake_fail_allocation(-1);
    assert_int_equal(s2_set_type(&vm, ipa_make(0), MIB(2), S2_RAM_RW), 0);
    assert_int_equal(stats().tables_prepaid, 1);
    store(KIB(4));
    assert_int_equal(harvest(), 1);
    assert_true(test_bit(bits, 1));
    end_vm(&vm);
}

static void without_prepaid_tables_blocks_open_whole(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(8));
    enable_log(&vm);
    s2_pool_release(&vm);
    fake_fail_allocation(0);
    store(MIB(3));
    assert_int_equal(stats().leaves[2], 4);
    assert_int_equal(dirty_log_count(&vm), 512);
    /* A harvest of a part of the block closes all of it; the other marks stay. */
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    assert_int_equal(dirty_log_harvest_take(&vm, 512, 64, bits), 64);
    dirty_log_harvest_commit(&vm);
    fake_check_tlbs(&vm);
    assert_int_equal(dirty_log_count(&vm), 448);
    store(MIB(2));
    assert_int_equal(dirty_log_count(&vm), 512);
    fake_fail_allocation(-1);
    end_vm(&vm);
}

static void a_pinned_page_is_dirty_every_round(void **state)
{
    ipa_t pinned = ipa_make(KIB(4) * 9);

    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(4));
    assert_int_equal(dirty_log_pin(&vm, pinned), 0); /* before logging */
    enable_log(&vm);
    assert_int_equal(dirty_log_count(&vm), 1);
    assert_int_equal(dirty_log_pin(&vm, pinned), 0); /* nested */
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(harvest(), 1);
        assert_true(test_bit(bits, 9));
    }
    dirty_log_unpin(&vm, pinned);
    assert_int_equal(harvest(), 1);
    assert_int_equal(harvest(), 1);
    dirty_log_unpin(&vm, pinned);
    assert_int_equal(harvest(), 1); /* once more */
    assert_int_equal(harvest(), 0);
    dirty_log_unpin(&vm, ipa_make(MIB(1))); /* never pinned: one page too many, no harm */
    assert_int_equal(harvest(), 1);
    /* A page that is gone is not reported, however often it is pinned. */
    assert_int_equal(dirty_log_pin(&vm, pinned), 0);
    assert_int_equal(s2_unmap(&vm, pinned, KIB(4), NULL, NULL), 0);
    assert_int_equal(harvest(), 0);
    dirty_log_unpin(&vm, pinned);
    end_vm(&vm);
}

static void pins_grow_shrink_and_fail_cleanly(void **state)
{
    enum { PINS = 3000 };
    uint64_t before;

    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(64));
    before = fake_pages_allocated();
    fake_fail_allocation(0);
    assert_int_equal(dirty_log_pin(&vm, ipa_make(0)), -CORE_ENOMEM);
    fake_fail_allocation(-1);
    for (uint64_t i = 0; i < PINS; i++) {
        assert_int_equal(dirty_log_pin(&vm, ipa_from_gfn(i * 5)), 0);
        assert_int_equal(dirty_log_pin(&vm, ipa_from_gfn(i * 5)), 0);
    }
    assert_int_equal(fake_pages_allocated() - before, 16); /* 8192 entries for 3000 pins */
    enable_log(&vm);
    assert_int_equal(dirty_log_count(&vm), PINS);
    for (uint64_t i = 0; i < PINS; i += 2) {
        dirty_log_unpin(&vm, ipa_from_gfn(i * 5));
        dirty_log_unpin(&vm, ipa_from_gfn(i * 5));
    }
    assert_int_equal(harvest(), PINS);
    assert_int_equal(harvest(), PINS / 2);
    for (uint64_t i = 1; i < PINS; i += 2) {
        assert_true(test_bit(bits, i * 5));
        dirty_log_unpin(&vm, ipa_from_gfn(i * 5));
    }
    assert_int_equal(harvest(), PINS / 2);
    for (uint64_t i = 1; i < PINS; i += 2) {
        dirty_log_unpin(&vm, ipa_from_gfn(i * 5));
    }
    log_off(&vm);
    assert_int_equal(fake_pages_allocated(), before);
    end_vm(&vm);
}

static void mapping_without_memory_while_logging(void **state)
{
    int result = -CORE_ENOMEM;

    (void)state;
    for (long n = 0; result != 0; n++) {
        make_vm(&vm, 40);
        map_ram(&vm, 0, MIB(2));
        enable_log(&vm);
        fake_fail_allocation(n);
        result = s2_map(&vm, ipa_make(GIB(100)), frame_for(MIB(2)), MIB(2), S2_RAM_RW);
        fake_fail_allocation(-1);
        assert_true(result == 0 || result == -CORE_ENOMEM);
        assert_int_equal(dirty_log_count(&vm), result == 0 ? 512 : 0);
        assert_int_equal(dirty_log_limit_gfn(&vm), result == 0 ? (GIB(100) + MIB(2)) >> 12 : 512);
        assert_true(n < 10);
        end_vm(&vm);
    }
}

static void logging_an_empty_vm(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    enable_log(&vm);
    assert_int_equal(dirty_log_limit_gfn(&vm), 0);
    assert_int_equal(harvest(), 0);
    map_ram(&vm, 0, KIB(4));
    assert_int_equal(harvest(), 1);
    end_vm(&vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pages_mapped_meanwhile_are_dirty),
        TEST(all_ram_is_found),
        TEST(ram_below_the_first_is_swept_too),
        TEST(unmapped_pages_leave_the_log),
        TEST(set_type_keeps_the_marks),
        TEST(without_prepaid_tables_blocks_open_whole),
        TEST(a_pinned_page_is_dirty_every_round),
        TEST(pins_grow_shrink_and_fail_cleanly),
        TEST(mapping_without_memory_while_logging),
        TEST(logging_an_empty_vm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
