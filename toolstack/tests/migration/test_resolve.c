/* SPDX-License-Identifier: MIT */
/* A guest whose migration lost its last answer: what may be done with it, and what is refused. */
#include "fake_move.h"
#include "handover/resolve.h"

#include <libgodwit/registry.h>
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

/* --- the policy ------------------------------------------------------------------------------ */

#define ASK   GW_RESOLVE_ASK
#define HERE  GW_RESOLVE_HERE
#define THERE GW_RESOLVE_THERE

/* For each thing that was checked (nothing, runs there, never ran, no power): what is done. */
static const struct {
    uint32_t where;
    enum gw_resolve wanted, done[4];
} rows[] = {
    {HANDOVER_HERE, ASK, {THERE, THERE, THERE, THERE}},
    {HANDOVER_HERE, THERE, {THERE, THERE, THERE, THERE}},
    {HANDOVER_HERE, HERE, {ASK, ASK, ASK, ASK}}, /* whatever somebody believes */
    {HANDOVER_NEVER_RAN, ASK, {HERE, HERE, HERE, HERE}},
    {HANDOVER_NEVER_RAN, HERE, {HERE, HERE, HERE, HERE}},
    {HANDOVER_NEVER_RAN, THERE, {ASK, ASK, ASK, ASK}},
    {HANDOVER_ARRIVING, ASK, {ASK, ASK, ASK, ASK}},
    {HANDOVER_ARRIVING, HERE, {ASK, ASK, ASK, ASK}},
    {HANDOVER_ARRIVING, THERE, {ASK, ASK, ASK, ASK}},
    /* It may have run there and be gone by now. */
    {HANDOVER_NOT_HERE, ASK, {ASK, ASK, ASK, ASK}},
    {HANDOVER_NOT_HERE, HERE, {ASK, ASK, HERE, HERE}},
    {HANDOVER_NOT_HERE, THERE, {ASK, THERE, ASK, ASK}},
    {RESOLVE_NO_ANSWER, ASK, {ASK, ASK, ASK, ASK}},
    {RESOLVE_NO_ANSWER, HERE, {ASK, ASK, HERE, HERE}},
    {RESOLVE_NO_ANSWER, THERE, {ASK, THERE, ASK, ASK}},
    {77, HERE, {ASK, ASK, HERE, HERE}}, /* an answer of a later version */
};

static void test_policy(void **state)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (unsigned checked = 0; checked < 4; checked++) {
            const char *why = NULL;
            enum gw_resolve done =
                resolve_decide(rows[i].wanted, (enum gw_checked)checked, rows[i].where, &why);
            if (done != rows[i].done[checked])
                fail_msg("row %zu, checked %u: %d", i, checked, done);
            assert_non_null(why);
        }
}

/* --- the whole way --------------------------------------------------------------------------- */

struct fixture {
    struct fake_move *move;
    struct gw_resolve_options resolve;
    struct gw_resolve_result result;
};

static int set_up(void **state)
{
    struct fixture *f = *state = calloc(1, sizeof(*f));

    if (!f || !(f->move = fake_move_begin(0)))
        return -1;
    f->resolve = (struct gw_resolve_options){.name = "web", .opener = &f->move->source};
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    fake_move_end(f->move);
    free(f);
    unsetenv("NOBODY_ANSWERS");
    return 0;
}

static struct fake_guest *at_destination(struct fixture *f, const char *name)
{
    return fake_guest_find(&f->move->world->hosts[1], name);
}

static void lose_answer(struct fixture *f, const char *fail_at)
{
    setenv("GODWIT_FAIL_AT", fail_at, 1);
    assert_int_equal(gw_migrate(&f->move->options, &f->move->err), GW_EXIT_MIGRATE_UNKNOWN);
    unsetenv("GODWIT_FAIL_AT");
    assert_true(f->move->guest->used);
    assert_int_equal(f->move->guest->pauses, 1);
}

static int resolve(struct fixture *f, enum gw_resolve wanted, enum gw_checked checked)
{
    memset(&f->move->err, 0, sizeof(f->move->err));
    f->resolve.wanted = wanted;
    f->resolve.checked = checked;
    return gw_resolve(&f->resolve, &f->result, &f->move->err);
}

