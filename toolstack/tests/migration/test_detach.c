/* SPDX-License-Identifier: MIT */
/* ^C on a terminal: the first cancels, the second leaves the rest to the background, before and
 * after the point of no return, and whoever is killed then. */
#include "fake_move.h"
#include "migrate/migrate_status.h"

#include <json-c/json.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WAITS   2000
#define WAIT_US 10000

/* A shell's place: the leader of the terminal's session, and a command in the foreground. */
struct terminal {
    pid_t leader, command;
    int keys;  /* what is typed and shown */
    int facts; /* the command's number, then its exit status */
    char shown[8192];
    size_t shown_n;
};

static int run_migration(struct fake_move *m)
{
    int status = gw_migrate(&m->options, &m->err);

    dprintf(2, "\nstatus %d: %s\n", status, m->err.message);
    return status;
}

static _Noreturn void lead(struct fake_move *m, int (*run)(struct fake_move *), int facts)
{
    int status;

    signal(SIGINT, SIG_IGN); /* as a shell while a command runs */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pid_t pid = fork();
    if (pid == 0) {
        close(facts);
        _exit(run(m));
    }
    if (write(facts, &pid, sizeof(pid)) < 0 || waitpid(pid, &status, 0) != pid)
        _exit(1);
    status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (write(facts, &status, sizeof(status)) < 0)
        _exit(1);
    for (;;)
        pause();
}

static void start(struct terminal *t, struct fake_move *m, int (*run)(struct fake_move *))
{
    int facts[2];

    memset(t, 0, sizeof(*t));
    assert_int_equal(pipe(facts), 0);
    t->leader = forkpty(&t->keys, NULL, NULL, NULL);
    if (t->leader == 0)
        lead(m, run, facts[1]);
    close(facts[1]);
    t->facts = facts[0];
    assert_int_equal(read(t->facts, &t->command, sizeof(t->command)), sizeof(t->command));
}

static void expect(struct terminal *t, const char *text)
{
    while (!strstr(t->shown, text)) {
        ssize_t n = read(t->keys, t->shown + t->shown_n, sizeof(t->shown) - 1 - t->shown_n);
        if (n <= 0)
            fail_msg("\"%s\" did not come, but \"%s\"", text, t->shown);
        t->shown_n += (size_t)n;
        t->shown[t->shown_n] = '\0';
    }
}

static void interrupt(struct terminal *t)
{
    assert_int_equal(write(t->keys, "\003", 1), 1);
}

static int status_of(struct terminal *t)
{
    int status = -1;

    assert_int_equal(read(t->facts, &status, sizeof(status)), sizeof(status));
    return status;
}

static void end(struct terminal *t)
{
    kill(t->leader, SIGKILL);
    waitpid(t->leader, NULL, 0);
    close(t->keys);
    close(t->facts);
}

static char state_of(pid_t pid)
{
    char path[64], text[512] = "";

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (file && !fgets(text, sizeof(text), file))
        text[0] = '\0';
    if (file)
        fclose(file);
    char *name_end = strrchr(text, ')');
    return name_end ? name_end[2] : '\0';
}

/* The process that does the work, once it stands still at its step. */
static pid_t stopped_worker(const struct terminal *t)
{
    char path[64], children[64];

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)t->command, (int)t->command);
    for (int i = 0; i < WAITS; i++) {
        FILE *file = fopen(path, "r");
        if (!file)
            break;
        pid_t worker = fgets(children, sizeof(children), file) ? (pid_t)atoi(children) : 0;
        fclose(file);
        if (worker && state_of(worker) == 'T')
            return worker;
        usleep(WAIT_US);
    }
    fail_msg("it never stood still: %s", t->shown);
    return 0;
}

/*
 * What migrate-status says in the end: until the guard is done it has to guess. And the guard has
 * ended: before that the guest counts as being migrated, and no other migration begins.
 */
static void await_result(const char *wanted)
{
    char result[64] = "";

    for (int i = 0; i < WAITS; i++) {
        struct gw_error err = {0};
        char *text = NULL;
        if (gw_migrate_status("web", &text, &err) == 0) {
            struct json_object *status = json_tokener_parse(text);
            snprintf(result, sizeof(result), "%s",
                     json_object_get_string(json_object_object_get(status, "result")));
            json_object_put(status);
            free(text);
            int lock = strcmp(result, wanted) == 0 ? migrate_status_lock("web", &err) : -1;
            if (lock >= 0) {
                close(lock);
                return;
            }
        }
        usleep(WAIT_US);
    }
    fail_msg("the result is \"%s\", not \"%s\"", result, wanted);
}

