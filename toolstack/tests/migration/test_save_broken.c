/* SPDX-License-Identifier: MIT */
/* Saves on a fake host that are broken off, meet others, or aim at files that must not be touched.
 */
#include "fake_save.h"

#include <fcntl.h>
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

#define WORD 32

static int set_up(void **state)
{
    *state = fake_save_begin(1);
    ((struct fake_save *)*state)->world->span = 48;
    return prctl(PR_SET_CHILD_SUBREAPER, 1); /* the worker of a guard that was killed */
}

static int tear_down(void **state)
{
    assert_true(fake_save_end(*state)); /* nothing else is ever left behind */
    return 0;
}

static void assert_saves(struct fake_save *f, const struct gw_save_options *o)
{
    if (fake_save_run(f, o))
        fail_msg("%s", f->err.message);
}

static void assert_refused(struct fake_save *f, const struct gw_save_options *o, int status,
                           const char *why)
{
    assert_int_equal(fake_save_run(f, o), status);
    if (!strstr(f->err.message, why))
        fail_msg("\"%s\" is not in \"%s\"", why, f->err.message);
    assert_true(f->guest->used);
    assert_int_equal(f->guest->pauses, 0);
}

static bool is_there(const struct fake_save *f, unsigned i, const char *end)
{
    char path[128];

    snprintf(path, sizeof(path), "%s%s", f->files[i], end);
    return access(path, F_OK) == 0;
}

/* The guest from these files is sound, and goes on in place of the one that is. */
static void go_on_from(struct fake_save *f, const unsigned *which, unsigned n)
{
    if (f->guest->used)
        fake_guest_remove(&f->world->hosts[0], f->guest);
    if (fake_save_restore(f, which, n))
        fail_msg("%s", f->err.message);
    f->guest = fake_save_guest(f);
    assert_non_null(f->guest);
    assert_true(fake_guest_is_sound(f->guest));
    fake_guest_unpause(f->guest);
}

/* --- broken off ---------------------------------------------------------------------------------
 */

/* The process below this one that has stopped at its step. */
static pid_t wait_stopped(pid_t guard)
{
    char path[64], state = 0;
    int pid = 0;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)guard, (int)guard);
    for (int i = 0; i < 20000 && state != 'T'; i++) {
        char stat[64];
        FILE *file = fopen(path, "re");

        if (!file || fscanf(file, "%d", &pid) != 1)
            pid = 0;
        if (file)
            fclose(file);
        snprintf(stat, sizeof(stat), "/proc/%d/stat", pid);
        file = pid ? fopen(stat, "re") : NULL;
        if (!file || fscanf(file, "%*d %*s %c", &state) != 1)
            state = 0;
        if (file)
            fclose(file);
        usleep(500);
    }
    assert_int_equal(state, 'T');
    return pid;
}

static pid_t start_to(struct fake_save *f, const struct gw_save_options *o, const char *step,
                      pid_t *ret_worker)
{
    char fail_at[WORD + 8];

    snprintf(fail_at, sizeof(fail_at), "%s:stop", step);
    setenv("GODWIT_FAIL_AT", fail_at, 1);
    pid_t guard = fake_save_start(f, o);
    *ret_worker = wait_stopped(guard);
    unsetenv("GODWIT_FAIL_AT");
    return guard;
}

