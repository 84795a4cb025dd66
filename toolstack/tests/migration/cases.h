/* SPDX-License-Identifier: MIT */
/*
 * Cases of a test that mostly wait: each in a process of its own, several at once. A case that
 * fails ends its process; what it has started ends with it.
 */
#ifndef CASES_H
#define CASES_H

#include <stdbool.h>
#include <stddef.h>

struct test_case {
    char name[96];
    void (*run)(const struct test_case *c); /* returns if all is well */
    int numbers[4];                         /* the case's own */
    const char *words[4];
};

/* Ends the case, with a reason. */
_Noreturn void case_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define CASE_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            case_fail("%s:%d: not %s", __FILE__, __LINE__, #condition);                            \
    } while (0)

/*
 * Runs those whose name holds `word` (NULL: all, or every n-th) and says on stderr which failed.
 * Returns the exit status of the test: 0, or 1 if any failed or none was run.
 */
int cases_run(const struct test_case *cases, unsigned n, const char *word);

/* Where cases may put files: removed by cases_run(), however they end. */
const char *case_folder(void);

/* Processes below this one, without zombies. */
struct case_processes {
    unsigned n;       /* but one */
    unsigned stopped; /* by SIGSTOP */
    int stopped_pid;  /* one of them, or 0 */
};
struct case_processes case_look(int but);
/* Ends them all. */
void case_kill_all(void);

#endif
