/* SPDX-License-Identifier: MIT */
#include "handover_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

volatile sig_atomic_t handover_cancelled;

static volatile sig_atomic_t worker_pid, interrupts;
static int wake_fd = -1; /* counts them, too, for who polls */

static void on_signal_worker(int signal_number)
{
    handover_cancelled = signal_number;
}

/* ^C reaches both processes, `kill` only the one whose number people see. */
static void on_signal_parent(int signal_number)
{
    int error = errno;

    if (worker_pid > 0)
        kill(worker_pid, SIGTERM);
    if (signal_number == SIGINT) {
        interrupts = interrupts + 1;
        eventfd_write(wake_fd, 1);
    }
    errno = error;
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

/*
 * When memory runs out the child is the right process to kill: its parent puts the guest right, and
 * the work can be done again. Whatever it starts inherits that.
 */
static void offer_to_oom_killer(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return; /* no /proc: the kernel goes by size alone */
    (void)dprintf(fd, "%d", HANDOVER_OOM_SCORE);
    close(fd);
}

static _Noreturn void run_worker(const struct handover_work *work, struct handover_guard *guard,
                                 pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) /* it died before prctl: no signal will come */
        handover_cancelled = SIGTERM;
    offer_to_oom_killer();
    int status = work->run(guard, work->arg);
    atomic_store_explicit(&guard->finished, true, memory_order_relaxed);
    if (!handover_guard_is_detached(guard))
        fflush(NULL);
    _exit(status);
}

/* --- the parent ------------------------------------------------------------------------------ */

static int wait_for_worker(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

/* Whoever presses ^C sees that it was heard, and what a second one does. */
static void say_interrupted(struct handover_guard *guard)
{
    if (!isatty(STDERR_FILENO))
        return;
    dprintf(STDERR_FILENO, "\r\033[K%s\n",
            handover_guard_has(guard, HANDOVER_GONE)
                ? "too late to cancel: the guest was handed over; ^C again leaves waiting for the "
                  "answer to the background"
                : "cancelling; ^C again leaves the rest of it to the background");
}

/* Waits until the worker has ended, or the user does not want to wait any more: then true. */
static bool is_left_alone(struct handover_guard *guard, int worker_fd)
{
    struct pollfd fds[2] = {{.fd = worker_fd, .events = POLLIN}, {.fd = wake_fd, .events = POLLIN}};
    eventfd_t unused;

    while (worker_fd >= 0 && wake_fd >= 0) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return false;
        if (fds[0].revents)
            return false;
        if (interrupts > 1)
            return true;
        if (fds[1].revents && eventfd_read(wake_fd, &unused) == 0)
            say_interrupted(guard);
        fds[1].revents = 0; /* should poll() be interrupted */
    }
    return false;
}

/* Takes the parent's place for a worker that is not its child. */
static _Noreturn void guard_detached(const struct handover_work *work, struct handover_guard *guard,
                                     int worker_fd)
{
    struct pollfd worker = {.fd = worker_fd, .events = POLLIN};
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);

    setsid(); /* ^C is for others now */
    for (int fd = 0; fd < 3; fd++)
        dup2(nowhere, fd);
    while (poll(&worker, 1, -1) < 0 && errno == EINTR)
        ;
    if (!atomic_load_explicit(&guard->finished, memory_order_relaxed))
        work->mend(guard, work->arg, 0);
    _exit(0);
}

/*
 * Returns false if there can be no other guard: then this one has to wait. The end of this process
 * is a SIGTERM for the worker, which has had one.
 */
static bool detach(const struct handover_work *work, struct handover_guard *guard, int worker_fd,
                   struct gw_error *err)
{
    atomic_store_explicit(&guard->detached, true, memory_order_relaxed);
    pid_t pid = fork();

    if (pid == 0)
        guard_detached(work, guard, worker_fd);
    if (pid < 0) {
        atomic_store_explicit(&guard->detached, false, memory_order_relaxed);
        return false;
    }
    gw_error_set(err, GW_EXIT_DETACHED, "detached: what is left to do is done in the background");
    return true;
}

/* Returns the exit status. */
static int watch(const struct handover_work *work, struct handover_guard *guard, pid_t pid,
                 struct gw_error *err)
{
    int worker_fd = pidfd_open(pid, 0), status;

    if (work->may_detach && is_left_alone(guard, worker_fd) &&
        detach(work, guard, worker_fd, err)) {
        close(worker_fd);
        return (int)err->code;
    }
    status = wait_for_worker(pid);
    worker_pid = 0;
    if (worker_fd >= 0)
        close(worker_fd);
    status =
        WIFEXITED(status) ? WEXITSTATUS(status) : work->mend(guard, work->arg, WTERMSIG(status));
    *err = guard->error;
    return status;
}

int handover_guard_run(const struct handover_work *work, struct gw_error *err)
{
    struct handover_guard *guard =
        mmap(NULL, sizeof(*guard), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t parent = getpid();

    if (guard == MAP_FAILED)
        goto out;
    fflush(NULL);
    worker_pid = 0;
    interrupts = 0;
    handover_cancelled = 0;
    catch_signals(on_signal_worker); /* what comes before the fork cancels the child, too */
    pid_t pid = fork();
    if (pid == 0)
        run_worker(work, guard, parent);
    if (pid < 0)
        goto out;
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    worker_pid = pid;
    catch_signals(on_signal_parent);
    if (handover_cancelled) /* it came in between, for the child */
        kill(pid, SIGTERM);
    int result = watch(work, guard, pid, err);
    worker_pid = 0;
    close(wake_fd);
    wake_fd = -1;
    munmap(guard, sizeof(*guard));
    return result;
out:
    gw_error_errno(err, errno, "cannot start a child process");
    if (guard != MAP_FAILED)
        munmap(guard, sizeof(*guard));
    return (int)err->code;
}