static int set_up(void **state)
{
    struct fake_move *m = fake_move_begin(8);

    if (!m)
        return -1;
    m->options.progress = GW_PROGRESS_TERMINAL;
    m->options.limits = (struct gw_migrate_limits){
        .max_rounds = 2, .max_downtime_ms = 1, .on_timeout = GW_ON_TIMEOUT_STOP};
    *state = m;
    return 0;
}

static int tear_down(void **state)
{
    fake_move_end(*state);
    return 0;
}

static struct fake_guest *at_destination(struct fake_move *m)
{
    return fake_guest_find(&m->world->hosts[1], "web");
}

static void assert_runs_here(struct fake_move *m)
{
    for (int i = 0; i < WAITS && (m->guest->pauses || m->guest->logging); i++)
        usleep(WAIT_US);
    assert_true(m->guest->used);
    assert_int_equal(m->guest->pauses, 0);
    assert_false(m->guest->logging);
    assert_true(fake_move_left_nothing(m));
    assert_false(m->world->ran_twice);
}

/* Two ^C at a step at which the worker stands still. Returns the worker. */
static pid_t leave_at(struct terminal *t, struct fake_move *m, int (*run)(struct fake_move *),
                      const char *step, const char *hint)
{
    char fail_at[64];

    snprintf(fail_at, sizeof(fail_at), "%s:stop", step);
    setenv("GODWIT_FAIL_AT", fail_at, 1);
    start(t, m, run);
    unsetenv("GODWIT_FAIL_AT");
    pid_t worker = stopped_worker(t);
    interrupt(t);
    expect(t, hint);
    interrupt(t);
    assert_int_equal(status_of(t), GW_EXIT_DETACHED);
    expect(t, "status 130");
    assert_int_equal(state_of(worker), 'T');
    return worker;
}

static pid_t leave_migration_at(struct terminal *t, struct fake_move *m, const char *step,
                                const char *hint)
{
    pid_t worker = leave_at(t, m, run_migration, step, hint);

    expect(t, "`godwit migrate-status web` says how it ends");
    return worker;
}

static void test_first_cancels(void **state)
{
    struct fake_move *m = *state;
    struct terminal t;

    m->options.limits.bandwidth_bytes_per_s = 100000;
    start(&t, m, run_migration);
    expect(&t, "bulk copy");
    interrupt(&t);
    expect(&t, "cancelling; ^C again leaves the rest of it to the background");
    assert_int_equal(status_of(&t), GW_EXIT_MIGRATE_CANCELLED);
    expect(&t, "runs on here");
    await_result("cancelled");
    assert_runs_here(m);
    end(&t);
}

/* The cancellation goes on when the worker does, and what was left of the terminal is not used. */
static void test_second_detaches(void **state)
{
    static const char *const steps[] = {"source-hello", "source-round1", "source-final",
                                        "source-ready"};
    struct fake_move *m = *state;
    struct terminal t;

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        pid_t worker = leave_migration_at(&t, m, steps[i], "cancelling");
        kill(worker, SIGCONT);
        await_result("cancelled");
        assert_runs_here(m);
        end(&t);
        assert_null(strstr(t.shown, "did not succeed"));
    }
    assert_int_equal(gw_migrate(&m->options, &m->err), 0);
    assert_int_equal(at_destination(m)->pauses, 0);
}

/* The guard in the background puts right what the worker cannot. */
static void test_worker_is_killed(void **state)
{
    static const char *const steps[] = {"source-round1", "source-final", "source-ready"};
    struct fake_move *m = *state;
    struct terminal t;

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        pid_t worker = leave_migration_at(&t, m, steps[i], "cancelling");
        end(&t); /* the terminal is gone, too */
        kill(worker, SIGKILL);
        await_result("failed");
        assert_runs_here(m);
    }
}

/* Nobody can cancel any more: the answer is waited for in the background. */
static void test_after_go(void **state)
{
    struct fake_move *m = *state;
    struct terminal t;

    pid_t worker = leave_migration_at(&t, m, "source-gone", "too late to cancel");
    assert_true(m->guest->used);
    assert_int_equal(m->guest->pauses, 1);
    kill(worker, SIGCONT);
    await_result("moved");
    assert_false(m->guest->used);
    assert_int_equal(at_destination(m)->pauses, 0);
    assert_false(m->world->ran_twice);
    end(&t);
}

static void test_killed_after_go(void **state)
{
    struct fake_move *m = *state;
    struct terminal t;

    kill(leave_migration_at(&t, m, "source-gone", "too late to cancel"), SIGKILL);
    await_result("unknown");
    for (int i = 0; i < WAITS && m->guest->logging; i++)
        usleep(WAIT_US);
    assert_int_equal(m->guest->pauses, 1);
    assert_true(m->guest->note[0]);
    assert_false(m->guest->logging);
    assert_int_equal(at_destination(m)->pauses, 0);
    assert_false(m->world->ran_twice);
    end(&t);
}

