/* SPDX-License-Identifier: MIT */
/* Migration between two fake hosts: what moves, and what is left when something fails at any step.
 */
#include "fake_move.h"
#include "migrate/migrate_status.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int set_up(void **state)
{
    struct fake_move *f = fake_move_begin(8);

    assert_non_null(f);
    /* so that the number of rounds decides */
    f->options.limits = (struct gw_migrate_limits){
        .max_rounds = 4, .max_downtime_ms = 1, .on_timeout = GW_ON_TIMEOUT_STOP};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fake_move_end(*state);
    return 0;
}

static struct fake_guest *at_destination(struct fake_move *f, const char *name)
{
    return fake_guest_find(&f->world->hosts[1], name);
}

static void assert_guest_steps(struct fake_move *f)
{
    uint64_t before = f->world->steps;

    for (int i = 0; i < 500 && f->world->steps == before; i++)
        usleep(10000);
    assert_true(f->world->steps > before);
}

static void assert_sound(struct fake_guest *guest)
{
    fake_guest_pause(guest);
    assert_true(fake_guest_is_sound(guest));
    fake_guest_unpause(guest);
}

/* As if nobody had ever tried to move it. */
static void assert_still_at_source(struct fake_move *f)
{
    assert_true(f->guest->used);
    assert_int_equal(f->guest->pauses, 0);
    assert_false(f->guest->logging);
    assert_string_equal(f->guest->name, "web");
    assert_string_equal(f->guest->note, "");
    assert_guest_steps(f);
    assert_sound(f->guest);
    assert_true(fake_move_left_nothing(f));
    assert_false(f->world->ran_twice);
}

static int migrate(struct fake_move *f)
{
    memset(&f->err, 0, sizeof(f->err));
    return gw_migrate(&f->options, &f->err);
}

static void assert_moves(struct fake_move *f)
{
    int status = migrate(f);

    if (status)
        print_message("%s\n", f->err.message);
    assert_int_equal(status, 0);
    struct fake_guest *moved = at_destination(f, "web");
    assert_non_null(moved);
    assert_false(f->guest->used);
    assert_sound(moved);
    assert_int_equal(moved->state[5], 0xA5);
    assert_int_equal(moved->config.on_reboot, STREAM_RESTART);
    assert_string_equal(moved->text, "memory = 2\n");
    assert_false(f->world->ran_twice);
}

static void test_moves_while_written(void **state)
{
    struct fake_move *f = *state;

    f->options.verify = true;
    assert_moves(f);
    assert_int_equal(at_destination(f, "web")->pauses, 0);
    assert_guest_steps(f);
    assert_true(f->world->hosts[0].log_takes >= 2);
}

static void test_moves_idle(void **state)
{
    struct fake_move *f = *state;

    f->world->busy = 0;
    f->options.limits.max_downtime_ms = 60000;
    assert_moves(f);
    assert_int_equal(f->world->hosts[0].log_takes, 2); /* one round, and the last look */
}

/* All of its memory in each round: no limit but the largest lets it stop. */
static void write_everything(struct fake_move *f)
{
    f->world->busy = 4000;
    f->world->hosts[0].no_counts = true; /* nothing to throttle */
    f->options.limits = (struct gw_migrate_limits){.max_downtime_ms = 1};
}

static void test_gives_up(void **state)
{
    struct fake_move *f = *state;

    write_everything(f);
    assert_int_equal(migrate(f), GW_EXIT_MIGRATE_DIVERGED);
    assert_non_null(strstr(f->err.message, "it did not converge"));
    assert_non_null(strstr(f->err.message, "runs on here"));
    assert_still_at_source(f);
    f->options.limits.on_timeout = GW_ON_TIMEOUT_STOP;
    assert_moves(f);
}

static void test_runs_out_of_time(void **state)
{
    struct fake_move *f = *state;

    write_everything(f);
    f->options.limits.timeout_ms = 1; /* over in the first round */
    assert_int_equal(migrate(f), GW_EXIT_MIGRATE_DIVERGED);
    assert_non_null(strstr(f->err.message, "out of time"));
    assert_still_at_source(f);
    /* What there was no time for is sent after the stop: the destination counts. */
    f->options.limits.on_timeout = GW_ON_TIMEOUT_STOP;
    f->options.verify = true;
    assert_moves(f);
}

/* With the guest left paused there, both copies can be compared byte for byte. */
static void test_every_page_is_equal(void **state)
{
    struct fake_move *f = *state;

    f->options.paused = true;
    assert_int_equal(migrate(f), 0);
    struct fake_guest *moved = at_destination(f, "web");
    assert_non_null(moved);
    assert_int_equal(moved->pauses, 1);
    assert_memory_equal(moved->memory, f->guest->memory, sizeof(moved->memory));
    assert_memory_equal(moved->state, f->guest->state, sizeof(moved->state));
}