/* Nothing was done, and the sentence says why. */
static void assert_refused(struct fixture *f, enum gw_resolve wanted, enum gw_checked checked,
                           const char *sentence)
{
    assert_int_equal(resolve(f, wanted, checked), -1);
    assert_int_equal(f->move->err.code, GW_EXIT_MIGRATE_UNKNOWN);
    if (!strstr(f->move->err.message, sentence))
        fail_msg("\"%s\" is not in \"%s\"", sentence, f->move->err.message);
    assert_true(f->move->guest->used);
    assert_int_equal(f->move->guest->pauses, 1);
    assert_true(f->move->guest->note[0]);
}

static void assert_runs_here(struct fixture *f)
{
    assert_int_equal(f->result.done, GW_RESOLVE_HERE);
    assert_int_equal(f->move->guest->pauses, 0);
    assert_string_equal(f->move->guest->note, "");
    assert_false(f->move->world->ran_twice);
    assert_int_equal(resolve(f, ASK, GW_CHECKED_NOTHING), -1);
    assert_int_equal(f->move->err.code, GW_EXIT_STATE);
    /* It is a guest like any other again. */
    for (int i = 0; i < 500 && at_destination(f, "web--incoming"); i++)
        fake_guest_remove(&f->move->world->hosts[1], at_destination(f, "web--incoming"));
    assert_int_equal(gw_migrate(&f->move->options, &f->move->err), 0);
}

static void test_it_runs_there(void **state)
{
    struct fixture *f = *state;
    char *status = NULL;

    lose_answer(f, "dest-resumed:error");
    assert_refused(f, HERE, GW_CHECKED_NOTHING, "it is there");
    assert_refused(f, HERE, GW_CHECKED_NO_POWER, "it is there");
    assert_int_equal(gw_migrate(&f->move->options, &f->move->err),
                     GW_EXIT_STATE); /* that is no way out */
    assert_int_equal(resolve(f, ASK, GW_CHECKED_NOTHING), 0);
    assert_int_equal(f->result.done, GW_RESOLVE_THERE);
    assert_string_equal(f->result.destination, "south");
    assert_false(f->move->guest->used);
    assert_int_equal(at_destination(f, "web")->pauses, 0);
    assert_false(f->move->world->ran_twice);
    assert_int_equal(gw_migrate_status("web", &status, &f->move->err), 0);
    assert_non_null(strstr(status, "\"runs_at\":\"destination\""));
    free(status);
}

static void test_it_never_ran(void **state)
{
    struct fixture *f = *state;

    lose_answer(f, "dest-go:kill");
    assert_non_null(at_destination(f, "web--incoming"));
    assert_refused(f, THERE, GW_CHECKED_RUNS_THERE, "has never run there");
    assert_int_equal(resolve(f, ASK, GW_CHECKED_NOTHING), 0);
    assert_runs_here(f);
}

/* It may have been there and be gone: the operator has to say. */
static void test_it_is_not_there(void **state)
{
    struct fixture *f = *state;

    lose_answer(f, "source-go:error");
    for (int i = 0; i < 500 && at_destination(f, "web--incoming"); i++)
        usleep(10000);
    assert_refused(f, ASK, GW_CHECKED_NEVER_RAN, "it has no such guest now; look there");
    assert_refused(f, HERE, GW_CHECKED_NOTHING, "--checked never-ran");
    assert_refused(f, HERE, GW_CHECKED_RUNS_THERE, "--checked never-ran");
    assert_refused(f, THERE, GW_CHECKED_NOTHING, "--checked runs-there");
    assert_int_equal(resolve(f, HERE, GW_CHECKED_NEVER_RAN), 0);
    assert_runs_here(f);
}

static void test_nobody_answers(void **state)
{
    struct fixture *f = *state;

    lose_answer(f, "dest-resumed:error");
    setenv("NOBODY_ANSWERS", "1", 1);
    assert_refused(f, ASK, GW_CHECKED_NOTHING, "the connection to south ended");
    assert_refused(f, HERE, GW_CHECKED_NOTHING, "look there");
    assert_refused(f, THERE, GW_CHECKED_NOTHING, "look there");
    assert_int_equal(resolve(f, THERE, GW_CHECKED_RUNS_THERE), 0);
    assert_false(f->move->guest->used);
    assert_int_equal(at_destination(f, "web")->pauses, 0);
}

