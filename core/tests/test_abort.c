/* SPDX-License-Identifier: MIT */
/* A harvest that took a lot and fails: what it took goes back in bounded steps. */
#include "log_util.h"

#define MANY_CHUNKS 20u

/* A page of every word is marked, and then all are taken by a session. */
static void take_many_chunks(void)
{
    const uint64_t words = (uint64_t)MANY_CHUNKS * CHUNK / 64;

    for (uint64_t i = 0; i < words; i++) {
        dirty_log_mark(&vm, ipa_from_gfn(i * 64 + i % 64), DIRTY_WRITER_HYPERCALL);
    }
    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    for (uint64_t i = 0; i < MANY_CHUNKS; i++) {
        assert_int_equal(take(i * CHUNK), CHUNK / 64);
    }
    assert_int_equal(dirty_log_count(&vm), 0);
}

static void abort_goes_in_steps(void **state)
{
    const uint64_t words = (uint64_t)MANY_CHUNKS * CHUNK / 64;
    uint64_t before = 0, steps = 0;

    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MANY_CHUNKS * MIB(128));
    map_ram(&vm, GIB(900), MIB(2)); /* a hole of many groups */
    enable_log(&vm);
    take_many_chunks();
    for (; dirty_log_harvest_abort(&vm) != 0; steps++) {
        uint64_t back = dirty_log_count(&vm);

        assert_true(back - before <= 1024);
        before = back;
        /* Nothing but abort has an effect, and others wait. */
        assert_int_equal(dirty_log_harvest_begin(&vm), -CORE_EBUSY);
        assert_int_equal(take(0), 0);
        dirty_log_harvest_untake(&vm, words * 64 - 64, 64);
        dirty_log_harvest_commit(&vm);
        assert_int_equal(dirty_log_count(&vm), back);
    }
    assert_true(steps >= words / 1024 - 1);
    assert_int_equal(dirty_log_count(&vm), words);
    assert_int_equal(harvest(), CHUNK / 64);
    end_vm(&vm);
}

static void off_in_the_middle_of_an_abort(void **state)
{
    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MANY_CHUNKS * MIB(128));
    enable_log(&vm);
    take_many_chunks();
    assert_int_equal(dirty_log_harvest_abort(&vm), -CORE_ERESTART);
    log_off(&vm);
    assert_int_equal(dirty_log_harvest_abort(&vm), 0);
    enable_log(&vm);
    assert_int_equal(dirty_log_count(&vm), 0);
    store(KIB(4));
    assert_int_equal(harvest(), 1);
    end_vm(&vm);
}

/* Writes go on between the steps: to pages whose marks are back, and to others. */
static void writes_beside_an_abort(void **state)
{
    const uint64_t last = (uint64_t)(MANY_CHUNKS - 1) * CHUNK + 5;
    uint64_t words = (uint64_t)MANY_CHUNKS * CHUNK / 64;

    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MANY_CHUNKS * MIB(128));
    enable_log(&vm);
    take_many_chunks();
    assert_int_equal(dirty_log_harvest_abort(&vm), -CORE_ERESTART);
    store(5 << PAGE_SHIFT);
    store(last << PAGE_SHIFT);
    store((last - 5) << PAGE_SHIFT); /* taken, written again, and then put back */
    assert_int_equal(s2_unmap(&vm, ipa_from_gfn(CHUNK * 10), MIB(128), NULL, NULL), 0);
    abort_session(&vm);
    words = words + 2 - CHUNK / 64;
    assert_int_equal(dirty_log_count(&vm), words);
    assert_int_equal(harvest(), CHUNK / 64 + 1);
    end_vm(&vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(abort_goes_in_steps),
        TEST(off_in_the_middle_of_an_abort),
        TEST(writes_beside_an_abort),
    };

    return cmocka_run_group_tests_name("abort", tests, NULL, NULL);
}
