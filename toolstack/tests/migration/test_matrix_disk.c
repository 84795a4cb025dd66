/* SPDX-License-Identifier: MIT */
/*
 * The disk is full from the n-th write on: a save fails, leaves no file and the guest as it was; a
 * migration, which writes only what others may read about it, goes on.
 */
#include "matrix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define CASES_MAX 512

enum how { SAVE_STOPPED, SAVE_LIVE, SAVE_CHAIN, MIGRATE, MIGRATE_HELD, HOWS };

static int save(struct matrix *m, enum how how, const char *path)
{
    struct gw_save_options options = {
        .name = "web",
        .path = path,
        .after = GW_SAVE_RUN_ON,
        .live = how == SAVE_LIVE,
        .incremental = how == SAVE_CHAIN,
        .verify = how != SAVE_STOPPED,
        .compress_level = how == SAVE_LIVE,
        .opener = &m->opener,
    };
    pid_t pid = fork();

    if (pid == 0) {
        faults_side = FAULT_SOURCE;
        _exit(gw_save(&options, &faults->err));
    }
    return matrix_wait(m, pid);
}

static int act(struct matrix *m, enum how how)
{
    char path[64];

    snprintf(path, sizeof(path), "%s/saved", m->dir);
    faults->count_writes = true;
    if (how == MIGRATE_HELD)
        setenv("GODWIT_FAIL_AT", "dest-resumed:error", 1);
    int status = how < MIGRATE ? save(m, how, path) : matrix_migrate(m);
    faults->count_writes = false;
    return status;
}

static void check_save(struct matrix *m, int status)
{
    char path[64], partial[80];
    struct gw_error why = m->err;

    snprintf(path, sizeof(path), "%s/saved", m->dir);
    snprintf(partial, sizeof(partial), "%s.partial", path);
    if (access(partial, F_OK) == 0)
        case_fail("a part of the file is left");
    if (status == 0 || !strstr(m->err.message, "No space left"))
        case_fail("exit status %d, \"%s\"", status, m->err.message);
    if (access(path, F_OK) == 0)
        case_fail("a file is there that was not written whole: %s", m->err.message);
    faults->fail_write = 0;
    if (save(m, SAVE_LIVE, path))
        case_fail("afterwards it cannot be saved: %s", m->err.message);
    m->err = why;
}

static void run_full(const struct test_case *c)
{
    enum how how = (enum how)c->numbers[0];
    struct matrix m;

    matrix_begin(&m);
    faults->fail_write = (unsigned)c->numbers[1];
    int status = act(&m, how);
    if (!faults->happened)
        case_fail("nothing was written so late");
    if (how < MIGRATE)
        check_save(&m, status);
    matrix_check(&m, how < MIGRATE ? GW_EXIT_FAILED : status,
                 how == MIGRATE        ? END_MOVED
                 : how == MIGRATE_HELD ? END_HELD
                                       : END_HERE);
    matrix_end(&m);
}

static unsigned measure(enum how how)
{
    unsigned *writes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (writes == MAP_FAILED)
        return 0;
    fflush(stdout);
    case_folder();
    pid_t pid = fork();
    if (pid == 0) {
        struct matrix m;

        matrix_begin(&m);
        act(&m, how);
        *writes = faults->writes;
        matrix_end(&m);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    return *writes;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"save", "save --live", "save --incremental", "migrate",
                                        "migrate, held"};
    static struct test_case cases[CASES_MAX];
    unsigned n = 0, most = getenv("GODWIT_TEST_LONG") ? CASES_MAX / HOWS : 8;
    int rc = matrix_main(argc, argv);

    if (rc >= 0)
        return rc;
    for (unsigned how = 0; how < HOWS; how++) {
        unsigned total = measure((enum how)how), step = 1 + total / most;
        printf("%s: %u writes\n", names[how], total);
        if (total == 0)
            return 1;
        /* How many there are depends on how fast the guest writes; the first ones always are. */
        for (unsigned at = 1; at <= total - total / 4 && n < CASES_MAX; at += step) {
            struct test_case *c = &cases[n++];
            snprintf(c->name, sizeof(c->name), "%s, full at write %u", names[how], at);
            c->run = run_full;
            c->numbers[0] = (int)how;
            c->numbers[1] = (int)at;
        }
    }
    return cases_run(cases, n, argc > 1 ? argv[1] : NULL);
}
