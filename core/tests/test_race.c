/* SPDX-License-Identifier: MIT */
/*
 * Interleavings, without threads: while one CPU runs an operation, another one acts at a chosen
 * point inside it. Every point is tried, then pairs of points, then random ones. At the end the
 * copy that the harvests made must equal the guest's memory.
 */
#include "util.h"

#include "lock.h"
#include "pool.h"
#include "split.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PAGES 1536u /* 6 MiB: three blocks */

static struct s2_vm vm;
static uint64_t copy[PAGES];
static uint64_t next_value;
static bool harvesting;

static void write_page(uint64_t gfn)
{
    /* The guest may have to give up where the outer operation cannot go on: then nothing was
     * written. */
    (void)fake_store(&vm, ipa_from_gfn(gfn), ++next_value);
}

static void copy_pages(const uint8_t *bits)
{
    for (uint64_t gfn = 0; gfn < PAGES; gfn++) {
        if (test_bit(bits, gfn)) {
            fake_point();
            copy[gfn] = *fake_word(frame_for(gfn << PAGE_SHIFT));
        }
    }
}

static void harvest_round(void)
{
    uint8_t bits[PAGES / 8];

    if (harvesting || dirty_log_harvest_begin(&vm) != 0) {
        return;
    }
    harvesting = true;
    (void)dirty_log_harvest_take(&vm, 0, PAGES, bits);
    copy_pages(bits);
    dirty_log_harvest_commit(&vm);
    harvesting = false;
}

/* A round whose caller never saw the bits. */
static void aborted_round(void)
{
    uint8_t bits[PAGES / 8];

    if (harvesting || dirty_log_harvest_begin(&vm) != 0) {
        return;
    }
    harvesting = true;
    (void)dirty_log_harvest_take(&vm, 0, PAGES, bits);
    abort_session(&vm);
    harvesting = false;
}

static void write_0(void)
{
    write_page(0);
}

static void write_1(void)
{
    write_page(1);
}

/* The hypervisor's own writes: first the page, then the mark. */
static void mark_0(void)
{
    *fake_word(frame_for(0)) = ++next_value;
    fake_point();
    dirty_log_mark(&vm, ipa_make(0), DIRTY_WRITER_DEVICE);
}

static void write_other_block(void)
{
    write_page(700);
}

static void nothing(void)
{
}

typedef void (*action_fn)(void);

/* An action that waits for a descriptor in transit; inside another one it needs its own thread. */
static bool may_wait(action_fn action)
{
    return action == harvest_round || action == aborted_round || action == mark_0;
}

static action_fn injected[2];
static long inject_at[2];
static _Atomic long point;
static _Atomic unsigned depth;

/* A thread that waits for what the outer operation has in transit. */
static pthread_t helper;
static bool helper_started;
static _Atomic bool helper_done;
static action_fn helper_action;
static unsigned helper_cpu;

static void *run_helper(void *argument)
{
    (void)argument;
    fake_cpu = helper_cpu;
    helper_action();
    helper_done = true;
    return NULL;
}

/* Starts the action and comes back when it is done or waits for us. */
static void start_helper(action_fn action)
{
    uint64_t spins = fake_spins;

    helper_action = action;
    helper_cpu = fake_cpu;
    helper_done = false;
    helper_started = true;
    assert_int_equal(pthread_create(&helper, NULL, run_helper, NULL), 0);
    while (!helper_done && fake_spins == spins) {
        sched_yield();
    }
}

static void join_helper(void)
{
    if (helper_started) {
        assert_int_equal(pthread_join(helper, NULL), 0);
        helper_started = false;
        depth--;
    }
}

/* The action runs on the next CPU, and nobody acts inside it. */
static void act(action_fn action)
{
    unsigned cpu = fake_cpu;

    depth++;
    fake_cpu = cpu + 1;
    if (may_wait(action) && fake_entries_locked() != 0) {
        start_helper(action);
        fake_cpu = cpu;
        return; /* depth falls when it is joined */
    }
    action();
    fake_cpu = cpu;
    depth--;
}

static void inject(void)
{
    if (depth != 0 || vm.lock.writing) {
        return;
    }
    for (unsigned i = 0; i < 2 && depth == 0; i++) {
        if (inject_at[i] == point) {
            act(injected[i]);
        }
    }
    point++;
}

static void start_scenario(bool blocks)
{
    make_vm(&vm, 40);
    if (blocks) {
        map_ram(&vm, 0, PAGES * PAGE_SIZE_BYTES);
    } else {
        for (uint64_t gfn = 0; gfn < PAGES; gfn += 256) {
            map_ram(&vm, gfn << PAGE_SHIFT, MIB(1));
        }
    }
    enable_log(&vm);
    for (uint64_t gfn = 0; gfn < PAGES; gfn++) {
        copy[gfn] = *fake_word(frame_for(gfn << PAGE_SHIFT));
    }
}