/* --- save and restore ------------------------------------------------------------------------ */

static char path[64];

static int run_save(struct fake_move *m)
{
    const struct gw_save_options options = {
        .name = "web", .path = path, .live = true, .opener = &m->source};
    int status = gw_save(&options, &m->err);

    dprintf(2, "\nstatus %d: %s\n", status, m->err.message);
    return status;
}

/* The file that was begun goes, and the guest runs on, whether the worker lives or not. */
static void test_save(void **state)
{
    static const int signals[] = {SIGCONT, SIGKILL};
    struct fake_move *m = *state;
    char partial[80];
    struct stat facts;
    struct terminal t;

    snprintf(path, sizeof(path), "/tmp/godwit-detach-%d", (int)getpid());
    snprintf(partial, sizeof(partial), "%s.partial", path);
    for (unsigned i = 0; i < 2; i++) {
        pid_t worker = leave_at(&t, m, run_save, "save-stopped", "cancelling");
        assert_int_equal(stat(partial, &facts), 0);
        kill(worker, signals[i]);
        for (int n = 0; n < WAITS && stat(partial, &facts) == 0; n++)
            usleep(WAIT_US);
        assert_int_equal(stat(partial, &facts), -1);
        assert_int_equal(stat(path, &facts), -1);
        assert_runs_here(m);
        end(&t);
    }
}

static int run_restore(struct fake_move *m)
{
    const struct gw_restore_options options = {.path = path, .verify = true, .opener = &m->source};
    int status = gw_restore(&options, &m->err);

    dprintf(2, "\nstatus %d: %s\n", status, m->err.message);
    return status;
}

/* Guests of the host that restores, under whatever name. */
static unsigned guests_here(const struct fake_move *m)
{
    unsigned n = 0;

    for (unsigned i = 0; i < FAKE_GUESTS; i++)
        n += m->world->hosts[0].guests[i].used;
    return n;
}

static bool has_come_out(const struct fake_move *m, pid_t worker, bool runs)
{
    char state = state_of(worker);

    return (runs || !state || state == 'Z') && guests_here(m) == runs &&
           !fake_guest_find(&m->world->hosts[0], "web") == !runs;
}

/* The guest that was begun goes, whether the worker lives or not, and whatever has come of it. Only
 * what has all of it, when it hears of the cancellation, lets it run. */
static void test_restore(void **state)
{
    static const struct {
        const char *step;
        int signal;
        bool runs;
    } cases[] = {
        {"dest-config", SIGCONT, false},    {"dest-created", SIGCONT, false},
        {"dest-created", SIGKILL, false},   {"dest-pages", SIGCONT, false},
        {"dest-pages", SIGKILL, false},     {"dest-state", SIGKILL, false},
        {"restore-finish", SIGKILL, false}, {"restore-finish", SIGCONT, true},
    };
    struct fake_move *m = *state;
    struct gw_save_options saving = {
        .name = "web", .path = path, .verify = true, .opener = &m->source};
    unsigned frames = m->world->hosts[0].frames - FAKE_GUEST_FRAMES;
    struct terminal t;

    snprintf(path, sizeof(path), "/tmp/godwit-detach-%d", (int)getpid());
    assert_int_equal(gw_save(&saving, &m->err), 0);
    assert_int_equal(guests_here(m), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pid_t worker = leave_at(&t, m, run_restore, cases[i].step, "cancelling");
        assert_null(fake_guest_find(&m->world->hosts[0], "web"));
        end(&t); /* the terminal is gone, too */
        kill(worker, cases[i].signal);
        for (int n = 0; n < WAITS && !has_come_out(m, worker, cases[i].runs); n++)
            usleep(WAIT_US);
        if (guests_here(m) != cases[i].runs)
            fail_msg("%s and signal %d: %u guests", cases[i].step, cases[i].signal, guests_here(m));
        if (!cases[i].runs)
            assert_int_equal(m->world->hosts[0].frames, frames);
    }
    struct fake_guest *web = fake_guest_find(&m->world->hosts[0], "web");
    assert_non_null(web);
    for (int n = 0; n < WAITS && web->pauses; n++)
        usleep(WAIT_US);
    assert_int_equal(web->pauses, 0);
    fake_guest_pause(web);
    assert_true(fake_guest_is_sound(web));
    unlink(path);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        fake_move_receive(argv[2]);
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_first_cancels), TEST(test_second_detaches), TEST(test_worker_is_killed),
        TEST(test_after_go),      TEST(test_killed_after_go), TEST(test_save),
        TEST(test_restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
