/* SPDX-License-Identifier: MIT */
/* A guest that writes faster than the link carries: it is slowed down, moves, and gets all of its
 * time back on every way out. */
#include "fake_host.h"

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

struct fixture {
    struct fake_world *world;
    struct migrate_opener source;
    struct fake_guest *guest;
    pthread_t vcpus;
    char *command[4];
    char fd_text[16];
    struct gw_migrate_options options;
    struct gw_error err;
};

/* The link takes the guest's memory in half a second, in which the second vCPU writes all of it
 * again: the second round presses for the second time, and takes the first step. */
static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    int fd;

    f->world = fake_world_create(&fd);
    assert_non_null(f->world);
    f->world->hosts[0].forget_unthrottle = true;
    f->source = fake_opener(f->world, 0);
    f->guest = fake_guest_add(&f->world->hosts[0], "web");
    snprintf(f->fd_text, sizeof(f->fd_text), "%d", fd);
    f->command[0] = "/proc/self/exe";
    f->command[1] = "--receive";
    f->command[2] = f->fd_text;
    f->options = (struct gw_migrate_options){
        .name = "web",
        .host = "south",
        .transport.command = f->command,
        .limits = {.max_downtime_ms = 250,
                   .bandwidth_bytes_per_s = 4 << 20,
                   .max_rounds = 3,
                   .on_timeout = GW_ON_TIMEOUT_STOP},
        .stall_ms = 20000,
        .opener = &f->source,
    };
    f->world->busy_second = 30;
    f->vcpus = fake_vcpus_start(f->world);
    while (atomic_load(&f->world->steps) < 200) /* pages of zeros need no time on the link */
        usleep(1000);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    f->world->stop = true;
    pthread_join(f->vcpus, NULL);
    close(atoi(f->fd_text));
    munmap(f->world, sizeof(*f->world));
    free(f);
    unsetenv("GODWIT_FAIL_AT");
    return 0;
}

static int migrate(struct fixture *f)
{
    memset(&f->err, 0, sizeof(f->err));
    f->world->hosts[0].throttles = 0;
    return gw_migrate(&f->options, &f->err);
}

static void assert_unthrottled(struct fixture *f, const char *what)
{
    for (unsigned i = 0; i < FAKE_VCPUS; i++)
        if (f->guest->vcpus[i].percent)
            fail_msg("%s: vCPU %u has %u %% less (%s)", what, i, f->guest->vcpus[i].percent,
                     f->err.message);
    if (f->world->hosts[0].throttles == 0)
        fail_msg("%s: it was never throttled (%s)", what, f->err.message);
    assert_false(f->guest->logging);
    assert_false(f->world->ran_twice);
}

static void assert_still_runs(struct fixture *f, const char *what)
{
    assert_unthrottled(f, what);
    assert_true(f->guest->used);
    if (f->guest->pauses)
        fail_msg("%s: it is paused (%s)", what, f->err.message);
}

/* All steps at which it is throttled and still the source's. */
static void fail_everywhere(void **state, const char *action)
{
    static const char *const steps[] = {
        "source-round2", "source-stopped", "source-final",
        "source-end",    "source-ready",   "dest-state",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        char fail_at[64];
        snprintf(fail_at, sizeof(fail_at), "%s:%s", steps[i], action);
        setenv("GODWIT_FAIL_AT", fail_at, 1);
        int status = migrate(f);
        if (status != GW_EXIT_MIGRATE_FAILED && status != GW_EXIT_MIGRATE_CANCELLED)
            fail_msg("%s: exit status %d, %s", fail_at, status, f->err.message);
        assert_still_runs(f, fail_at);
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
    struct fixture *f = *state;

    for (unsigned i = 0; i < 2; i++) {
        setenv("GODWIT_FAIL_AT", ways[i], 1);
        assert_int_equal(migrate(f), GW_EXIT_MIGRATE_UNKNOWN);
        assert_unthrottled(f, ways[i]);
        f->guest->note[0] = '\0';
        fake_guest_unpause(f->guest);
    }
}

static void test_gives_up(void **state)
{
    struct fixture *f = *state;

    f->options.limits.on_timeout = GW_ON_TIMEOUT_CANCEL;
    assert_int_equal(migrate(f), GW_EXIT_MIGRATE_DIVERGED);
    assert_still_runs(f, "last round");
    f->options.limits.max_rounds = 0;
    f->options.limits.timeout_ms = 2500;
    assert_int_equal(migrate(f), GW_EXIT_MIGRATE_DIVERGED);
    assert_still_runs(f, "timeout");
}

/* The hypervisor refuses a step: that is an error, and what was taken before comes back. */
static void test_refused(void **state)
{
    struct fixture *f = *state;

    f->world->hosts[0].refuse_throttle = true;
    assert_int_equal(migrate(f), GW_EXIT_MIGRATE_FAILED);
    assert_int_equal(f->guest->vcpus[1].percent, 0);
    assert_int_equal(f->guest->pauses, 0);
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
    struct fixture *f = *state;
    struct json_object *report;
    char *text;
    int last = 0;

    f->options.limits = (struct gw_migrate_limits){
        .max_downtime_ms = 400, .bandwidth_bytes_per_s = 2 << 20, .throttle = GW_THROTTLE_OFF};
    f->world->busy_second = 2;
    assert_int_equal(migrate(f), GW_EXIT_MIGRATE_DIVERGED);
    assert_int_equal(f->world->hosts[0].throttles, 0);
    f->options.limits.throttle = GW_THROTTLE_AUTO;
    int status = migrate(f);
    if (status)
        fail_msg("%d: %s", status, f->err.message);
    assert_false(f->guest->used);
    assert_int_equal(gw_migrate_status("web", &text, &f->err), 0);
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

static int receive(int fd)
{
    struct fake_world *world = fake_world_open(fd);
    struct migrate_opener opener = fake_opener(world, 1);
    struct gw_receive_options options = {.stall_ms = 20000, .opener = &opener};
    struct gw_error err = {0};

    return gw_migrate_receive(&options, 0, 1, &err);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return receive(atoi(argv[2]));
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