static void test_paused_guest_stays_paused(void **state)
{
    struct fake_move *f = *state;

    fake_guest_pause(f->guest);
    assert_int_equal(migrate(f), 0);
    assert_int_equal(at_destination(f, "web")->pauses, 1);

    /* And one that could not be moved is paused as before, no more and no less. */
    struct fake_guest *second = fake_guest_add(&f->world->hosts[0], "second");
    fake_guest_pause(second);
    f->options.name = "second";
    setenv("GODWIT_FAIL_AT", "source-final:error", 1);
    assert_int_equal(migrate(f), GW_EXIT_MIGRATE_FAILED);
    assert_int_equal(second->pauses, 1);
    assert_non_null(strstr(f->err.message, "stays paused"));
}

/* Before GO, whatever fails on whichever side: the guest runs here, and can be moved afterwards. */
static void fail_before_go(struct fake_move *f, const char *step, const char *action)
{
    char fail_at[64];
    bool cancelled = !strcmp(action, "cancel");

    snprintf(fail_at, sizeof(fail_at), "%s:%s", step, action);
    setenv("GODWIT_FAIL_AT", fail_at, 1);
    int status = migrate(f);
    if (status != (cancelled ? GW_EXIT_MIGRATE_CANCELLED : GW_EXIT_MIGRATE_FAILED))
        fail_msg("%s: exit status %d, %s", fail_at, status, f->err.message);
    /* The reason is ours, not that a process crashed on the way. */
    if (!strcmp(action, "error") && !strstr(f->err.message, "as GODWIT_FAIL_AT asked"))
        fail_msg("%s: %s", fail_at, f->err.message);
    unsetenv("GODWIT_FAIL_AT");
    assert_still_at_source(f);
}

static const char *const source_steps[] = {
    "source-hello",  "source-head",   "source-accepted", "source-log",
    "source-round0", "source-round1", "source-stopped",  "source-final",
    "source-state",  "source-verify", "source-end",      "source-ready",
};
#define SOURCE_STEPS (sizeof(source_steps) / sizeof(source_steps[0]))

static void fail_source_everywhere(void **state, const char *action)
{
    struct fake_move *f = *state;

    f->options.verify = true;
    for (unsigned i = 0; i < SOURCE_STEPS; i++)
        fail_before_go(f, source_steps[i], action);
    assert_moves(f);
}

static void test_source_error_everywhere(void **state)
{
    fail_source_everywhere(state, "error");
}

static void test_source_killed_everywhere(void **state)
{
    fail_source_everywhere(state, "kill");
}

static void test_source_cancelled_everywhere(void **state)
{
    fail_source_everywhere(state, "cancel");
}

static void fail_destination_everywhere(void **state, const char *action)
{
    static const char *const steps[] = {"dest-hello", "dest-config", "dest-created", "dest-accept",
                                        "dest-pages", "dest-state",  "dest-verify",  "dest-ready"};
    struct fake_move *f = *state;

    f->options.verify = true;
    for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        fail_before_go(f, steps[i], action);
    assert_moves(f);
}

static void test_destination_error_everywhere(void **state)
{
    fail_destination_everywhere(state, "error");
}

static void test_destination_killed_everywhere(void **state)
{
    fail_destination_everywhere(state, "kill");
}

static void test_silent_destination(void **state)
{
    struct fake_move *f = *state;

    f->options.stall_ms = 300;
    fail_before_go(f, "dest-accept", "hang");
    fail_before_go(f, "dest-state", "hang");
    f->options.stall_ms = 20000;
    assert_moves(f);
}

/* Between *ready* and *go* both outcomes are right, but each only as a whole. */
static void test_destination_dies_after_ready(void **state)
{
    struct fake_move *f = *state;

    setenv("GODWIT_FAIL_AT", "dest-wait:kill", 1);
    int status = migrate(f);
    unsetenv("GODWIT_FAIL_AT");
    assert_true(fake_move_left_nothing(f));
    if (status == GW_EXIT_MIGRATE_FAILED) {
        assert_still_at_source(f);
        return;
    }
    assert_int_equal(status, GW_EXIT_MIGRATE_UNKNOWN);
    assert_int_equal(f->guest->pauses, 1);
}

