/* SPDX-License-Identifier: MIT */
/* A guest that writes faster than the link carries: it is slowed down, moves, and gets all of its
 * time back on every way out. */
#include "fake_move.h"

#include <json-c/json.h>
#include <libgodwit/migrate.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* The link takes the guest's memory in two thirds of a second, in which the second vCPU writes all
 * of it again, most of it also in the 16 steps that it has on the busiest machine: the second round
 * presses for the second time, and takes the first step. To send that takes half a second; a log
 * that is taken in more than the limit, as it waits for the 16 steps, would end it at once. */
static int set_up(void **state)
{
    struct fake_move *m = fake_move_begin(0);

    if (!m)
        return -1;
    m->world->hosts[0].forget_unthrottle = true;
    m->options.limits = (struct gw_migrate_limits){.max_downtime_ms = 400,
                                                   .bandwidth_bytes_per_s = 3 << 20,
                                                   .max_rounds = 3,
                                                   .on_timeout = GW_ON_TIMEOUT_STOP};
    m->world->busy_second = 60;
    while (atomic_load(&m->world->steps) < 200) /* pages of zeros need no time on the link */
        usleep(1000);
    *state = m;
    return 0;
}

static int tear_down(void **state)
{
    fake_move_end(*state);
    return 0;
}

static int migrate(struct fake_move *m)
{
    memset(&m->err, 0, sizeof(m->err));
    m->world->hosts[0].throttles = 0;
    return gw_migrate(&m->options, &m->err);
}

static void assert_unthrottled(struct fake_move *m, const char *what)
{
    for (unsigned i = 0; i < FAKE_VCPUS; i++)
        if (m->guest->vcpus[i].percent)
            fail_msg("%s: vCPU %u has %u %% less (%s)", what, i, m->guest->vcpus[i].percent,
                     m->err.message);
    if (m->world->hosts[0].throttles == 0)
        fail_msg("%s: it was never throttled (%s)", what, m->err.message);
    assert_false(m->guest->logging);
    assert_false(m->world->ran_twice);
}

static void assert_still_runs(struct fake_move *m, const char *what)
{
    assert_unthrottled(m, what);
    assert_true(m->guest->used);
    if (m->guest->pauses)
        fail_msg("%s: it is paused (%s)", what, m->err.message);
}

/* All steps at which it is throttled and still the source's. */
static void fail_everywhere(void **state, const char *action)
{
    static const char *const steps[] = {
        "source-round2", "source-stopped", "source-final",
        "source-end",    "source-ready",   "dest-state",
    };
    struct fake_move *m = *state;

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        char fail_at[64];
        snprintf(fail_at, sizeof(fail_at), "%s:%s", steps[i], action);
        setenv("GODWIT_FAIL_AT", fail_at, 1);
        int status = migrate(m);
        if (status != GW_EXIT_MIGRATE_FAILED && status != GW_EXIT_MIGRATE_CANCELLED)
            fail_msg("%s: exit status %d, %s", fail_at, status, m->err.message);
        assert_still_runs(m, fail_at);
    }
}

static void test_error_everywhere(void **state)
{
    fail_everywhere(state, "error");
}

static void test_killed_everywhere(void **state)
{
    fail_everywhere(state, "kill");
}

static void test_cancelled_everywhere(void **state)
{
    fail_everywhere(state, "cancel");
}

/* Held, after GO: it may be resumed by resolve, and must run at full speed then. */
static void test_held(void **state)
{
    static const char *const ways[] = {"source-go:error", "source-go:kill"};
    struct fake_move *m = *state;

    for (unsigned i = 0; i < 2; i++) {
        setenv("GODWIT_FAIL_AT", ways[i], 1);
        assert_int_equal(migrate(m), GW_EXIT_MIGRATE_UNKNOWN);
        assert_unthrottled(m, ways[i]);
        m->guest->note[0] = '\0';
        fake_guest_unpause(m->guest);
    }
}

static void test_gives_up(void **state)
{
    struct fake_move *m = *state;

    m->options.limits.on_timeout = GW_ON_TIMEOUT_CANCEL;
    assert_int_equal(migrate(m), GW_EXIT_MIGRATE_DIVERGED);
    assert_still_runs(m, "last round");
    m->options.limits.max_rounds = 0;
    m->options.limits.timeout_ms = 2500;
    assert_int_equal(migrate(m), GW_EXIT_MIGRATE_DIVERGED);
    assert_still_runs(m, "timeout");
}

/* The hypervisor refuses a step: that is an error, and what was taken before comes back. */
static void test_refused(void **state)
{
    struct fake_move *m = *state;

    m->world->hosts[0].refuse_throttle = true;
    assert_int_equal(migrate(m), GW_EXIT_MIGRATE_FAILED);
    assert_int_equal(m->guest->vcpus[1].percent, 0);
    assert_int_equal(m->guest->pauses, 0);
}

/* The last step that was in force for a vCPU, and how many rounds had one. */
static unsigned steps_of(struct json_object *report, int vcpu, int *ret_last)
{
    struct json_object *rounds = json_object_object_get(report, "rounds");
    unsigned found = 0;

    for (size_t i = 0; i < json_object_array_length(rounds); i++) {
        struct json_object *throttle =
            json_object_object_get(json_object_array_get_idx(rounds, i), "throttle");
        for (size_t k = 0; k < json_object_array_length(throttle); k++) {
            struct json_object *one = json_object_array_get_idx(throttle, k);
            if (json_object_get_int(json_object_object_get(one, "vcpu")) != vcpu)
                continue;
            *ret_last = json_object_get_int(json_object_object_get(one, "percent"));
            found++;
        }
    }
    return found;
}

static int64_t stall_of(struct json_object *report, unsigned vcpu, const char *kind)
{
    struct json_object *one =
        json_object_array_get_idx(json_object_object_get(report, "vcpus"), vcpu);

    return json_object_get_int64(json_object_object_get(one, kind));
}

/* Without a throttle it does not converge; with one it does, and the reader pays nothing. */
static void test_converges(void **state)
{
    struct fake_move *m = *state;
    struct json_object *report;
    char *text;
    int last = 0;

    m->options.limits = (struct gw_migrate_limits){
        .max_downtime_ms = 400, .bandwidth_bytes_per_s = 2 << 20, .throttle = GW_THROTTLE_OFF};
    m->world->busy_second = 2;
    assert_int_equal(migrate(m), GW_EXIT_MIGRATE_DIVERGED);
    assert_int_equal(m->world->hosts[0].throttles, 0);
    m->options.limits.throttle = GW_THROTTLE_AUTO;
    int status = migrate(m);
    if (status)
        fail_msg("%d: %s", status, m->err.message);
    assert_false(m->guest->used);
    assert_int_equal(gw_migrate_status("web", &text, &m->err), 0);
    report = json_tokener_parse(text);
    free(text);
    assert_true(steps_of(report, 1, &last) >= 2);
    assert_true(last >= 20);
    assert_int_equal(steps_of(report, 0, &last), 0);
    assert_true(stall_of(report, 1, "stall_throttle_ns") > 0);
    assert_int_equal(stall_of(report, 0, "stall_throttle_ns"), 0);
    assert_true(stall_of(report, 1, "stall_fault_ns") > 0);
    json_object_put(report);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        fake_move_receive(argv[2]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_error_everywhere),
        TEST(test_killed_everywhere),
        TEST(test_cancelled_everywhere),
        TEST(test_held),
        TEST(test_gives_up),
        TEST(test_refused),
        TEST(test_converges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
