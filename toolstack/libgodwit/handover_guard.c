/* SPDX-License-Identifier: MIT */
#include "handover_guard.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

volatile sig_atomic_t handover_cancelled;

static volatile sig_atomic_t worker_pid;

static void on_signal_worker(int signal_number)
{
    handover_cancelled = signal_number;
}

/* ^C reaches both processes, `kill` only the one whose number people see. */
static void on_signal_parent(int signal_number)
{
    if (worker_pid > 0)
        kill(worker_pid, SIGTERM);
}

static void catch_signals(void (*handler)(int))
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = handler}; /* no SA_RESTART: waits are interrupted */

    sigemptyset(&action.sa_mask);
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static _Noreturn void run_worker(int (*work)(struct handover_guard *, void *),
                                 struct handover_guard *guard, void *arg, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) /* it died before prctl: no signal will come */
        handover_cancelled = SIGTERM;
    int status = work(guard, arg);
    fflush(NULL);
    _exit(status);
}

static int wait_for_worker(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

int handover_guard_run(int (*work)(struct handover_guard *guard, void *arg),
                       int (*mend)(struct handover_guard *guard, void *arg, int signal), void *arg,
                       struct gw_error *err)
{
    struct handover_guard *guard =
        mmap(NULL, sizeof(*guard), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t parent = getpid();

    if (guard == MAP_FAILED)
        goto out;
    fflush(NULL);
    worker_pid = 0;
    handover_cancelled = 0;
    catch_signals(on_signal_worker); /* what comes before the fork cancels the child, too */
    pid_t pid = fork();
    if (pid == 0)
        run_worker(work, guard, arg, parent);
    if (pid < 0)
        goto out;
    worker_pid = pid;
    catch_signals(on_signal_parent);
    int status = wait_for_worker(pid);
    worker_pid = 0;
    int result = WIFEXITED(status) ? WEXITSTATUS(status) : mend(guard, arg, WTERMSIG(status));
    *err = guard->error;
    munmap(guard, sizeof(*guard));
    return result;
out:
    gw_error_errno(err, errno, "cannot start a child process");
    if (guard != MAP_FAILED)
        munmap(guard, sizeof(*guard));
    return (int)err->code;
}