/* After GO: the source holds its copy paused, with the log off, and names the way out. */
static void fail_after_go(struct fake_move *f, const char *fail_at, const char *there, int pauses)
{
    setenv("GODWIT_FAIL_AT", fail_at, 1);
    int status = migrate(f);
    unsetenv("GODWIT_FAIL_AT");
    if (status != GW_EXIT_MIGRATE_UNKNOWN)
        fail_msg("%s: exit status %d, %s", fail_at, status, f->err.message);
    assert_non_null(strstr(f->err.message, "godwit resolve web"));
    assert_true(f->guest->note[0]);
    assert_true(f->guest->used);
    assert_int_equal(f->guest->pauses, 1);
    assert_false(f->guest->logging);
    assert_false(f->world->ran_twice);
    if (!there) {
        assert_true(fake_move_left_nothing(f));
        return;
    }
    for (int i = 0; i < 500 && !at_destination(f, there); i++)
        usleep(10000);
    struct fake_guest *moved = at_destination(f, there);
    assert_non_null(moved);
    for (int i = 0; i < 500 && moved->pauses != pauses; i++)
        usleep(10000);
    assert_int_equal(moved->pauses, pauses);
    assert_sound(moved);
}

static void test_go_lost(void **state)
{
    fail_after_go(*state, "source-go:error", NULL, 0);
}

static void test_source_killed_before_go_left(void **state)
{
    fail_after_go(*state, "source-go:kill", NULL, 0);
}

/* Its transport dies with it, so *go* may still be lost on the way: both outcomes are right. */
static void test_source_killed_after_go(void **state)
{
    struct fake_move *f = *state;
    struct fake_guest *moved = NULL;

    setenv("GODWIT_FAIL_AT", "source-gone:kill", 1);
    assert_int_equal(migrate(f), GW_EXIT_MIGRATE_UNKNOWN);
    unsetenv("GODWIT_FAIL_AT");
    assert_int_equal(f->guest->pauses, 1);
    assert_false(f->guest->logging);
    for (int i = 0; i < 500 && !moved; i++) {
        moved = at_destination(f, "web");
        if (!moved && !at_destination(f, "web--incoming"))
            break;
        usleep(10000);
    }
    if (moved)
        assert_sound(moved);
    else
        assert_true(fake_move_left_nothing(f));
    assert_false(f->world->ran_twice);
}

static void test_answer_lost(void **state)
{
    fail_after_go(*state, "dest-resumed:error", "web", 0);
}

static void test_destination_killed_after_resume(void **state)
{
    struct fake_move *f = *state;

    fail_after_go(f, "dest-resumed:kill", "web", 0);
    assert_null(strstr(f->err.message, "refused")); /* that would say that it does not run there */
}

/* It had the guest but never ran it: it stays, paused, for the operator to choose. */
static void test_destination_killed_after_go(void **state)
{
    fail_after_go(*state, "dest-go:kill", "web--incoming", 1);
}

static void test_destination_refuses_after_go(void **state)
{
    struct fake_move *f = *state;

    fail_after_go(f, "dest-go:error", NULL, 0);
    assert_non_null(strstr(f->err.message, "refused"));
}

/* The supervising process is killed while the worker hangs with the guest stopped. */
static void test_supervisor_killed(void **state)
{
    struct fake_move *f = *state;

    setenv("GODWIT_FAIL_AT", "source-stopped:hang", 1);
    pid_t pid = fork();
    if (pid == 0)
        _exit(migrate(f));
    for (int i = 0; i < 500 && f->guest->pauses == 0; i++)
        usleep(10000);
    assert_int_equal(f->guest->pauses, 1);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    for (int i = 0; i < 500 && (f->guest->pauses > 0 || f->guest->logging); i++)
        usleep(10000);
    unsetenv("GODWIT_FAIL_AT");
    assert_still_at_source(f);
    /* The orphan still waits for its transport. */
    for (int i = 0; i < 1000 && migrate_status_is_locked("web"); i++)
        usleep(10000);
}

static void assert_refused(struct fake_move *f, const char *sentence)
{
    assert_int_equal(migrate(f), GW_EXIT_MIGRATE_FAILED);
    if (!strstr(f->err.message, sentence))
        fail_msg("\"%s\" is not in \"%s\"", sentence, f->err.message);
    assert_still_at_source(f);
    assert_int_equal(f->world->hosts[0].log_takes, 0); /* refused before the first page */
}

static void test_other_hosts_are_refused(void **state)
{
    struct fake_move *f = *state;
    struct fake_host *there = &f->world->hosts[1];

    there->facts.cntfrq_hz = 1000000000;
    assert_refused(f, "1000000000 Hz");
    there->facts.cntfrq_hz = f->world->hosts[0].facts.cntfrq_hz;
    there->facts.id[6] = 0x10;
    assert_refused(f, "ID_AA64ISAR0_EL1");
    there->facts.id[6] = 0;
    there->facts.id[14] ^= 0x00F00000; /* another variant of the same part */
    there->refuse_create = true;
    assert_refused(f, "not enough memory");
    there->refuse_create = false;
    there->other_layout = true;
    assert_refused(f, "laid out differently");
    there->other_layout = false;
    assert_moves(f);
}

