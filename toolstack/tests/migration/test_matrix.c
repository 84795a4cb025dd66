/* SPDX-License-Identifier: MIT */
/*
 * Every step of the protocol on both sides, and at each: the process stops for a long time, its
 * next write is short and then its connection is gone, and something happens to the guest.
 * docs/design/migration.md has the table.
 */
#include "matrix.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct step {
    const char *name;
    unsigned stop, cut, destroy, shut_down, restart; /* allowed ends; 0: cannot happen */
};

static const struct step source_steps[] = {
    {"source-hello", END_HERE, END_HERE, END_GONE, END_GONE, END_HERE},
    {"source-head", END_HERE, END_HERE, END_GONE, END_GONE, END_HERE},
    {"source-accepted", END_HERE, END_HERE, END_GONE, END_GONE, END_HERE},
    {"source-log", END_HERE, END_HERE, END_GONE, END_GONE, END_HERE},
    {"source-mark", END_HERE, END_HERE, END_GONE, END_GONE, END_HERE},
    {"source-round0", END_HERE, END_HERE, END_GONE, END_GONE, END_HERE},
    {"source-round1", END_HERE, END_HERE, END_GONE, END_GONE, END_HERE},
    {"source-stopped", END_HERE, END_HERE, END_GONE, 0, END_HERE}, /* from here on it is paused */
    {"source-final", END_HERE, END_HERE, END_GONE, 0, END_HERE},
    {"source-state", END_HERE, END_HERE, END_GONE, 0, END_HERE},
    {"source-verify", END_HERE, END_HERE, END_GONE, 0, END_HERE},
    {"source-end", END_HERE, END_HELD, END_GONE, 0, END_HERE}, /* its next write is GO */
    {"source-ready", END_HERE, END_HELD, END_GONE, 0, END_HERE},
    {"source-go", END_HELD, END_HELD, END_MOVED, 0, 0},
    {"source-gone", END_MOVED, 0, END_MOVED, 0, 0},
};

