/* SPDX-License-Identifier: MIT */
/* Who set the bits of a log, as counts that add up. */
#include "log_util.h"

static uint64_t bits_by(enum dirty_log_writer writer)
{
    return stats().bits_set[writer];
}

/* Every bit that was ever set has been harvested, or is in the log, or went with its page. */
static void check_sum(uint64_t forgotten)
{
    struct s2_stats now = stats();
    uint64_t set = 0;

    for (unsigned i = 0; i < DIRTY_WRITERS; i++) {
        set += now.bits_set[i];
    }
    assert_int_equal(set + now.returned, now.harvested + dirty_log_count(&vm) + forgotten);
}

static void each_writer_is_counted_apart(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(4));
    enable_log(&vm);
    store(0);
    store(KIB(4));
    for (int i = 0; i < 3; i++) { /* the first of them sets the bit */
        dirty_log_mark(&vm, ipa_make(KIB(8)), DIRTY_WRITER_HYPERCALL);
        dirty_log_mark(&vm, ipa_make(KIB(12)), DIRTY_WRITER_SHARED);
        dirty_log_mark(&vm, ipa_make(KIB(16)), DIRTY_WRITER_DEVICE);
        dirty_log_mark(&vm, ipa_make(KIB(20)), DIRTY_WRITER_MODEL);
    }
    store(KIB(8)); /* marked already: a fault, but no bit */
    assert_int_equal(bits_by(DIRTY_WRITER_VCPU), 2);
    assert_int_equal(stats().faults_first_write, 3);
    assert_int_equal(bits_by(DIRTY_WRITER_HYPERCALL), 1);
    assert_int_equal(bits_by(DIRTY_WRITER_SHARED), 1);
    assert_int_equal(bits_by(DIRTY_WRITER_DEVICE), 1);
    assert_int_equal(bits_by(DIRTY_WRITER_MODEL), 1);
    map_ram(&vm, MIB(4), KIB(64));
    assert_int_equal(bits_by(DIRTY_WRITER_MAPPING), 16);
    assert_int_equal(dirty_log_pin(&vm, ipa_make(KIB(24))), 0);
    assert_int_equal(bits_by(DIRTY_WRITER_FOREIGN), 1);
    assert_int_equal(harvest(), 2 + 4 + 16 + 1);
    assert_int_equal(bits_by(DIRTY_WRITER_FOREIGN), 2); /* in every round */
    s2_pool_release(&vm);
    fake_fail_allocation(0);
    store(MIB(3));
    fake_fail_allocation(-1);
    assert_int_equal(bits_by(DIRTY_WRITER_BLOCK), 512);
    assert_int_equal(bits_by(DIRTY_WRITER_VCPU), 2);
    check_sum(0);
    dirty_log_unpin(&vm, ipa_make(KIB(24)));
    end_vm(&vm);
}

static void lists_are_marked(void **state)
{
    static const uint64_t gfns[] = {1, 2, 600, UINT64_C(1) << 40, 5000, 2, UINT64_MAX, 1023};

    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(4));
    dirty_log_mark_list(&vm, gfns, 8, DIRTY_WRITER_HYPERCALL); /* nothing is logged */
    enable_log(&vm);
    assert_int_equal(harvest(), 0);
    dirty_log_mark_list(&vm, gfns, 0, DIRTY_WRITER_HYPERCALL);
    dirty_log_mark_list(&vm, gfns, 8, DIRTY_WRITER_HYPERCALL);
    assert_int_equal(bits_by(DIRTY_WRITER_HYPERCALL), 4);
    assert_int_equal(harvest(), 4);
    assert_int_equal(harvest(), 0);
    check_sum(0);
    end_vm(&vm);
}

static void aborted_harvests_are_counted(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(4));
    enable_log(&vm);
    for (uint64_t page = 0; page < 100; page++) {
        store(page * KIB(4));
    }
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    assert_int_equal(take(0), 100);
    store(0); /* its bit is in the log again when the others come back */
    abort_session(&vm);
    assert_int_equal(stats().harvested, 100);
    assert_int_equal(stats().returned, 99);
    check_sum(0);
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    assert_int_equal(take(0), 100);
    dirty_log_harvest_untake(&vm, 10, 5);
    dirty_log_harvest_commit(&vm);
    assert_int_equal(stats().harvested, 200);
    assert_int_equal(stats().returned, 104);
    check_sum(0);
    assert_int_equal(s2_unmap(&vm, ipa_make(KIB(4) * 12), KIB(4), NULL, NULL), 0);
    check_sum(1);
    end_vm(&vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_writer_is_counted_apart),
        TEST(lists_are_marked),
        TEST(aborted_harvests_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
