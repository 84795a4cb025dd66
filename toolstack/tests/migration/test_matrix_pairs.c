/* SPDX-License-Identifier: MIT */
/*
 * Hosts that cannot take the guest, which must be said before its first page is looked at; and two
 * migrations that meet: of one guest, of two guests in opposite directions, of one name.
 */
#include "matrix.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND "web is being migrated already"

static void check_says(const struct matrix *m, const char *words)
{
    if (!strstr(m->err.message, words))
        case_fail("\"%s\" is not in \"%s\"", words, m->err.message);
}

/* --- hosts that cannot take it ------------------------------------------------------------------
 */

static void spoil(struct fake_host *host, const char *how)
{
    if (!strcmp(how, "memory"))
        host->refuse_create = true;
    else if (!strcmp(how, "layout"))
        host->other_layout = true;
    else if (!strcmp(how, "counter"))
        host->facts.cntfrq_hz = 1000000000;
    else if (!strcmp(how, "feature"))
        host->facts.id[6] = 0x10;
    else
        fake_guest_add(host, "web")->config.uuid[0] = 'X';
}

static void run_unfit(const struct test_case *c)
{
    struct fake_host *there, *here;
    struct stream_host facts;
    struct fake_guest *other;
    struct matrix m;

    matrix_begin(&m);
    here = &m.world->hosts[0];
    there = &m.world->hosts[1];
    facts = there->facts;
    spoil(there, c->words[0]);
    int status = matrix_migrate(&m);
    CASE_CHECK(status != GW_EXIT_OK);
    check_says(&m, c->words[1]);
    CASE_CHECK(here->reads == 0 && here->log_starts == 0 && here->log_takes == 0);
    there->refuse_create = there->other_layout = false;
    there->facts = facts;
    if ((other = fake_guest_find(there, "web")))
        fake_guest_remove(there, other);
    matrix_check(&m, status, END_HERE);
    matrix_end(&m);
}

/* A guest of the same name is made there while ours is on its way. */
static void run_name_taken(const struct test_case *c)
{
    struct matrix m;

    matrix_begin(&m);
    snprintf(faults->step, sizeof(faults->step), "%s", c->words[0]);
    faults->kind = FAULT_TAKE_NAME;
    int status = matrix_migrate(&m);
    CASE_CHECK(faults->happened);
    check_says(&m, "web");
    struct fake_guest *other = fake_guest_find(&m.world->hosts[1], "web");
    CASE_CHECK(other && other->config.uuid[0] == 'X' && other->pauses == 0);
    fake_guest_remove(&m.world->hosts[1], other);
    matrix_check(&m, status, (unsigned)c->numbers[0]);
    matrix_end(&m);
}

/* --- two migrations ------------------------------------------------------------------------------
 */

static pid_t start_and_stop(struct matrix *m, const char *step, pid_t *ret_pid)
{
    setenv("GODWIT_FAIL_AT", step, 1);
    *ret_pid = matrix_start(m);
    unsetenv("GODWIT_FAIL_AT");
    return matrix_await_stop(1);
}

static void run_second(const struct test_case *c)
{
    struct matrix m;
    pid_t first, stopped;

    matrix_begin(&m);
    stopped = start_and_stop(&m, c->words[0], &first);
    int status = matrix_migrate(&m);
    if (status != GW_EXIT_STATE)
        case_fail("the second ended with %d: %s", status, m.err.message);
    check_says(&m, c->words[1]);
    kill(stopped, SIGCONT);
    matrix_check(&m, matrix_wait(&m, first), END_MOVED);
    matrix_end(&m);
}

static void go_on(const char *name, struct matrix *m, pid_t pid, int wanted)
{
    int status = matrix_wait(m, pid);

    if (status != wanted)
        case_fail("%s ended with %d: %s", name, status, m->err.message);
}

