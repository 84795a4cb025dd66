/* SPDX-License-Identifier: MIT */
/*
 * Memory that is not there: each allocation of a migration fails in turn (in the source, the guard,
 * the parser and the builder), and each call of the hosts, as under memory pressure.
 */
#include "matrix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CASES_MAX 2048
#define FIRST     6u

enum what { ALLOCATIONS, CALLS, WHATS };

/* numbers[3] of a case: so many connections, or one of these. */
enum { SAVE = 100, RESTORE };

/* How many there are of each on both sides: by a migration in which nothing fails. */
struct counts {
    unsigned n[WHATS][FAULT_SIDES];
};

static int save(struct matrix *m, const char *path)
{
    const struct gw_save_options options = {.name = "web",
                                            .path = path,
                                            .after = GW_SAVE_RUN_ON,
                                            .live = true,
                                            .verify = true,
                                            .compress_level = 1,
                                            .opener = &m->opener};
    pid_t pid = fork();

    if (pid == 0) {
        faults_side = FAULT_SOURCE;
        _exit(gw_save(&options, &faults->err));
    }
    return matrix_wait(m, pid);
}

/* The guest ended after it was saved. */
static int restore(struct matrix *m, const char *path)
{
    const struct gw_restore_options options = {.path = path, .verify = true, .opener = &m->opener};
    pid_t pid = fork();

    if (pid == 0) {
        faults_side = FAULT_SOURCE;
        _exit(gw_restore(&options, &faults->err));
    }
    return matrix_wait(m, pid);
}

static int act_with_file(struct matrix *m, int act, unsigned n)
{
    struct fake_host *host = &m->world->hosts[0];
    struct gw_error why;
    char path[64];

    snprintf(path, sizeof(path), "%s/saved", m->dir);
    if (act == RESTORE) {
        if (save(m, path))
            case_fail("%s", m->err.message);
        fake_guest_remove(host, fake_guest_find(host, "web"));
        faults->allocations[FAULT_SOURCE] = 0;
    }
    faults->fail_allocation[FAULT_SOURCE] = n;
    int status = act == RESTORE ? restore(m, path) : save(m, path);
    faults->fail_allocation[FAULT_SOURCE] = 0;
    why = m->err;
    if (act == RESTORE && status) {
        CASE_CHECK(!fake_guest_find(host, "web--incoming") && host->frames == 0);
        if (restore(m, path))
            case_fail("afterwards it cannot be restored: %s", m->err.message);
    }
    m->err = why;
    return status;
}

static void begin(struct matrix *m, const struct test_case *c)
{
    matrix_begin(m);
    m->options.streams = c->numbers[3] < SAVE ? (unsigned)c->numbers[3] : 1;
    m->options.compress_level = m->options.streams > 1;
}

static void run_one(const struct test_case *c)
{
    enum what what = (enum what)c->numbers[0];
    unsigned side = (unsigned)c->numbers[1], n = (unsigned)c->numbers[2];
    struct matrix m;

    begin(&m, c);
    if (c->numbers[3] >= SAVE) {
        int failed = act_with_file(&m, c->numbers[3], n);
        if (!failed)
            gw_error_set(&m.err, GW_EXIT_MIGRATE_FAILED, "nothing failed");
        matrix_check(&m, failed ? failed : GW_EXIT_MIGRATE_FAILED, END_HERE);
        matrix_end(&m);
        return;
    }
    if (what == ALLOCATIONS)
        faults->fail_allocation[side] = n;
    else
        m.world->hosts[side].fail_call = n;
    int status = matrix_migrate(&m);
    if (strstr(m.err.message, "not Godwit"))
        case_fail("what was meant for somebody else went to the source: %s", m.err.message);
    matrix_check(&m, status, END_ANY | (what == CALLS && side == FAULT_SOURCE ? END_OLD : 0));
    matrix_end(&m);
}

static void measure(struct counts *ret_counts, unsigned streams)
{
    const struct test_case c = {.name = "measure", .numbers = {0, 0, 0, (int)streams}};
    fflush(stdout);
    case_folder();
    pid_t pid = fork();
    if (pid == 0) {
        struct matrix m;

        begin(&m, &c);
        if (streams >= SAVE ? act_with_file(&m, (int)streams, 0) : matrix_migrate(&m))
            case_fail("%s", m.err.message);
        for (unsigned side = 0; side < FAULT_SIDES; side++) {
            ret_counts->n[ALLOCATIONS][side] = faults->allocations[side];
            ret_counts->n[CALLS][side] = m.world->hosts[side].calls;
        }
        matrix_end(&m);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

static struct test_case cases[CASES_MAX];
static unsigned cases_n;

static void add(enum what what, unsigned side, unsigned n, unsigned streams)
{
    static const char *const names[] = {"allocation", "call"};
    static const char *const sides[] = {"source", "destination"};
    struct test_case *c = &cases[cases_n];

    if (cases_n == CASES_MAX)
        return;
    cases_n++;
    if (streams >= SAVE)
        snprintf(c->name, sizeof(c->name), "allocation %u of %s", n,
                 streams == SAVE ? "save" : "restore");
    else
        snprintf(c->name, sizeof(c->name), "%s %u at the %s, %u connections", names[what], n,
                 sides[side], streams);
    c->run = run_one;
    c->numbers[0] = (int)what;
    c->numbers[1] = (int)side;
    c->numbers[2] = (int)n;
    c->numbers[3] = (int)streams;
}

/*
 * The short form has a part of them. In it are the first, which come before timing makes their
 * numbers differ, and the last call, which ends the guest at the source.
 */
static void add_all(struct counts *counts, unsigned streams)
{
    bool all = getenv("GODWIT_TEST_LONG");

    memset(counts, 0, sizeof(*counts));
    measure(counts, streams);
    for (unsigned what = 0; what < WHATS; what++)
        for (unsigned side = 0; side < FAULT_SIDES; side++) {
            unsigned total = counts->n[what][side];
            unsigned step = all ? 1 : streams > 1 ? 6 : what == CALLS ? 2 : 1;
            printf("%u connections, %s, %s: %u\n", streams, side ? "destination" : "source",
                   what == CALLS ? "calls" : "allocations", total);
            for (unsigned n = total; n > 0; n -= n > FIRST + step ? step : 1)
                add((enum what)what, side, n, streams);
        }
}

static void add_file(struct counts *counts, unsigned act)
{
    memset(counts, 0, sizeof(*counts));
    measure(counts, act);
    printf("%s, allocations: %u\n", act == SAVE ? "save" : "restore",
           counts->n[ALLOCATIONS][FAULT_SOURCE]);
    for (unsigned n = 1; n <= counts->n[ALLOCATIONS][FAULT_SOURCE]; n++)
        add(ALLOCATIONS, FAULT_SOURCE, n, act);
}

int main(int argc, char **argv)
{
    int rc = matrix_main(argc, argv);
    struct counts *counts =
        mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (rc >= 0)
        return rc;
    if (counts == MAP_FAILED)
        return 1;
    add_all(counts, 1);
    add_all(counts, 3);
    add_file(counts, SAVE);
    add_file(counts, RESTORE);
    return cases_run(cases, cases_n, argc > 1 ? argv[1] : NULL);
}
