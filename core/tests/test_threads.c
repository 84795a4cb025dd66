/* SPDX-License-Identifier: MIT */
/*
 * Real threads: guests write, one thread harvests and copies, one maps and unmaps in the same VM.
 * When the writers have stopped, one more round makes the copy equal.
 */
#include "util.h"

#include <pthread.h>
#include <stdlib.h>

#define WRITERS    3u
#define PAGES      2048u /* 8 MiB */
#define MOVES_BASE GIB(1)
#define ROUNDS     60u
#define MIGRATIONS 4u

static struct s2_vm vm;
static uint64_t copy[PAGES];
static _Atomic bool stop;
static _Atomic uint64_t writes;

static void *writer(void *argument)
{
    struct fake_random rnd = {.state = (uint64_t)(uintptr_t)argument};
    uint64_t n = 0;

    fake_cpu = (unsigned)(uintptr_t)argument;
    while (!atomic_load(&stop)) {
        /* Some pages are written all the time, the others now and then. */
        uint64_t gfn = fake_random_below(&rnd, fake_random_below(&rnd, 4) ? 40 : PAGES);
        enum fake_access access =
            fake_store(&vm, ipa_from_gfn(gfn), (uint64_t)fake_cpu << 56 | ++n);

        if (access != FAKE_DONE && access != FAKE_GAVE_UP) {
            fake_die("writer %u: access %d", fake_cpu, (int)access);
        }
    }
    atomic_fetch_add(&writes, n);
    return NULL;
}

static void expect(int result)
{
    if (result != 0) {
        fake_die("unexpected error %d", result);
    }
}

/* What a control domain does: a page out of its RAM, a frame of somebody else in, and back. */
static void *mover(void *argument)
{
    struct fake_random rnd = {.state = 99};

    (void)argument;
    fake_cpu = WRITERS + 1;
    while (!atomic_load(&stop)) {
        ipa_t ipa = ipa_make(MOVES_BASE + (fake_random_below(&rnd, 512) << PAGE_SHIFT));
        uint64_t value;

        expect(s2_unmap(&vm, ipa, PAGE_SIZE_BYTES, NULL, NULL));
        expect(s2_map(&vm, ipa, frame_for(GIB(2)), PAGE_SIZE_BYTES, S2_FOREIGN_RW));
        (void)fake_load(&vm, ipa, &value);
        (void)s2_open_foreign(&vm, ipa, frame_for(GIB(2)));
        expect(s2_unmap(&vm, ipa, PAGE_SIZE_BYTES, NULL, NULL));
        expect(s2_map(&vm, ipa, frame_for(ipa.addr), PAGE_SIZE_BYTES, S2_RAM_RW));
        s2_merge_at(&vm, ipa);
        sched_yield();
    }
    return NULL;
}

/* One round; some are aborted. The log covers the moved pages too, which are not compared. */
static uint64_t round_trip(bool abort)
{
    uint8_t bits[PAGES / 8];
    uint64_t taken;

    assert_int_equal(dirty_log_harvest_begin(&vm), 0);
    taken = dirty_log_harvest_take(&vm, 0, PAGES, bits);
    if (abort) {
        abort_session(&vm);
        return taken;
    }
    for (uint64_t gfn = 0; gfn < PAGES; gfn++) {
        if (test_bit(bits, gfn)) {
            copy[gfn] =
                atomic_load_explicit(fake_word(frame_for(gfn << PAGE_SHIFT)), memory_order_relaxed);
        }
    }
    dirty_log_harvest_commit(&vm);
    return taken;
}

static void migrate(void)
{
    pthread_t threads[WRITERS + 1];

    atomic_store(&stop, false);
    for (uintptr_t i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, writer, (void *)(i + 1)), 0);
    }
    assert_int_equal(pthread_create(&threads[WRITERS], NULL, mover, NULL), 0);
    enable_log(&vm);
    for (uint64_t gfn = 0; gfn < PAGES; gfn++) {
        copy[gfn] =
            atomic_load_explicit(fake_word(frame_for(gfn << PAGE_SHIFT)), memory_order_relaxed);
    }
    for (unsigned i = 0; i < (log_options.hardware ? ROUNDS / 4 : ROUNDS); i++) {
        (void)round_trip(i % 5 == 1);
        sched_yield();
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i <= WRITERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    s2_drain(&vm);
    (void)round_trip(false);
    for (uint64_t gfn = 0; gfn < PAGES; gfn++) {
        uint64_t word = *fake_word(frame_for(gfn << PAGE_SHIFT));

        if (copy[gfn] != word) {
            fake_die("page %u: copy %#llx, memory %#llx", (unsigned)gfn,
                     (unsigned long long)copy[gfn], (unsigned long long)word);
        }
    }
}