/* Both stand still in the middle of their pages before either goes on. */
static void run_crossing(const struct test_case *c)
{
    struct matrix m;
    pid_t pids[2], stopped;

    matrix_begin(&m);
    fake_guest_add(&m.world->hosts[1], "db")->config.uuid[0] = 'X';
    setenv("GODWIT_FAIL_AT", c->words[0], 1);
    pids[0] = matrix_start(&m);
    m.options.name = "db";
    matrix_aim(&m, 1);
    pids[1] = matrix_start(&m);
    unsetenv("GODWIT_FAIL_AT");
    matrix_await_stop(2);
    while ((stopped = case_look(0).stopped_pid))
        kill(stopped, SIGCONT);
    go_on("web", &m, pids[0], GW_EXIT_OK);
    go_on("db", &m, pids[1], GW_EXIT_OK);
    struct fake_guest *db = fake_guest_find(&m.world->hosts[0], "db");
    CASE_CHECK(db && !fake_guest_find(&m.world->hosts[1], "db"));
    fake_guest_pause(db);
    CASE_CHECK(fake_guest_is_sound(db));
    fake_guest_remove(&m.world->hosts[0], db);
    m.options.name = "web";
    matrix_check(&m, GW_EXIT_OK, END_MOVED);
    matrix_end(&m);
}

/* The hosts have different guests of one name: neither can move. */
static void run_crossing_name(const struct test_case *c)
{
    struct matrix m;
    pid_t pids[2];

    matrix_begin(&m);
    struct fake_guest *other = fake_guest_add(&m.world->hosts[1], "web");
    other->config.uuid[0] = 'X';
    pids[0] = matrix_start(&m);
    matrix_aim(&m, 1);
    pids[1] = matrix_start(&m);
    go_on("the second", &m, pids[1], GW_EXIT_MIGRATE_FAILED);
    check_says(&m, "here already");
    go_on("the first", &m, pids[0], GW_EXIT_MIGRATE_FAILED);
    CASE_CHECK(other->used && other->pauses == 0 && !other->logging);
    fake_guest_remove(&m.world->hosts[1], other);
    matrix_aim(&m, 0);
    matrix_check(&m, GW_EXIT_MIGRATE_FAILED, END_HERE);
    matrix_end(&m);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        {"no memory there", run_unfit, {0}, {"memory", "not enough memory"}},
        {"other layout there", run_unfit, {0}, {"layout", "laid out differently"}},
        {"other counter there", run_unfit, {0}, {"counter", "1000000000 Hz"}},
        {"no such feature there", run_unfit, {0}, {"feature", "ID_AA64ISAR0_EL1"}},
        {"name taken there", run_unfit, {0}, {"name", "here already"}},
        {"name taken meanwhile, created", run_name_taken, {END_HERE}, {"dest-created"}},
        {"name taken meanwhile, pages", run_name_taken, {END_HERE}, {"dest-pages"}},
        {"name taken meanwhile, state", run_name_taken, {END_HERE}, {"dest-state"}},
        {"name taken meanwhile, ready", run_name_taken, {END_HELD}, {"dest-ready"}},
        {"name taken meanwhile, go", run_name_taken, {END_HELD}, {"dest-go"}},
        {"two of one guest, hello", run_second, {0}, {"source-hello:stop", SECOND}},
        {"two of one guest, accepted", run_second, {0}, {"source-accepted:stop", SECOND}},
        {"two of one guest, round", run_second, {0}, {"source-round1:stop", SECOND}},
        {"two of one guest, stopped", run_second, {0}, {"source-stopped:stop", SECOND}},
        {"two of one guest, ready", run_second, {0}, {"source-ready:stop", "web is held"}},
        {"crossing guests, round", run_crossing, {0}, {"source-round1:stop"}},
        {"crossing guests, end", run_crossing, {0}, {"source-end:stop"}},
        {"crossing names", run_crossing_name, {0}, {NULL}},
    };
    int rc = matrix_main(argc, argv);

    if (rc >= 0)
        return rc;
    return cases_run(cases, sizeof(cases) / sizeof(cases[0]), argc > 1 ? argv[1] : NULL);
}