static void test_name_is_taken(void **state)
{
    struct fake_move *f = *state;
    struct fake_guest *other = fake_guest_add(&f->world->hosts[1], "web");

    other->config.uuid[0] = 'X';
    assert_int_equal(migrate(f), GW_EXIT_MIGRATE_FAILED);
    assert_non_null(strstr(f->err.message, "here already"));
    assert_true(other->used);
    assert_int_equal(f->guest->pauses, 0);
}

static void test_difference_is_found(void **state)
{
    struct fake_move *f = *state;

    f->options.verify = true;
    f->world->hosts[1].corrupt_write = true;
    assert_int_equal(migrate(f), GW_EXIT_MIGRATE_FAILED);
    assert_non_null(
        strstr(f->err.message, "1 pages differ from the source's, the first is frame 0x40004"));
    assert_still_at_source(f);
    f->world->hosts[1].corrupt_write = false;
    f->world->hosts[1].refuse_state = true;
    assert_int_equal(migrate(f), GW_EXIT_MIGRATE_FAILED);
    assert_still_at_source(f);
}

static void test_types_move_and_are_compared(void **state)
{
    struct fake_move *f = *state;

    f->options.verify = true;
    f->guest->readonly[7] = f->guest->readonly[8] = true;
    f->world->hosts[1].forget_readonly = true;
    assert_int_equal(migrate(f), GW_EXIT_MIGRATE_FAILED);
    assert_non_null(strstr(f->err.message, "2 pages are not of the source's type"));
    assert_non_null(strstr(f->err.message, "0x40006"));
    assert_still_at_source(f);
    f->world->hosts[1].forget_readonly = false;
    assert_moves(f);
    for (unsigned page = 0; page < FAKE_PAGES; page++)
        assert_int_equal(at_destination(f, "web")->readonly[page], page == 7 || page == 8);
}

static void test_wrong_guests(void **state)
{
    struct fake_move *f = *state;

    f->options.name = "nobody";
    assert_int_equal(migrate(f), GW_EXIT_NO_GUEST);
    f->options.name = "web";
    f->guest->logging = true; /* somebody else's */
    f->guest->log_owner = getpid();
    assert_int_equal(migrate(f), GW_EXIT_STATE);
    assert_true(f->guest->logging);
    f->guest->logging = false;
    f->guest->log_owner = 0;
    f->guest->shut_down = true;
    assert_int_equal(migrate(f), GW_EXIT_STATE);
}

static void test_bad_transports(void **state)
{
    struct fake_move *f = *state;
    char *missing[] = {"/nonexistent/ssh", NULL};
    char *silent[] = {"true", NULL};
    char *chatty[] = {"sh", "-c", "echo Welcome to Debian, dear friend; cat >/dev/null", NULL};

    f->options.transport.command = missing;
    assert_int_equal(migrate(f), GW_EXIT_MIGRATE_FAILED);
    f->options.transport.command = silent;
    assert_int_equal(migrate(f), GW_EXIT_MIGRATE_FAILED);
    f->options.transport.command = chatty;
    assert_int_equal(migrate(f), GW_EXIT_MIGRATE_FAILED);
    assert_non_null(strstr(f->err.message, "Welcome to Deb"));
    assert_still_at_source(f);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        fake_move_receive(argv[2]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_moves_while_written),
        TEST(test_moves_idle),
        TEST(test_gives_up),
        TEST(test_runs_out_of_time),
        TEST(test_every_page_is_equal),
        TEST(test_paused_guest_stays_paused),
        TEST(test_source_error_everywhere),
        TEST(test_source_killed_everywhere),
        TEST(test_source_cancelled_everywhere),
        TEST(test_destination_error_everywhere),
        TEST(test_destination_killed_everywhere),
        TEST(test_silent_destination),
        TEST(test_destination_dies_after_ready),
        TEST(test_go_lost),
        TEST(test_source_killed_before_go_left),
        TEST(test_source_killed_after_go),
        TEST(test_answer_lost),
        TEST(test_destination_killed_after_resume),
        TEST(test_destination_killed_after_go),
        TEST(test_destination_refuses_after_go),
        TEST(test_supervisor_killed),
        TEST(test_other_hosts_are_refused),
        TEST(test_name_is_taken),
        TEST(test_difference_is_found),
        TEST(test_types_move_and_are_compared),
        TEST(test_wrong_guests),
        TEST(test_bad_transports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
