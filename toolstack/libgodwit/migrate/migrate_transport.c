/* SPDX-License-Identifier: MIT */
#include "migrate_transport.h"

#include "transport/transport_direct.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRACE_MS 2000
#define STEP_MS  20
#define GREET_MS 20000 /* for the receiver to show who it is */

static _Noreturn void run_command(char *const *command, int in_fd, int out_fd)
{
    signal(SIGINT, SIG_IGN); /* ^C is for us: the other side must hear of it in order */
    signal(SIGPIPE, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (dup2(in_fd, 0) >= 0 && dup2(out_fd, 1) >= 0)
        execvp(command[0], command);
    fprintf(stderr, "cannot run %s: %s\n", command[0], strerror(errno));
    _exit(127);
}

/* Forks the process that carries bytes between the two descriptors and the receiver. */
static pid_t start_carrier(struct migrate_transport *transport, const struct gw_transport *how,
                           int in_fd, int out_fd, struct gw_error *err)
{
    struct transport_relay relay = {
        .how = how,
        .peer = transport->io.peer,
        .socket = -1,
        .in_fd = in_fd,
        .out_fd = out_fd,
        .ready_fd = -1,
        .greet_ms = GREET_MS,
        .stall_ms = transport->io.stall_ms + GRACE_MS, /* the handover's own limit comes first */
    };
    pid_t pid;

    if (how->kind != GW_TRANSPORT_COMMAND) {
        relay.status = transport->status = transport_status_make(err);
        return relay.status ? transport_relay_start(&relay, err) : -1;
    }
    pid = fork();
    if (pid == 0)
        run_command(how->command, in_fd, out_fd);
    if (pid < 0)
        gw_error_errno(err, errno, "cannot start %s", how->command[0]);
    return pid;
}

static int start_direct(struct migrate_transport *transport, const struct gw_transport *how,
                        struct gw_error *err)
{
    int fd = transport_direct_connect(how, &transport->io, GREET_MS, err);

    if (fd < 0)
        return -1;
    transport->is_direct = true;
    transport->io.out_fd = transport->io.in_fd = fd;
    return 0;
}

static int start_carried(struct migrate_transport *transport, const struct gw_transport *how,
                         struct gw_error *err)
{
    int to[2] = {-1, -1}, from[2] = {-1, -1};
    pid_t pid = -1;

    if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
        gw_error_errno(err, errno, "cannot make a pipe");
    else
        pid = start_carrier(transport, how, to[0], from[1], err);
    handover_io_widen(to[1]);
    close(to[0]);
    close(from[1]);
    if (pid < 0) {
        close(to[1]);
        close(from[0]);
        return -1;
    }
    transport->pid = pid;
    transport->io.out_fd = to[1];
    transport->io.in_fd = from[0];
    transport->io.lost = &transport->lost;
    handover_io_unblock(to[1]);
    return 0;
}

int migrate_transport_start(struct migrate_transport *transport, const struct gw_transport *how,
                            struct gw_error *err)
{
    return how->kind == GW_TRANSPORT_TCP ? start_direct(transport, how, err)
                                         : start_carried(transport, how, err);
}

int migrate_transport_stop(struct migrate_transport *transport)
{
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};
    int status = -1;

    if (transport->is_direct) {
        transport_direct_close(transport->io.out_fd);
        transport->is_direct = false;
        return 0;
    }
    if (transport->pid <= 0)
        return -1;
    close(transport->io.out_fd);
    close(transport->io.in_fd);
    for (int waited_ms = 0;; waited_ms += STEP_MS) {
        pid_t done = waitpid(transport->pid, &status, WNOHANG);
        if (done != 0 && !(done < 0 && errno == EINTR))
            break;
        if (waited_ms == GRACE_MS)
            kill(transport->pid, SIGTERM);
        if (waited_ms == 2 * GRACE_MS)
            kill(transport->pid, SIGKILL);
        nanosleep(&step, NULL);
    }
    transport->pid = 0;
    if (transport->status)
        transport->reason = transport->status->error;
    transport_status_free(transport->status);
    transport->status = NULL;
    return status;
}

void migrate_transport_explain(const struct migrate_transport *transport, struct gw_error *err)
{
    if (atomic_load_explicit(&transport->lost, memory_order_relaxed) && transport->reason.code)
        *err = transport->reason;
}
