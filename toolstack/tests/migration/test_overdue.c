/* SPDX-License-Identifier: MIT */
/* A guest that was stopped and cannot be handed over in time runs on at the source. */
#include "fake_move.h"
#include "migrate/migrate_overdue.h"

#include <libgodwit/migrate.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Whoever hangs longer is given up anyway. */
#define STALL_MS 2500

static int set_up(void **state)
{
    struct fake_move *m = fake_move_begin(1);

    assert_non_null(m);
    m->options.stall_ms = STALL_MS;
    m->options.limits =
        (struct gw_migrate_limits){.max_downtime_ms = 1000, .throttle = GW_THROTTLE_OFF};
    *state = m;
    return 0;
}

static int tear_down(void **state)
{
    fake_move_end(*state);
    return 0;
}

static int migrate(struct fake_move *m, const char *fail_at)
{
    memset(&m->err, 0, sizeof(m->err));
    setenv("GODWIT_FAIL_AT", fail_at, 1);
    int status = gw_migrate(&m->options, &m->err);
    unsetenv("GODWIT_FAIL_AT");
    return status;
}

static void assert_runs_here(struct fake_move *m)
{
    assert_true(m->guest->used);
    assert_int_equal(m->guest->pauses, 0);
    assert_false(m->guest->logging);
    assert_string_equal(m->guest->note, "");
    assert_true(fake_move_left_nothing(m));
    assert_false(m->world->ran_twice);
}

/* Whichever side is slow, and whatever the source waits for. */
static void test_slow_after_the_stop(void **state)
{
    static const char *const steps[] = {"dest-ready:hang", "source-final:hang"};
    struct fake_move *m = *state;

    for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        m->options.limits.max_downtime_ms = 200;
        int status = migrate(m, steps[i]);
        if (status != GW_EXIT_MIGRATE_DIVERGED ||
            !strstr(m->err.message, "stood still for 1400 ms"))
            fail_msg("%s: exit status %d, %s", steps[i], status, m->err.message);
        assert_non_null(strstr(m->err.message, "\"web\" runs on here"));
        assert_runs_here(m);
    }
    m->options.limits.max_downtime_ms = 5000;
    assert_int_equal(migrate(m, ""), 0);
}

/* A comparison is downtime that was asked for. */
static void test_compared(void **state)
{
    struct fake_move *m = *state;

    m->options.limits.max_downtime_ms = 200;
    m->options.verify = true;
    assert_int_equal(migrate(m, "dest-ready:hang"), GW_EXIT_MIGRATE_FAILED);
    assert_runs_here(m);
}

static void test_limits(void **state)
{
    struct gw_migrate_limits limits = {.max_downtime_ms = 300};

    assert_int_equal(migrate_overdue_limit(&limits), 1600);
    limits.max_downtime_ms = GW_LIMIT_MS_MAX;
    assert_int_equal(migrate_overdue_limit(&limits), 0);
    limits.max_downtime_ms = GW_LIMIT_MS_MAX / 2 - 500;
    assert_int_equal(migrate_overdue_limit(&limits), GW_LIMIT_MS_MAX);
    limits.on_timeout = GW_ON_TIMEOUT_STOP;
    assert_int_equal(migrate_overdue_limit(&limits), 0);
}

/* What ends in time is not overdue later: the timer ends with the wait. */
static void test_in_time(void **state)
{
    migrate_overdue_begin(20);
    assert_false(migrate_overdue_end());
    usleep(40000);
    assert_false(migrate_overdue_end());
    migrate_overdue_begin(20);
    usleep(200000);
    assert_true(migrate_overdue_end());
}

int main(int argc, char **argv)
{
    if (argc == 3)
        fake_move_receive(argv[2]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_slow_after_the_stop),
        TEST(test_compared),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