static void copies_are_equal(void **state)
{
    const char *checked = getenv("CORE_CHECK_ENTRIES");

    (void)state;
    fake_check_entries(checked != NULL && *checked == '1');
    make_vm(&vm, 40);
    map_ram(&vm, 0, PAGES * PAGE_SIZE_BYTES);
    map_ram(&vm, MOVES_BASE, MIB(2));
    for (unsigned i = 0; i < MIGRATIONS; i++) {
        struct s2_stats stats;

        migrate();
        log_off(&vm);
        s2_merge_at(&vm, ipa_make(MOVES_BASE));
        s2_stats_get(&vm, &stats);
        assert_int_equal(stats.leaves[2], PAGES / 512 + 1);
        assert_int_equal(stats.leaves[3], 0);
    }
    print_message("%llu writes in %u migrations\n", (unsigned long long)atomic_load(&writes),
                  MIGRATIONS);
    end_vm(&vm);
}

/* Where the handler of the drain test stands. */
static _Thread_local bool pauses;
static _Atomic bool paused, released, drained;

static void pause_once(void)
{
    if (pauses) {
        pauses = false;
        atomic_store(&paused, true);
        while (!atomic_load(&released)) {
            sched_yield();
        }
    }
}

static void *paused_handler(void *argument)
{
    (void)argument;
    fake_cpu = 1;
    pauses = true;
    (void)s2_fault_write(&vm, ipa_make(0));
    return NULL;
}

static void *drainer(void *argument)
{
    (void)argument;
    fake_cpu = 2;
    s2_drain(&vm);
    atomic_store(&drained, true);
    return NULL;
}

/* The last round may begin only when no handler is between opening a page and marking it. */
static void drain_waits_for_handlers(void **state)
{
    pthread_t handler, drain;

    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, MIB(2));
    enable_log(&vm);
    fake_hook = pause_once;
    assert_int_equal(pthread_create(&handler, NULL, paused_handler, NULL), 0);
    while (!atomic_load(&paused)) {
        sched_yield();
    }
    assert_int_equal(pthread_create(&drain, NULL, drainer, NULL), 0);
    for (unsigned i = 0; i < 1000; i++) {
        sched_yield();
        assert_false(atomic_load(&drained));
    }
    atomic_store(&released, true);
    assert_int_equal(pthread_join(handler, NULL), 0);
    assert_int_equal(pthread_join(drain, NULL), 0);
    fake_hook = NULL;
    assert_true(atomic_load(&drained));
    /* Where pages are tracked the handler only splits, and the store that would follow marks. */
    assert_int_equal(dirty_log_count(&vm), first_write_faults(1));
    end_vm(&vm);
}

static _Atomic bool looked;

static void *reader(void *argument)
{
    (void)argument;
    fake_cpu = 2;
    assert_int_equal(s2_lookup(&vm, ipa_make(0)).type, S2_NONE);
    atomic_store(&looked, true);
    return NULL;
}

static void start_reader(void *context, ipa_t ipa, pa_t pa, uint64_t bytes, enum s2_type type,
                         bool writable)
{
    (void)ipa;
    (void)pa;
    (void)bytes;
    (void)type;
    (void)writable;
    assert_int_equal(pthread_create(context, NULL, reader, NULL), 0);
    for (unsigned i = 0; i < 1000; i++) {
        sched_yield();
        assert_false(atomic_load(&looked));
    }
}

/* While tables may change under the write lock, nobody walks them. */
static void readers_wait_for_a_writer(void **state)
{
    pthread_t thread;

    (void)state;
    make_vm(&vm, 40);
    map_ram(&vm, 0, KIB(4));
    assert_int_equal(s2_unmap(&vm, ipa_make(0), KIB(4), start_reader, &thread), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(atomic_load(&looked));
    end_vm(&vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(readers_wait_for_a_writer, fresh_machine),
        cmocka_unit_test_setup(drain_waits_for_handlers, fresh_machine),
        cmocka_unit_test_setup(copies_are_equal, fresh_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
