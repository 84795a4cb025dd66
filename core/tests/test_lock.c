/* SPDX-License-Identifier: MIT */
/*
 * The reader-writer lock, without luck: one side is stopped inside its section, by a callback that
 * core calls there, until the other side has either come to wait or got through.
 */
#include "util.h"

#include <pthread.h>
#include <sched.h>

static struct s2_vm vm;
static pthread_t helper;
static void (*helper_work)(void);
static _Atomic bool helper_done;
static unsigned helper_cpu = 1;

/* Of two CPUs: a writer looks at no more. */
static void make_small_vm(void)
{
    const struct s2_config config = {.vmid = 1, .ipa_bits = 40, .cpus = 2};

    assert_int_equal(s2_init(&vm, &config), 0);
}

static void *run_helper(void *argument)
{
    (void)argument;
    fake_cpu = helper_cpu;
    helper_work();
    atomic_store(&helper_done, true);
    return NULL;
}

/* True if the work of the other CPU waits for somebody; false if it was done. */
static bool other_cpu_waits(void (*work)(void))
{
    uint64_t spins = fake_spins;

    helper_work = work;
    atomic_store(&helper_done, false);
    assert_int_equal(pthread_create(&helper, NULL, run_helper, NULL), 0);
    while (fake_spins == spins && !atomic_load(&helper_done)) {
        sched_yield();
    }
    return !atomic_load(&helper_done);
}

static void read_something(void)
{
    (void)s2_lookup(&vm, ipa_make(0));
}

static void fault_somewhere(void)
{
    (void)s2_fault_write(&vm, ipa_make(KIB(4)));
}

static void drain(void)
{
    s2_drain(&vm);
}

static void unmap_something(void)
{
    (void)s2_unmap(&vm, ipa_make(MIB(1)), KIB(4), NULL, NULL);
}

static void (*inside)(void);
static bool waited;

/* The write lock is held. */
static void released(void *context, ipa_t ipa, pa_t pa, uint64_t bytes, enum s2_type type,
                     bool writable)
{
    waited = other_cpu_waits(inside);
}

/* The read lock is held. */
static bool held(pa_t pa)
{
    waited = other_cpu_waits(inside);
    return true;
}

static void readers_wait_for_the_writer(void **state)
{
    void (*const works[])(void) = {read_something, fault_somewhere, unmap_something};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        make_small_vm();
        map_ram(&vm, KIB(4), MIB(2));
        enable_log(&vm);
        inside = works[i];
        assert_int_equal(s2_unmap(&vm, ipa_make(KIB(8)), KIB(4), released, NULL), 0);
        assert_int_equal(pthread_join(helper, NULL), 0);
        assert_true(waited);
        end_vm(&vm);
    }
}

static void writers_wait_for_readers(void **state)
{
    void (*const works[])(void) = {drain, unmap_something};

    (void)state;
    fake_cpu = 1; /* the last one that a writer looks at */
    helper_cpu = 0;
    for (unsigned i = 0; i < 2; i++) {
        make_small_vm();
        map_ram(&vm, KIB(4), MIB(2));
        inside = works[i];
        assert_int_equal(s2_lookup_hold(&vm, ipa_make(KIB(8)), held).type, S2_RAM_RW);
        assert_int_equal(pthread_join(helper, NULL), 0);
        assert_true(waited);
        end_vm(&vm);
    }
    fake_cpu = 0;
    helper_cpu = 1;
}

static void readers_do_not_wait_for_each_other(void **state)
{
    (void)state;
    make_small_vm();
    map_ram(&vm, KIB(4), MIB(2));
    enable_log(&vm);
    inside = fault_somewhere;
    assert_int_equal(s2_lookup_hold(&vm, ipa_make(KIB(8)), held).type, S2_RAM_RW);
    assert_int_equal(pthread_join(helper, NULL), 0);
    assert_false(waited);
    end_vm(&vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(readers_wait_for_the_writer, fresh_machine),
        cmocka_unit_test_setup(writers_wait_for_readers, fresh_machine),
        cmocka_unit_test_setup(readers_do_not_wait_for_each_other, fresh_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