static const struct step destination_steps[] = {
    {"dest-hello", END_HERE, END_HERE, 0, 0, 0},
    {"dest-config", END_HERE, END_HERE, 0, 0, 0},
    {"dest-created", END_HERE, END_HERE, END_HERE, 0, 0},
    {"dest-accept", END_HERE, END_HERE, END_HERE, 0, 0},
    {"dest-pages", END_HERE, END_HERE, END_HERE, 0, 0},
    {"dest-mark", END_HERE, END_HERE, END_HERE, 0, 0},
    {"dest-state", END_HERE, END_HERE, END_HERE, 0, 0},
    {"dest-verify", END_HERE, END_HERE, END_HERE, 0, 0},
    {"dest-ready", END_HERE, END_HERE, END_HELD, 0, 0}, /* found out after GO */
    {"dest-wait", END_HELD, END_HELD, END_HELD, 0, 0},
    {"dest-go", END_HELD, END_HELD, END_HELD, 0, 0},
    {"dest-resumed", END_HELD, END_HELD, 0, 0, 0},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The other side gives up while this one stands still, and then this one finds out. */
static void run_stop(const struct test_case *c)
{
    bool at_source = c->numbers[1];
    int status = -1;
    char fail_at[64];
    struct matrix m;

    matrix_begin(&m);
    m.command[1] = "--behind";
    snprintf(fail_at, sizeof(fail_at), "%s:stop", c->words[0]);
    setenv("GODWIT_FAIL_AT", fail_at, 1);
    pid_t pid = matrix_start(&m), stopped = matrix_await_stop(1);
    faults->hurry = true;
    if (at_source)
        matrix_await_processes(&m, 2);
    else
        status = matrix_wait(&m, pid);
    faults->hurry = false;
    unsetenv("GODWIT_FAIL_AT");
    kill(stopped, SIGCONT);
    if (at_source)
        status = matrix_wait(&m, pid);
    matrix_check(&m, status, (unsigned)c->numbers[0]);
    matrix_end(&m);
}

static void run_fault(const struct test_case *c)
{
    struct matrix m;

    matrix_begin(&m);
    snprintf(faults->step, sizeof(faults->step), "%s", c->words[0]);
    faults->kind = (enum fault_kind)c->numbers[1];
    if (c->words[1])
        setenv("GODWIT_FAIL_AT", c->words[1], 1);
    int status = matrix_migrate(&m);
    if (!faults->happened)
        case_fail("nothing broke");
    matrix_check(&m, status, (unsigned)c->numbers[0]);
    matrix_end(&m);
}

/* With --paused it is to be paused there, and runs on here if it does not come so far. */
static void run_paused(const struct test_case *c)
{
    struct matrix m;

    matrix_begin(&m);
    m.options.paused = true;
    setenv("GODWIT_FAIL_AT", c->words[0], 1);
    int status = matrix_migrate(&m);
    m.options.paused = false;
    matrix_check(&m, status, (unsigned)c->numbers[0]);
    matrix_end(&m);
}

static void run_kill(const struct test_case *c)
{
    struct matrix m;

    matrix_begin(&m);
    setenv("GODWIT_FAIL_AT", c->words[0], 1);
    matrix_check(&m, matrix_migrate(&m), (unsigned)c->numbers[0]);
    matrix_end(&m);
}

static void run_short(const struct test_case *c)
{
    struct matrix m;

    matrix_begin(&m);
    m.options.streams = (unsigned)c->numbers[0];
    m.options.compress_level = c->numbers[1];
    faults->short_writes = true;
    matrix_check(&m, matrix_migrate(&m), END_MOVED);
    matrix_end(&m);
}

static struct test_case cases[256];
static unsigned cases_n;

static struct test_case *add(void (*run)(const struct test_case *), const char *what,
                             const char *step)
{
    struct test_case *c = &cases[cases_n++];

    snprintf(c->name, sizeof(c->name), "%s %s", what, step);
    c->run = run;
    c->words[0] = step;
    return c;
}

static void add_fault(const char *what, const char *step, enum fault_kind kind, unsigned allowed)
{
    if (!allowed)
        return;
    struct test_case *c = add(run_fault, what, step);
    c->numbers[0] = (int)allowed;
    c->numbers[1] = kind;
}

/* The guest ends, and then something else fails. */
static void add_both(const struct step *s)
{
    static char fail_at[COUNT(source_steps)][64];
    static unsigned n;
    struct test_case *c = add(run_fault, "destroy and kill", s->name);

    snprintf(fail_at[n], sizeof(fail_at[n]), "%s:kill", s->name);
    c->words[1] = fail_at[n++];
    c->numbers[0] = (int)s->destroy;
    c->numbers[1] = FAULT_DESTROY;
}

static void add_step(const struct step *s, bool at_source)
{
    struct test_case *stop = add(run_stop, "stop", s->name);

    stop->numbers[0] = (int)s->stop;
    stop->numbers[1] = at_source;
    add_fault("cut", s->name, FAULT_CUT_WRITE, s->cut);
    add_fault("destroy", s->name, FAULT_DESTROY, s->destroy);
    add_fault("shut-down", s->name, FAULT_SHUT_DOWN, s->shut_down);
    add_fault("restart", s->name, FAULT_RESTART, s->restart);
    if (at_source && s->destroy == END_GONE)
        add_both(s);
}

int main(int argc, char **argv)
{
    int rc = matrix_main(argc, argv);

    if (rc >= 0)
        return rc;
    for (unsigned i = 0; i < COUNT(source_steps); i++)
        add_step(&source_steps[i], true);
    for (unsigned i = 0; i < COUNT(destination_steps); i++)
        add_step(&destination_steps[i], false);
    add(run_paused, "paused", "source-final:error")->numbers[0] = END_HERE;
    add(run_paused, "paused", "source-stopped:kill")->numbers[0] = END_HERE;
    add(run_paused, "paused", "source-go:error")->numbers[0] = END_HELD;
    add(run_paused, "paused", "source-gone:kill")->numbers[0] = END_HELD;
    add(run_paused, "paused", "dest-resumed:error")->numbers[0] = END_HELD;
    add(run_kill, "kill", "source-final:kill")->numbers[0] = END_HERE;
    add(run_kill, "kill", "source-gone:kill")->numbers[0] = END_HELD;
    add(run_kill, "kill", "dest-pages:kill")->numbers[0] = END_HERE;
    add(run_kill, "kill", "dest-go:kill")->numbers[0] = END_HELD;
    struct test_case *c = add(run_short, "short", "writes");
    c->numbers[0] = 1;
    c = add(run_short, "short", "writes on 3 connections");
    c->numbers[0] = 3;
    c->numbers[1] = 1;
    return cases_run(cases, cases_n, argc > 1 ? argv[1] : NULL);
}
