/* SPDX-License-Identifier: MIT */
/* What a migration prints while it runs: one line, rewritten, on a terminal; elsewhere one for each
 * round; nothing when it was told to be quiet. */
#include "fake_move.h"
#include "fake_save.h"

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

static char said[65536];

/* Moves a busy guest over a slow link, and keeps what was said. */
static void migrate(enum gw_progress progress, int expected)
{
    struct fake_move *m = fake_move_begin(20);
    int saved = dup(2);
    FILE *file = tmpfile();

    assert_true(m && file);
    m->options.limits = (struct gw_migrate_limits){.max_downtime_ms = 1, /* so: two rounds */
                                                   .bandwidth_bytes_per_s = 1 << 20,
                                                   .max_rounds = 2,
                                                   .on_timeout = GW_ON_TIMEOUT_STOP,
                                                   .throttle = GW_THROTTLE_OFF};
    m->options.progress = progress;
    dup2(fileno(file), 2);
    int status = gw_migrate(&m->options, &m->err);
    dup2(saved, 2);
    close(saved);
    rewind(file);
    said[fread(said, 1, sizeof(said) - 1, file)] = '\0';
    fclose(file);
    if (status != expected)
        fail_msg("exit status %d: %s", status, m->err.message);
    fake_move_end(m);
}

static void assert_said(const char *part)
{
    if (!strstr(said, part))
        fail_msg("\"%s\" was not said: %s", part, said);
}

/* The bar of one phase never goes back. */
static void check_bars(void)
{
    char phase[64] = "", *end;
    long last = -1;

    for (char *at = strstr(said, "\rweb -> south: "); at; at = strstr(at + 1, "\rweb -> south: ")) {
        char *name = at + strlen("\rweb -> south: "), *bar = strchr(name, '[');
        size_t length = (size_t)(strstr(name, "  ") - name);
        assert_non_null(bar);
        long percent = strtol(strchr(bar, ']') + 1, &end, 10);
        assert_true(percent >= 0 && percent <= 100 && !strncmp(end, " %\033[K", 5));
        if (strlen(phase) == length && !strncmp(name, phase, length))
            assert_true(percent >= last);
        snprintf(phase, sizeof(phase), "%.*s", (int)length, name);
        last = percent;
    }
}

static void test_on_a_terminal(void **state)
{
    migrate(GW_PROGRESS_TERMINAL, 0);
    assert_said("moving web (2 MiB) to south\n");
    assert_said("\rweb -> south: bulk copy  sent ");
    assert_said("\rweb -> south: round 2  sent ");
    assert_said("est. downtime ");
    assert_said(" ms (limit 1)");
    assert_said("\r\033[Kweb moved to south in ");
    check_bars();
}

static void test_elsewhere(void **state)
{
    migrate(GW_PROGRESS_LINES, 0);
    assert_null(strchr(said, '\r'));
    assert_null(strchr(said, '\033'));
    assert_said("\nround  1: sent ");
    assert_said("\nround  2: sent ");
    assert_said("\nstopped:  sent ");
    assert_said("\nweb moved to south in ");
}

static void test_quiet(void **state)
{
    migrate(GW_PROGRESS_NONE, 0);
    assert_string_equal(said, "");
}

/* The line does not stay half written under the message. */
static void test_failure_on_a_terminal(void **state)
{
    setenv("GODWIT_FAIL_AT", "source-round1:error", 1);
    migrate(GW_PROGRESS_TERMINAL, GW_EXIT_MIGRATE_FAILED);
    unsetenv("GODWIT_FAIL_AT");
    assert_said("\r\033[Kthe migration of web did not succeed\n");
}

/* Saves a busy guest and restores it, after the save or not; keeps what both have said. */
static void save_and_restore(enum gw_progress progress, bool live, bool fail)
{
    struct fake_save *f = fake_save_begin(20);
    int saved = dup(2);
    FILE *file = tmpfile();

    assert_true(f && file);
    struct gw_save_options save = {.name = "web",
                                   .path = f->files[0],
                                   .live = live,
                                   .progress = progress,
                                   .opener = &f->opener};
    struct gw_restore_options restore = {
        .path = f->files[0], .paused = true, .progress = progress, .opener = &f->opener};
    if (fail)
        setenv("GODWIT_FAIL_AT", "save-pages:error", 1);
    dup2(fileno(file), 2);
    int status = fake_save_run(f, &save);
    fprintf(stderr, "|");
    if (status == 0)
        status = gw_restore(&restore, &f->err);
    dup2(saved, 2);
    close(saved);
    rewind(file);
    said[fread(said, 1, sizeof(said) - 1, file)] = '\0';
    fclose(file);
    assert_int_equal(status != 0, fail);
    assert_true(fake_save_end(f));
}

static void test_save_and_restore_on_a_terminal(void **state)
{
    save_and_restore(GW_PROGRESS_TERMINAL, false, false);
    assert_said("/0.save: memory  written ");
    assert_said("\r\033[Kweb saved to ");
    assert_said("/0.save -> web: memory  read ");
    assert_said("\r\033[Kweb restored from ");
    assert_true(strstr(said, "web restored from ") > strstr(said, "-> web: memory"));
    assert_true(strstr(said, "web saved to ") > strstr(said, " written "));
    save_and_restore(GW_PROGRESS_TERMINAL, true, false);
    assert_said("\rweb -> ");
    assert_said("/0.save: round 1  written ");
    assert_said("/0.save: stopped  written ");
}

static void test_save_and_restore_elsewhere(void **state)
{
    save_and_restore(GW_PROGRESS_LINES, true, false);
    assert_null(strchr(said, '\r'));
    assert_null(strchr(said, '\033'));
    assert_int_equal(strncmp(said, "web saved to ", strlen("web saved to ")), 0);
    assert_said("\n|web restored from ");
    save_and_restore(GW_PROGRESS_NONE, true, false);
    assert_string_equal(said, "|");
}

/* What the caller says of a failure starts at the left. */
static void test_save_fails_on_a_terminal(void **state)
{
    save_and_restore(GW_PROGRESS_TERMINAL, false, true);
    assert_said(" written ");
    assert_said("\r\033[K|");
}

int main(int argc, char **argv)
{
    if (argc == 3)
        fake_move_receive(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_on_a_terminal),
        cmocka_unit_test(test_elsewhere),
        cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_failure_on_a_terminal),
        cmocka_unit_test(test_save_and_restore_on_a_terminal),
        cmocka_unit_test(test_save_and_restore_elsewhere),
        cmocka_unit_test(test_save_fails_on_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
