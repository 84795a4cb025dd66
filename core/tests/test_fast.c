/* SPDX-License-Identifier: MIT */
/* The fast half of a write fault: what it does, and that it leaves everything else alone. */
#include "lock.h"

#include "log_util.h"

#include <port/window.h>

/* What an exception entry makes of it. */
static bool fault_fast(uint64_t ipa)
{
    bool done = s2_fault_write_fast(&vm, ipa_make(ipa));

    if (done) {
        port_tlb_flush_local(&vm, ipa_make(ipa));
    } else {
        port_window_missed();
    }
    return done;
}

static void it_opens_and_marks_a_page(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(4));
    enable_log(&vm);
    assert_false(fault_fast(0)); /* a block */
    store(0);
    assert_int_equal(harvest(), 1);
    for (uint64_t page = 0; page < 512; page++) {
        assert_true(fault_fast(page * KIB(4) + 8));
        assert_true(s2_lookup(&vm, ipa_make(page * KIB(4))).writable);
        assert_int_equal(dirty_log_count(&vm), page + 1);
    }
    assert_int_equal(stats().faults_first_write, 1 + 512);
    assert_int_equal(stats().bits_set[DIRTY_WRITER_VCPU], 1 + 512);
    assert_false(fault_fast(0)); /* open already */
    assert_int_equal(harvest(), 512);
    dirty_log_mark(&vm, ipa_make(0), DIRTY_WRITER_DEVICE);
    assert_true(fault_fast(0)); /* marked already */
    assert_int_equal(stats().bits_set[DIRTY_WRITER_VCPU], 1 + 512);
    assert_int_equal(stats().faults_first_write, 1 + 512 + 1);
    assert_int_equal(harvest(), 1);
    end_vm(&vm);
}

static void it_leaves_everything_else_alone(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    assert_int_equal(s2_map(&vm, ipa_make(0), frame_for(0), KIB(4), S2_RAM_RO), 0);
    assert_int_equal(s2_map(&vm, ipa_make(KIB(4)), frame_for(KIB(4)), KIB(4), S2_FOREIGN_RW), 0);
    assert_int_equal(s2_map(&vm, ipa_make(KIB(8)), frame_for(KIB(8)), KIB(4), S2_FOREIGN_RO), 0);
    map_ram(&vm, KIB(16), KIB(4));
    assert_false(fault_fast(KIB(16))); /* not logged, open */
    enable_log(&vm);
    for (uint64_t ipa = 0; ipa < KIB(16); ipa += KIB(4)) { /* the last of them is a hole */
        assert_false(fault_fast(ipa));
        assert_false(s2_lookup(&vm, ipa_make(ipa)).writable);
    }
    assert_false(fault_fast(UINT64_C(1) << 40));
    assert_false(fault_fast(UINT64_MAX));
    assert_int_equal(dirty_log_count(&vm), 0);
    s2_write_lock(&vm);
    assert_false(fault_fast(KIB(16))); /* does not wait */
    s2_write_unlock(&vm);
    assert_true(fault_fast(KIB(16)));
    s2_drain(&vm); /* and holds nothing */
    assert_int_equal(harvest(), 1);
    end_vm(&vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_opens_and_marks_a_page),
        TEST(it_leaves_everything_else_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
