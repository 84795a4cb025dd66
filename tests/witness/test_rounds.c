/* SPDX-License-Identifier: MIT */
/* Which round a store is counted in, told as sequences of events with a known trace. */
#include "rounds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define HARVESTER 4u

static char path[32];
static char text[4096];

static void begin(bool several_threads)
{
    int fd;

    snprintf(path, sizeof(path), "/tmp/test_rounds.XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_true(rounds_open(path, several_threads));
    assert_false(rounds_are_on());
    rounds_start(2, 64, 64);
    assert_true(rounds_are_on());
}

/* A CLEAN that reports nothing, so that only the rounds' own lines follow. */
static void end_round(void)
{
    rounds_cleaned();
    rounds_report_ends();
}

static void assert_trace(const char *wanted)
{
    FILE *file;
    size_t bytes;

    rounds_stop();
    assert_false(rounds_are_on());
    rounds_close();
    file = fopen(path, "r");
    assert_non_null(file);
    bytes = fread(text, 1, sizeof(text) - 1, file);
    text[bytes] = '\0';
    fclose(file);
    unlink(path);
    assert_string_equal(text, wanted);
}

#define ROUND(how, stores, between)                                                                \
    "round " how " stores " stores " between " between                                             \
    " hypervisor 0 handlers 0 crossing 0 unknown 0\n"

static void test_one_thread_ends_at_the_invalidation(void **state)
{
    begin(false);
    rounds_store(0, 1, false);
    rounds_harvest(HARVESTER);
    rounds_store(1, 2, false);
    rounds_invalidate(HARVESTER);
    rounds_store(1, 3, false);
    rounds_barrier(HARVESTER);
    rounds_store(1, 4, false);
    end_round();
    rounds_store(2, 5, false);
    end_round();
    assert_trace(
        "start mode 2 pages 64 frames 64\n" ROUND("invalidated", "1", "1") "seen 1\nbetween 2\nlogged\n" ROUND(
            "unharvested", "3", "0") "seen 3-5\nbetween\nlogged\nstop still 0 cpus 1 3 1\n");
}

static void test_several_threads_end_at_the_barrier(void **state)
{
    begin(true);
    rounds_store(0, 1, false);
    rounds_barrier(HARVESTER);
    rounds_harvest(HARVESTER);
    rounds_barrier(HARVESTER); /* nothing was invalidated yet */
    rounds_store(0, 2, false);
    rounds_invalidate(HARVESTER);
    rounds_store(0, 3, false);
    rounds_barrier(HARVESTER);
    rounds_store(0, 4, false);
    end_round();
    end_round();
    assert_trace("start mode 2 pages 64 frames 64\n" ROUND(
        "invalidated", "1",
        "2") "seen 1\nbetween 2-3\nlogged\n" ROUND("unharvested", "1",
                                                   "0") "seen 4\nbetween\nlogged\nstop still 0 cpus 4\n");
}

static void test_the_last_invalidation_counts(void **state)
{
    begin(false);
    rounds_harvest(HARVESTER);
    rounds_invalidate(HARVESTER);
    rounds_store(0, 1, false);
    rounds_invalidate(HARVESTER);
    rounds_store(0, 2, false);
    end_round();
    end_round();
    assert_trace("start mode 2 pages 64 frames 64\n" ROUND(
        "invalidated", "0",
        "1") "seen\nbetween 1\nlogged\n" ROUND("unharvested", "1",
                                               "0") "seen 2\nbetween\nlogged\nstop still 0 cpus 2\n");
}

static void test_all_pieces_of_a_clean_are_one_harvest(void **state)
{
    begin(false);
    rounds_harvest(HARVESTER);
    rounds_invalidate(HARVESTER);
    rounds_store(0, 1, false);
    rounds_harvest(HARVESTER);
    rounds_store(0, 2, false);
    rounds_invalidate(HARVESTER);
    rounds_store(0, 3, false);
    end_round();
    end_round();
    assert_trace("start mode 2 pages 64 frames 64\n" ROUND(
        "invalidated", "0",
        "2") "seen\nbetween 1-2\nlogged\n" ROUND("unharvested", "1",
                                                 "0") "seen 3\nbetween\nlogged\nstop still 0 cpus 3\n");
}

static void test_a_barrier_alone_ends_nothing(void **state)
{
    begin(true);
    rounds_harvest(HARVESTER);
    rounds_barrier(HARVESTER);
    rounds_store(0, 1, false);
    end_round();
    end_round();
    assert_trace("start mode 2 pages 64 frames 64\n" ROUND(
        "uninvalidated", "0",
        "1") "seen\nbetween 1\nlogged\n" ROUND("unharvested", "0",
                                               "0") "seen\nbetween\nlogged\nstop still 0 cpus 1\n");
}

static void test_other_cpus_do_not_end_a_round(void **state)
{
    begin(false);
    rounds_invalidate(HARVESTER); /* no harvest yet */
    rounds_store(0, 1, false);
    rounds_harvest(HARVESTER);
    rounds_invalidate(0);
    rounds_store(0, 2, false);
    end_round();
    rounds_store(0, 63, false);
    end_round();
    assert_trace("start mode 2 pages 64 frames 64\n" ROUND(
        "uninvalidated", "1",
        "1") "seen 1\nbetween 2\nlogged\n" ROUND("unharvested", "1",
                                                 "0") "seen 63\nbetween\nlogged\nstop still 0 cpus 3\n");
}

static void test_the_hypervisor_may_mark_a_round_later(void **state)
{
    begin(false);
    rounds_store(0, 1, true);
    rounds_harvest(HARVESTER);
    rounds_invalidate(HARVESTER);
    rounds_store(0, 2, true);
    rounds_cleaned();
    rounds_reported(1);
    rounds_reported(ROUNDS_PAGES_MAX);
    rounds_report_ends();
    end_round();
    assert_trace(
        "start mode 2 pages 64 frames 64\n"
        "round invalidated stores 0 between 0 hypervisor 2 handlers 0 crossing 0 unknown 0\n"
        "seen\nbetween 1\nlogged 1\n" ROUND("unharvested", "0",
                                            "0") "seen\nbetween 2\nlogged\nstop still 0 cpus\n");
}

static void test_handlers_in_flight_are_told(void **state)
{
    begin(false);
    rounds_fault(0);
    rounds_fault(1);
    rounds_fault(2);
    rounds_leave(1);
    rounds_harvest(HARVESTER);
    rounds_harvest(HARVESTER); /* they count once */
    rounds_leave(0);
    rounds_leave(2);
    end_round();
    end_round();
    assert_trace(
        "start mode 2 pages 64 frames 64\n"
        "round uninvalidated stores 0 between 0 hypervisor 0 handlers 2 crossing 0 unknown 0\n"
        "seen\nbetween\nlogged\n" ROUND("unharvested", "0",
                                        "0") "seen\nbetween\nlogged\nstop still 0 cpus\n");
}

static void test_stores_of_a_paused_guest_are_counted(void **state)
{
    begin(false);
    rounds_still();
    rounds_store(3, 7, false);
    rounds_count_crossing();
    rounds_count_unknown();
    rounds_harvest(HARVESTER);
    rounds_invalidate(HARVESTER);
    rounds_store(3, 8, false);
    end_round();
    assert_trace(
        "start mode 2 pages 64 frames 64\n"
        "round invalidated stores 1 between 0 hypervisor 0 handlers 0 crossing 1 unknown 1\n"
        "seen 7\nbetween\nlogged\nstop still 2 cpus 2\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_thread_ends_at_the_invalidation),
        cmocka_unit_test(test_several_threads_end_at_the_barrier),
        cmocka_unit_test(test_the_last_invalidation_counts),
        cmocka_unit_test(test_all_pieces_of_a_clean_are_one_harvest),
        cmocka_unit_test(test_a_barrier_alone_ends_nothing),
        cmocka_unit_test(test_other_cpus_do_not_end_a_round),
        cmocka_unit_test(test_the_hypervisor_may_mark_a_round_later),
        cmocka_unit_test(test_handlers_in_flight_are_told),
        cmocka_unit_test(test_stores_of_a_paused_guest_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