/* The invariant of the log: marked, or not writable. */
static void check_invariant(const char *what, long first, long second)
{
    uint8_t bits[PAGES / 8];

    (void)dirty_log_peek(&vm, 0, PAGES, bits);
    for (uint64_t gfn = 0; gfn < PAGES; gfn++) {
        if (!test_bit(bits, gfn) && s2_lookup(&vm, ipa_from_gfn(gfn)).writable) {
            fake_die("%s: page %u open and unmarked with actions at points %ld and %ld", what,
                     (unsigned)gfn, first, second);
        }
    }
    fake_check_tlbs(&vm);
}

static void finish_scenario(const char *what, long first, long second)
{
    s2_drain(&vm);
    check_invariant(what, first, second);
    harvest_round();
    for (uint64_t gfn = 0; gfn < PAGES; gfn++) {
        if (copy[gfn] != *fake_word(frame_for(gfn << PAGE_SHIFT))) {
            fake_die("%s: page %u lost with actions at points %ld and %ld", what, (unsigned)gfn,
                     first, second);
        }
    }
    end_vm(&vm);
}

/* Runs outer with actions at two points; false when the later one lies behind its end. */
static bool run(const char *what, bool blocks, const action_fn *before, action_fn outer, long first,
                long second)
{
    start_scenario(blocks);
    for (; *before != NULL; before++) {
        (*before)();
    }
    inject_at[0] = first;
    inject_at[1] = second;
    point = 0;
    fake_hook = inject;
    outer();
    join_helper();
    fake_hook = NULL;
    finish_scenario(what, first, second);
    return (first > second ? first : second) < point;
}

struct scenario {
    const char *name;
    action_fn before[3];
    action_fn outer;
    action_fn inner[2];
};

static const struct scenario scenarios[] = {
    {"fault, harvest", {NULL}, write_0, {harvest_round, nothing}},
    {"fault of a page that was taken",
     {write_0, harvest_round, NULL},
     write_0,
     {harvest_round, nothing}},
    {"fault, harvest twice", {NULL}, write_0, {harvest_round, harvest_round}},
    {"fault, fault of the same page, harvest", {NULL}, write_0, {write_0, harvest_round}},
    {"fault, fault of a neighbour, harvest", {NULL}, write_0, {write_1, harvest_round}},
    {"fault, abort, harvest", {write_1, NULL}, write_0, {aborted_round, harvest_round}},
    {"harvest, fault of a taken page", {write_0, NULL}, harvest_round, {write_0, nothing}},
    {"harvest, two faults", {write_0, NULL}, harvest_round, {write_0, write_1}},
    {"harvest of pages, fault of the same and a block",
     {write_0, write_1, NULL},
     harvest_round,
     {write_0, write_other_block}},
    {"abort, fault of a taken page", {write_0, NULL}, aborted_round, {write_0, write_1}},
    {"harvest, mark", {write_0, NULL}, harvest_round, {mark_0, write_1}},
    {"mark, harvest", {write_0, NULL}, mark_0, {harvest_round, write_0}},
    {"mark, fault, harvest", {NULL}, mark_0, {write_0, harvest_round}},
};

static void every_point(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        const struct scenario *s = &scenarios[i];

        injected[0] = s->inner[0];
        injected[1] = s->inner[1];
        for (unsigned blocks = 0; blocks < 2; blocks++) {
            for (long k = 0; run(s->name, blocks, s->before, s->outer, k, -1); k++) {
            }
            for (long k = 0; run(s->name, blocks, s->before, s->outer, k, k); k++) {
            }
        }
    }
}

static struct fake_random rnd;

static void every_pair_of_points(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        const struct scenario *s = &scenarios[i];
        long points;

        injected[0] = s->inner[0];
        injected[1] = s->inner[1];
        if (s->inner[1] == nothing) {
            continue;
        }
        /* Pages only: with blocks there are thousands of points, which the random test samples. */
        (void)run(s->name, false, s->before, s->outer, -1, -1);
        points = point;
        /* A harvest of tracked pages looks at all of them: too many points to pair them all. */
        for (long k = 0; k < points; k += log_options.hardware ? 1 + points / 30 : 1) {
            long step = points > 100 ? points / 50 : 1;

            for (long m = k + 1; m < points + 20; m += step) {
                (void)run(s->name, false, s->before, s->outer, k, m);
            }
        }
    }
}

static const action_fn random_actions[] = {write_0,       write_1,       write_other_block,
                                           harvest_round, aborted_round, mark_0};