/* Who waits for the answer may still get it. */
static void test_the_migration_is_not_over(void **state)
{
    struct fixture *f = *state;

    setenv("GODWIT_FAIL_AT", "source-gone:hang", 1);
    pid_t pid = fork();
    if (pid == 0)
        _exit(gw_migrate(&f->move->options, &f->move->err));
    for (int i = 0; i < 500 && !at_destination(f, "web"); i++)
        usleep(10000);
    assert_int_equal(resolve(f, THERE, GW_CHECKED_RUNS_THERE), -1);
    assert_int_equal(f->move->err.code, GW_EXIT_STATE);
    assert_true(f->move->guest->used);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    unsetenv("GODWIT_FAIL_AT");
    assert_int_equal(resolve(f, ASK, GW_CHECKED_NOTHING), 0);
    assert_false(f->move->guest->used);
}

/* Killed with its guard at the worst moment: the note was there before. */
static void test_all_were_killed(void **state)
{
    struct fixture *f = *state;
    char *status = NULL;

    setenv("GODWIT_FAIL_AT", "source-gone:hang", 1);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        _exit(gw_migrate(&f->move->options, &f->move->err));
    }
    for (int i = 0; i < 500 && !at_destination(f, "web"); i++)
        usleep(10000);
    kill(-pid, SIGKILL);
    waitpid(pid, NULL, 0);
    unsetenv("GODWIT_FAIL_AT");
    assert_true(f->move->guest->note[0]);
    assert_int_equal(f->move->guest->pauses, 1);
    for (int i = 0; i < 500; i++) {
        free(status);
        assert_int_equal(gw_migrate_status("web", &status, &f->move->err), 0);
        if (!strstr(status, "active"))
            break;
        usleep(10000);
    }
    assert_non_null(strstr(status, "\"result\":\"unknown\""));
    assert_non_null(strstr(status, "godwit resolve web"));
    free(status);
    assert_int_equal(resolve(f, ASK, GW_CHECKED_NOTHING), 0);
    assert_int_equal(f->result.done, GW_RESOLVE_THERE);
    assert_false(f->move->guest->used);
    assert_false(f->move->world->ran_twice);
}

/* The migration's pause ends, the operator's stays. */
static void test_paused_before(void **state)
{
    struct fixture *f = *state;

    fake_guest_pause(f->move->guest);
    setenv("GODWIT_FAIL_AT", "dest-go:kill", 1);
    assert_int_equal(gw_migrate(&f->move->options, &f->move->err), GW_EXIT_MIGRATE_UNKNOWN);
    unsetenv("GODWIT_FAIL_AT");
    assert_int_equal(f->move->guest->pauses, 2);
    assert_int_equal(resolve(f, HERE, GW_CHECKED_NOTHING), 0);
    assert_true(f->result.was_paused);
    assert_int_equal(f->move->guest->pauses, 1);
}

static void test_nothing_to_resolve(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(resolve(f, HERE, GW_CHECKED_NO_POWER), -1);
    assert_int_equal(f->move->err.code, GW_EXIT_STATE);
    f->resolve.name = "nobody";
    assert_int_equal(resolve(f, HERE, GW_CHECKED_NO_POWER), -1);
    assert_int_equal(f->move->err.code, GW_EXIT_NO_GUEST);
}

static void test_damaged_note(void **state)
{
    static const char *const damaged[] = {
        "?",
        "[]",
        "{}",
        "{\"destination\": 7, \"transport\": \"tcp\"}",
        "{\"destination\": \"s\"}",
        "{\"destination\": \"s\", \"transport\": \"post\"}",
        "{\"destination\": \"s\", \"transport\": \"command\", \"command\": []}",
        "{\"destination\": \"s\", \"transport\": \"tls\", \"host\": \"s\"}",
    };
    struct fixture *f = *state;

    fake_guest_pause(f->move->guest);
    for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
        snprintf(f->move->guest->note, sizeof(f->move->guest->note), "%s", damaged[i]);
        assert_int_equal(resolve(f, HERE, GW_CHECKED_NO_POWER), -1);
        assert_int_equal(f->move->err.code, GW_EXIT_CONFIG);
        assert_int_equal(f->move->guest->pauses, 1);
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && getenv("NOBODY_ANSWERS"))
        return 1;
    if (argc == 3)
        fake_move_receive(argv[2]);
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy), TEST(test_it_runs_there),
        TEST(test_it_never_ran),       TEST(test_it_is_not_there),
        TEST(test_nobody_answers),     TEST(test_the_migration_is_not_over),
        TEST(test_all_were_killed),    TEST(test_paused_before),
        TEST(test_nothing_to_resolve), TEST(test_damaged_note),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
