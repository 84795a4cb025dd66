/* SPDX-License-Identifier: MIT */
/*
 * The connection ends, or falls silent, after any byte of either direction: afterwards there is one
 * guest that may run, nothing else is left on either host, and it can be moved at once. With
 * GODWIT_TEST_LONG after every byte of the greetings, of the end and of the answers.
 */
#include "matrix.h"
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CASES_MAX 2048
#define HEAD      300u /* greetings and headers */
#define TAIL      200u /* checksum, END and GO */
#define MESSAGE   16u  /* RESUMED, the last answer */

/* What a migration of an idle guest carries each way. */
static uint64_t (*whole)[2];

static void plan(struct matrix *m, const struct wire_plan *plan, char text[64])
{
    wire_plan_print(plan, text);
    m->command[1] = "--wire";
    m->command[5] = text;
}

static void run_break(const struct test_case *c)
{
    const struct wire_plan broken = wire_plan_read(c->words[0]), unbroken = {.end = WIRE_WHOLE};
    char text[64];
    struct matrix m;

    matrix_begin(&m);
    plan(&m, &broken, text);
    int status = matrix_migrate(&m);
    plan(&m, &unbroken, text);
    matrix_check(&m, status, (unsigned)c->numbers[0]);
    matrix_end(&m);
}

static void measure(void)
{
    const struct wire_plan unbroken = {.end = WIRE_WHOLE};

    fflush(stdout);
    case_folder();
    pid_t pid = fork();
    if (pid == 0) {
        char text[64];
        struct matrix m;

        matrix_begin(&m);
        m.world->busy = 0;
        plan(&m, &unbroken, text);
        if (matrix_migrate(&m))
            case_fail("%s", m.err.message);
        (*whole)[0] = faults->carried[0];
        (*whole)[1] = faults->carried[1];
        matrix_end(&m);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

/* --- where -------------------------------------------------------------------------------------
 */

static struct test_case cases[CASES_MAX];
static unsigned cases_n;

static void add(enum wire_end end, int back, uint64_t bytes, unsigned allowed)
{
    static char texts[CASES_MAX][64];
    const struct wire_plan broken = {.end = end, .back = back, .bytes = bytes};

    if (cases_n == CASES_MAX)
        return;
    struct test_case *c = &cases[cases_n];
    wire_plan_print(&broken, texts[cases_n++]);
    snprintf(c->name, sizeof(c->name), "%s after %u bytes %s", end == WIRE_CUT ? "cut" : "silent",
             (unsigned)bytes, back ? "back" : "there");
    c->run = run_break;
    c->words[0] = texts[cases_n - 1];
    c->numbers[0] = (int)allowed;
}

/* n places, as many at the beginning and the end as in between. GO is in the end. */
static void add_there(enum wire_end end, unsigned n)
{
    uint64_t total = (*whole)[0];

    for (unsigned i = 0; i < n; i++) {
        add(end, 0, HEAD * i / n, END_HERE);
        add(end, 0, HEAD + (total - HEAD - TAIL) * i / n, END_HERE);
        add(end, 0, total - TAIL + TAIL * i / n, END_HERE | END_HELD);
    }
}

/* The source has heard READY when all but the last message has come; before GO it looks once more.
 */
static void add_back(enum wire_end end, unsigned n)
{
    uint64_t total = (*whole)[1];

    for (unsigned i = 0; i < n; i++) {
        uint64_t bytes = i == n - 1 ? total - 1 : total * i / n;
        add(end, 1, bytes,
            bytes < total - MESSAGE   ? END_HERE
            : bytes > total - MESSAGE ? END_HELD
                                      : END_HERE | END_HELD);
    }
}

/* --- processes -----------------------------------------------------------------------------------
 */

static void on_silence(void)
{
    faults->hurry = true;
}

static int carry(char **argv)
{
    char *behind[] = {argv[0], "--receive", argv[2], argv[3], argv[4], NULL};
    struct wire_plan broken = wire_plan_read(argv[5]);
    uint64_t bytes[2];

    faults = faults_make(argv[4]);
    broken.on_silence = on_silence;
    int rc = wire_run(&broken, behind, bytes);
    faults->carried[0] = bytes[0];
    faults->carried[1] = bytes[1];
    return rc;
}

int main(int argc, char **argv)
{
    int rc = matrix_main(argc, argv);
    bool all = getenv("GODWIT_TEST_LONG");

    if (rc >= 0)
        return rc;
    if (argc == 6)
        return carry(argv);
    whole = mmap(NULL, sizeof(*whole), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (whole == MAP_FAILED)
        return 1;
    measure();
    if ((*whole)[0] < 100000 || (*whole)[1] < 64)
        return 1;
    add_there(WIRE_CUT, all ? HEAD : 6);
    add_back(WIRE_CUT, all ? (unsigned)(*whole)[1] : 12);
    add_there(WIRE_SILENT, all ? 20 : 3);
    add_back(WIRE_SILENT, all ? (unsigned)(*whole)[1] : 4);
    return cases_run(cases, cases_n, argc > 1 ? argv[1] : NULL);
}