static void inject_randomly(void)
{
    action_fn action;
    unsigned cpu = fake_cpu;

    if (depth > 2 || vm.lock.writing || fake_random_below(&rnd, 40) != 0) {
        return;
    }
    action = random_actions[fake_random_below(&rnd, 6)];
    if (may_wait(action) && fake_entries_locked() != 0) {
        return;
    }
    depth++;
    fake_cpu = cpu + 1;
    action();
    fake_cpu = cpu;
    depth--;
}

static void random_points(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 300; seed++) {
        rnd.state = seed;
        start_scenario(seed % 2);
        fake_hook = inject_randomly;
        for (unsigned i = 0; i < 20; i++) {
            random_actions[fake_random_below(&rnd, 6)]();
        }
        fake_hook = NULL;
        finish_scenario("random", seed, 0);
    }
}

/* A block that was opened whole is split while a harvest closes it. */
static void open_blocks(void **state)
{
    static const struct scenario s = {
        "open block, split and harvest", {NULL}, harvest_round, {write_0, write_1}};

    (void)state;
    for (long k = 0;; k++) {
        start_scenario(true);
        s2_pool_release(&vm);
        write_0(); /* no table: the block opens as it is */
        assert_int_equal(dirty_log_count(&vm), 512);
        assert_int_equal(s2_pool_reserve(&vm, 3), 0);
        injected[0] = s.inner[0];
        injected[1] = s.inner[1];
        inject_at[0] = k;
        inject_at[1] = k + 7;
        point = 0;
        fake_hook = inject;
        harvest_round();
        join_helper();
        fake_hook = NULL;
        finish_scenario(s.name, k, k + 7);
        if (point < k) {
            break;
        }
        if (k > 200) {
            k += 97; /* the loop over 512 pages repeats itself */
        }
    }
}

/* The other way round: the block is in transit, or just a table, when the harvest comes to it. */
static void open_block_is_split_first(void **state)
{
    (void)state;
    for (long k = 0;; k++) {
        start_scenario(true);
        s2_pool_release(&vm);
        write_0();
        assert_int_equal(s2_pool_reserve(&vm, 3), 0);
        /* Close the block with its marks in the log, so that a write splits it. */
        aborted_round();
        injected[0] = harvest_round;
        injected[1] = write_1;
        inject_at[0] = k;
        inject_at[1] = k + 1;
        point = 0;
        fake_hook = inject;
        write_0();
        join_helper();
        fake_hook = NULL;
        finish_scenario("split of a marked block", k, k + 1);
        if (point < k) {
            break;
        }
    }
}

static void split_block_0(void)
{
    struct s2_cpu_line *line = s2_read_lock(&vm);
    struct s2_pos pos = s2_find(&vm, ipa_make(0));
    void *page = s2_pool_take(&vm);

    if (!s2_pos_is_leaf(&pos) || !s2_split(&vm, &pos, page)) {
        s2_pool_put(&vm, page);
    }
    s2_read_unlock(line);
}

/* A harvest that meets an open block in transit waits, and then closes the pages of the table. */
static void open_block_in_transit(void **state)
{
    (void)state;
    for (long k = 0;; k++) {
        start_scenario(true);
        s2_pool_release(&vm);
        write_0();
        assert_int_equal(s2_pool_reserve(&vm, 3), 0);
        injected[0] = harvest_round;
        injected[1] = nothing;
        inject_at[0] = k;
        inject_at[1] = -1;
        point = 0;
        fake_hook = inject;
        split_block_0();
        join_helper();
        fake_hook = NULL;
        finish_scenario("open block in transit", k, -1);
        if (point < k) {
            break;
        }
    }
}

/* Enabling closes pages while the guest writes: nothing open may be left unmarked. */
static void enabling_under_writes(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 100; seed++) {
        int result;

        rnd.state = seed;
        make_vm(&vm, 40);
        map_ram(&vm, 0, PAGES * PAGE_SIZE_BYTES);
        fake_hook = inject_randomly;
        do {
            result = dirty_log_enable(&vm, &log_options);
        } while (result == -CORE_ERESTART);
        fake_hook = NULL;
        assert_int_equal(result, 0);
        fake_check_tlbs(&vm);
        for (uint64_t gfn = 0; gfn < PAGES; gfn++) {
            copy[gfn] = *fake_word(frame_for(gfn << PAGE_SHIFT));
        }
        for (unsigned i = 0; i < 5; i++) {
            write_page(fake_random_below(&rnd, PAGES));
        }
        finish_scenario("enable", seed, 0);
    }
}

#define TEST(name) cmocka_unit_test_setup(name, fresh_machine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_point),           TEST(every_pair_of_points),  TEST(random_points),
        TEST(open_blocks),           TEST(enabling_under_writes), TEST(open_block_is_split_first),
        TEST(open_block_in_transit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