/* Lets it go on, at the same step the next time, too; returns the guard's exit status. */
static int finish(pid_t guard, pid_t worker)
{
    int status = 0;

    while (waitpid(guard, &status, WNOHANG) == 0) {
        kill(worker, SIGCONT);
        usleep(500);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

struct way {
    const char *name;
    int guard, worker; /* the signal that each gets */
};

static const struct way ways[] = {
    {"^C", SIGINT, SIGINT},
    {"kill", SIGTERM, 0},
    {"kill -9 of the worker", 0, SIGKILL},
    {"kill -9 of the guard", SIGKILL, 0},
    {"kill -9 of both", SIGKILL, SIGKILL},
};

static void break_off(struct fake_save *f, const struct gw_save_options *o, const char *step,
                      const struct way *way)
{
    pid_t worker, guard = start_to(f, o, step, &worker);

    if (way->worker == SIGKILL && way->guard == SIGKILL)
        kill(guard, SIGSTOP); /* it must not mend anything in between */
    if (way->worker)
        kill(worker, way->worker);
    if (way->guard)
        kill(guard, way->guard);
    if (way->guard == SIGTERM)
        usleep(2000); /* the guard passes it on */
    if (way->worker == SIGKILL && way->guard == SIGKILL)
        assert_int_equal(waitpid(guard, NULL, 0), guard);
    else
        finish(guard, worker);
    if (way->guard == SIGKILL)
        finish(worker, worker);
}

/* What a save that was broken off has left, and that the next one works. */
static void check_left(struct fake_save *f, const struct gw_save_options *o, const struct way *way)
{
    static const unsigned full[] = {2}, chain[] = {0, 1};
    bool saved = is_there(f, 1, ""), both = way->guard == SIGKILL && way->worker == SIGKILL;
    struct gw_save_options next = fake_save_options(f, 2, -1);

    if (is_there(f, 1, ".partial") != both)
        fail_msg("%s: the partial file is %s", way->name, both ? "not there" : "still there");
    if (both)
        while (f->guest->pauses > 0) /* what the documents tell the operator to do */
            fake_guest_unpause(f->guest);
    if (!f->guest->used) {
        assert_true(saved && o->after == GW_SAVE_DESTROY);
        go_on_from(f, chain + 1, 1);
    }
    assert_int_equal(f->guest->pauses, 0);
    if (!both)
        assert_int_equal(f->guest->logging, saved && o->incremental);
    if (saved && o->since)
        go_on_from(f, chain, 2);
    if (both) { /* one that needs no log finds it, and ends it */
        struct gw_save_options plain = next;

        plain.incremental = false;
        assert_saves(f, &plain);
        assert_false(f->guest->logging);
        assert_false(f->guest->split);
    }
    assert_saves(f, &next); /* elsewhere, with whatever log is on */
    next = fake_save_options(f, 1, -1);
    assert_saves(f, &next); /* and there */
    assert_false(is_there(f, 1, ".partial"));
    go_on_from(f, full, 1);
    unlink(f->files[1]);
    unlink(f->files[2]);
}

/* At each step in every other way, unless all are wanted. */
static void break_at_each(struct fake_save *f, struct gw_save_options *o, const char (*steps)[WORD])
{
    unsigned every = getenv("GODWIT_TEST_LONG") ? 1 : 2, n = 0;

    for (; (*steps)[0]; steps++, n++)
        for (unsigned i = n % every; i < sizeof(ways) / sizeof(ways[0]); i += every) {
            struct gw_save_options first = fake_save_options(f, 0, -1);

            if (o->since)
                assert_saves(f, &first);
            fake_save_let_work(f);
            break_off(f, o, *steps, &ways[i]);
            check_left(f, o, &ways[i]);
        }
}

static void test_broken_off(void **state)
{
    static const char steps[][WORD] = {"save-head", "save-stopped", "save-pages", "save-end", ""};
    struct fake_save *f = *state;
    struct gw_save_options o = fake_save_options(f, 1, -1);

    o.incremental = false;
    break_at_each(f, &o, steps);
    o.after = GW_SAVE_DESTROY;
    break_at_each(f, &o, steps);
}

static void test_broken_off_live(void **state)
{
    static const char steps[][WORD] = {"save-round", "save-taken", "save-stopped",
                                       "save-pages", "save-end",   ""};
    struct fake_save *f = *state;
    struct gw_save_options o = fake_save_options(f, 1, -1);

    o.live = true;
    break_at_each(f, &o, steps);
}

static void test_broken_off_since(void **state)
{
    static const char steps[][WORD] = {"save-resumed", "save-head", "save-taken",
                                       "save-stopped", "save-end",  ""};
    struct fake_save *f = *state;
    struct gw_save_options o = fake_save_options(f, 1, 0);

    break_at_each(f, &o, steps);
}

/* A save that only met a chain's log, and was killed with its guard, takes it from nobody. */
static void test_chain_outlives_a_plain_save(void **state)
{
    static const unsigned chain[] = {0, 2};
    struct fake_save *f = *state;
    struct gw_save_options o = fake_save_options(f, 0, -1), plain = fake_save_options(f, 1, -1);

    assert_saves(f, &o);
    plain.incremental = false;
    break_off(f, &plain, "save-head", &ways[4]);
    assert_saves(f, &plain);
    assert_true(f->guest->logging);
    fake_save_let_work(f);
    o = fake_save_options(f, 2, 0);
    assert_saves(f, &o);
    go_on_from(f, chain, 2);
}

/* --- meeting others -----------------------------------------------------------------------------
 */

/* Else one ends the guest that the other still writes, and two files or hosts have it. */
static void test_one_at_a_time(void **state)
{
    static const unsigned first[] = {0};
    struct fake_save *f = *state;
    struct gw_save_options one = fake_save_options(f, 0, -1), other = fake_save_options(f, 1, -1);
    char *command[] = {"/bin/false", NULL};
    struct gw_migrate_options move = {
        .name = "web", .host = "south", .transport.command = command, .opener = &f->opener};
    struct migrate_host host;
    struct gw_error err = {0};
    pid_t worker;

    one.incremental = other.incremental = false;
    one.after = other.after = GW_SAVE_DESTROY;
    pid_t guard = start_to(f, &one, "save-head", &worker);
    assert_refused(f, &other, GW_EXIT_STATE, "in use");
    assert_false(is_there(f, 1, ""));
    assert_int_equal(gw_migrate(&move, &err), GW_EXIT_MIGRATE_FAILED);
    f->opener.open(f->opener.arg, &host, &err);
    assert_int_equal(host.ops->log_start(host.ctx, f->guest->domid, &err), -1); /* a migration's */
    assert_int_equal(err.code, GW_EXIT_STATE);
    host.ops->close(host.ctx);
    assert_int_equal(finish(guard, worker), 0);
    assert_false(f->guest->used);
    go_on_from(f, first, 1);
}

/* The guest ends by itself while it is saved: nobody is told that it runs on. */
static void test_guest_ends_meanwhile(void **state)
{
    static const char steps[][WORD] = {"save-head", "save-round", "save-stopped", "save-end"};
    struct fake_save *f = *state;
    struct gw_save_options o = fake_save_options(f, 0, -1);
    pid_t worker;

    o.live = true;
    for (unsigned i = 0; i < 4; i++) {
        pid_t guard = start_to(f, &o, steps[i], &worker);

        fake_guest_remove(&f->world->hosts[0], f->guest);
        if (finish(guard, worker) == 0)
            fail_msg("saved, though it ended at %s", steps[i]);
        if (!strstr(f->err.message, "was not saved and has ended"))
            fail_msg("%s: %s", steps[i], f->err.message);
        assert_false(is_there(f, 0, "") || is_there(f, 0, ".partial"));
        f->guest = fake_guest_add(&f->world->hosts[0], "web");
    }
}

/* --- files --------------------------------------------------------------------------------------
 */

/* A save may not take the place of one that it needs, under whatever name. */
static void test_chain_is_not_eaten(void **state)
{
    static const unsigned all[] = {0, 1, 2};
    struct fake_save *f = *state;
    char partial[128];

    for (int i = 0; i < 3; i++) {
        struct gw_save_options o = fake_save_options(f, (unsigned)i, i - 1);

        fake_save_let_work(f);
        assert_saves(f, &o);
    }
    for (unsigned i = 0; i < 3; i++) {
        struct gw_save_options o = fake_save_options(f, i, 2);

        assert_refused(f, &o, GW_EXIT_USAGE, "based on itself");
    }
    assert_int_equal(symlink(f->files[1], f->files[3]), 0);
    struct gw_save_options o = fake_save_options(f, 3, 2);
    assert_refused(f, &o, GW_EXIT_USAGE, "based on itself");
    unlink(f->files[3]);

    /* The file that would be written before it gets its name. */
    snprintf(partial, sizeof(partial), "%s.partial", f->files[3]);
    assert_int_equal(rename(f->files[2], partial), 0);
    o.since = partial;
    assert_refused(f, &o, GW_EXIT_USAGE, "based on itself");
    assert_int_equal(rename(partial, f->files[2]), 0);
    assert_true(f->guest->logging);
    go_on_from(f, all, 3);
    f->guest->pauses = 0;
}

/* A link stays one, and what it names is replaced, on its own disk. */
static void test_link_to_another_folder(void **state)
{
    static const unsigned first[] = {0};
    struct fake_save *f = *state;
    char folder[] = "/tmp/godwit-elsewhere-XXXXXX", target[64];
    struct gw_save_options o = fake_save_options(f, 0, -1);
    struct stat status;

    assert_non_null(mkdtemp(folder));
    snprintf(target, sizeof(target), "%s/big", folder);
    int fd = open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "old", 3), 3);
    close(fd);
    assert_int_equal(symlink(target, f->files[0]), 0);
    assert_saves(f, &o);
    assert_int_equal(lstat(f->files[0], &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(stat(target, &status), 0);
    assert_true(status.st_size > 1 << 20);
    go_on_from(f, first, 1);
    unlink(target);
    assert_int_equal(rmdir(folder), 0);
}

/* Each file of a chain in another place: named by hand, it is the same guest, also the second time.
 */
static void test_chain_across_folders(void **state)
{
    static const unsigned all[] = {0, 1}, last[] = {1};
    struct fake_save *f = *state;
    struct gw_save_options o = fake_save_options(f, 0, -1);
    char folder[] = "/tmp/godwit-elsewhere-XXXXXX", moved[64];

    assert_non_null(mkdtemp(folder));
    snprintf(moved, sizeof(moved), "%s/0", folder);
    assert_saves(f, &o);
    assert_int_equal(rename(f->files[0], moved), 0);
    fake_save_let_work(f);
    o = fake_save_options(f, 1, -1);
    o.since = moved;
    assert_saves(f, &o);
    fake_guest_remove(&f->world->hosts[0], f->guest);
    assert_int_equal(fake_save_restore(f, last, 1), GW_EXIT_FAILED);
    assert_non_null(strstr(f->err.message, "all files of the chain named"));
    assert_null(fake_save_guest(f));
    snprintf(f->files[0], sizeof(f->files[0]), "%s", moved);
    go_on_from(f, all, 2);
    assert_int_equal(fake_save_restore(f, all, 2), GW_EXIT_STATE); /* its name is taken */
    assert_non_null(strstr(f->err.message, "web"));
    assert_true(f->guest->used);
    go_on_from(f, all, 2);
    unlink(moved);
    assert_int_equal(rmdir(folder), 0);
}

/* Files whose names lead back to themselves: an end is found. */
static void test_chain_that_is_a_ring(void **state)
{
    static const unsigned last[] = {1};
    struct fake_save *f = *state;
    struct gw_save_options o = fake_save_options(f, 0, -1);

    assert_saves(f, &o);
    o = fake_save_options(f, 1, 0);
    assert_saves(f, &o);
    unlink(f->files[0]);
    assert_int_equal(link(f->files[1], f->files[0]), 0); /* based on "0.save", which it is now */
    fake_guest_remove(&f->world->hosts[0], f->guest);
    assert_int_not_equal(fake_save_restore(f, last, 1), 0);
    assert_non_null(strstr(f->err.message, "at most 64 files"));
    assert_null(fake_save_guest(f));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_broken_off),           TEST(test_broken_off_live),
        TEST(test_broken_off_since),     TEST(test_chain_outlives_a_plain_save),
        TEST(test_one_at_a_time),        TEST(test_guest_ends_meanwhile),
        TEST(test_chain_is_not_eaten),   TEST(test_link_to_another_folder),
        TEST(test_chain_across_folders), TEST(test_chain_that_is_a_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
