/* SPDX-License-Identifier: MIT */
#include "cases.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES    4096
#define CASE_SECONDS 60

static const char *current = "";
static char folder[] = "/tmp/godwit-cases-XXXXXX";

void case_fail(const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fprintf(stderr, "FAIL %s: %s\n", current, text);
    fflush(stderr);
    case_kill_all();
    _exit(1);
}

/* --- processes -----------------------------------------------------------------------------------
 */

struct process {
    int pid, parent;
    char state;
    bool below; /* the one who asks */
};

static bool read_process(const char *pid, struct process *ret_process)
{
    char path[64], text[512];

    snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *end = strrchr(text, ')'); /* of the name, which may hold anything */
    ret_process->pid = atoi(pid);
    ret_process->below = false;
    return end && sscanf(end + 1, " %c %d", &ret_process->state, &ret_process->parent) == 2;
}

static bool is_below(const struct process *all, unsigned n, int parent, int self)
{
    if (parent == self)
        return true;
    for (unsigned i = 0; i < n; i++)
        if (all[i].pid == parent)
            return all[i].below;
    return false;
}

/* All below this process, in *ret_all with their flag set. */
static unsigned list_processes(struct process *ret_all)
{
    DIR *dir = opendir("/proc");
    unsigned n = 0, found = 0, before;
    const int self = getpid();
    struct dirent *entry;

    while (dir && n < PROCESSES && (entry = readdir(dir)))
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            n += read_process(entry->d_name, &ret_all[n]);
    if (dir)
        closedir(dir);
    do {
        before = found;
        for (unsigned i = 0; i < n; i++)
            if (!ret_all[i].below && is_below(ret_all, n, ret_all[i].parent, self)) {
                ret_all[i].below = true;
                found++;
            }
    } while (found != before);
    return n;
}

struct case_processes case_look(int but)
{
    static struct process all[PROCESSES];
    struct case_processes found = {0};
    unsigned n = list_processes(all);

    for (unsigned i = 0; i < n; i++) {
        if (!all[i].below || all[i].state == 'Z')
            continue;
        found.n += all[i].pid != but;
        if (all[i].state == 'T') {
            found.stopped++;
            found.stopped_pid = all[i].pid;
        }
    }
    return found;
}

void case_kill_all(void)
{
    static struct process all[PROCESSES];
    unsigned n = list_processes(all);

    for (unsigned i = 0; i < n; i++)
        if (all[i].below)
            kill(all[i].pid, SIGKILL);
}

/* --- running them
 * ---------------------------------------------------------------------------------- */

static pid_t start(const struct test_case *c)
{
    fflush(NULL);
    pid_t pid = fork();

    if (pid == 0) {
        current = c->name;
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(CASE_SECONDS);
        c->run(c);
        fflush(NULL);
        _exit(0);
    }
    return pid;
}

/* What a case that crashed has left is ours now: no case of ours has such a child. */
static void end_orphans(const pid_t *pids, unsigned n)
{
    static struct process all[PROCESSES];
    unsigned count = list_processes(all);

    for (unsigned i = 0; i < count; i++) {
        bool ours = all[i].parent == getpid();
        for (unsigned j = 0; j < n; j++)
            ours &= all[i].pid != pids[j];
        if (ours)
            kill(all[i].pid, SIGKILL);
    }
}

static unsigned jobs(void)
{
    const char *wanted = getenv("GODWIT_TEST_JOBS");
    int n = wanted ? atoi(wanted) : 6;

    return n < 1 ? 1 : (unsigned)n;
}

/* GODWIT_TEST_EVERY: a part of the cases is enough, but for the long form. */
static unsigned every(void)
{
    const char *wanted = getenv("GODWIT_TEST_LONG") ? NULL : getenv("GODWIT_TEST_EVERY");
    int n = wanted ? atoi(wanted) : 1;

    return n < 1 ? 1 : (unsigned)n;
}

/* Waits for one, and tells if it did not end well. */
static unsigned reap(const struct test_case *cases, pid_t *pids, unsigned n, unsigned *running)
{
    int status;
    pid_t pid = wait(&status);

    for (unsigned i = 0; i < n; i++) {
        if (pid <= 0 || pids[i] != pid)
            continue;
        pids[i] = 0;
        --*running;
        if (WIFSIGNALED(status)) {
            fprintf(stderr, "FAIL %s: ended by signal %d\n", cases[i].name, WTERMSIG(status));
            end_orphans(pids, n);
        }
        return status != 0;
    }
    return 0;
}

const char *case_folder(void)
{
    static bool made;

    if (!made && !mkdtemp(folder))
        case_fail("cannot make %s", folder);
    made = true;
    return folder;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    return remove(path);
}

int cases_run(const struct test_case *cases, unsigned n, const char *word)
{
    unsigned running = 0, failed = 0, ran = 0;
    pid_t *pids = calloc(n, sizeof(*pids));

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    case_folder();
    for (unsigned i = 0; pids && i < n; i++) {
        if (word ? !strstr(cases[i].name, word) : i % every() != 0)
            continue;
        while (running >= jobs())
            failed += reap(cases, pids, n, &running);
        pids[i] = start(&cases[i]);
        running++;
        ran++;
    }
    while (running > 0)
        failed += reap(cases, pids, n, &running);
    free(pids);
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    printf("%u cases, %u failed\n", ran, failed);
    return failed || !ran;
}
