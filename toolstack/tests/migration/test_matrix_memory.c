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

enum what { ALLOCATIONS, CALLS, WHATS };

/* How many there are of each on both sides: by a migration in which nothing fails. */
struct counts {
    unsigned n[WHATS][FAULT_SIDES];
};

static void begin(struct matrix *m, const struct test_case *c)
{
    matrix_begin(m);
    m->options.streams = (unsigned)c->numbers[3];
    m->options.compress_level = c->numbers[3] > 1;
}

static void run_one(const struct test_case *c)
{
    enum what what = (enum what)c->numbers[0];
    unsigned side = (unsigned)c->numbers[1], n = (unsigned)c->numbers[2];
    struct matrix m;

    begin(&m, c);
    if (what == ALLOCATIONS)
        faults->fail_allocation[side] = n;
    else
        m.world->hosts[side].fail_call = n;
    int status = matrix_migrate(&m);
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
        if (matrix_migrate(&m))
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
    snprintf(c->name, sizeof(c->name), "%s %u at the %s, %u connections", names[what], n,
             sides[side], streams);
    c->run = run_one;
    c->numbers[0] = (int)what;
    c->numbers[1] = (int)side;
    c->numbers[2] = (int)n;
    c->numbers[3] = (int)streams;
}

/* The short form has a part of them; the last call, which ends the guest at the source, is in it.
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
            for (unsigned n = total; n > 0; n = n > step ? n - step : 0)
                add((enum what)what, side, n, streams);
        }
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
    return cases_run(cases, cases_n, argc > 1 ? argv[1] : NULL);
}
