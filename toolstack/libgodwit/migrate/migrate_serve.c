/* SPDX-License-Identifier: MIT */
#include "handover/handover_io.h"
#include "migrate_listen.h"
#include "migrate_transport.h"
#include "transport/transport_direct.h"
#include "transport/transport_tcp.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* What ssh's server does for its command: nobody is left to answer, so a worker that hangs ends. */
#define ALONE_S 2

static pid_t relay_pid;

/* Reaps the relay; what stops the transport afterwards finds that it has ended. */
static void on_child(int signal_number)
{
    int error = errno; /* NOLINT(bugprone-signal-handler) */

    if (waitpid(relay_pid, NULL, WNOHANG) == relay_pid)
        alarm(ALONE_S);
    errno = error; /* NOLINT(bugprone-signal-handler) */
}

static void on_alarm(int signal_number)
{
    raise(SIGTERM); /* the guard hands it to the worker, who takes it for ^C */
}

static void watch_relay(pid_t pid)
{
    relay_pid = pid;
    signal(SIGALRM, on_alarm);
    signal(SIGCHLD, on_child);
    on_child(SIGCHLD); /* it may be over already */
}

static void unwatch_relay(void)
{
    signal(SIGCHLD, SIG_DFL);
    alarm(0);
}

struct visit {
    const struct gw_listen_options *options;
    char from[TRANSPORT_NAME_BYTES];
    struct migrate_transport transport;
    int ready_fd;
    const char *who; /* the other side has shown to be */
};

/* Starts the process that holds the socket. */
static int start_relay(struct visit *v, int socket, struct gw_error *err)
{
    int to[2], from[2], ready[2];
    struct transport_relay relay = {
        .how = &v->options->where,
        .peer = v->from,
        .socket = socket,
        .greet_ms = v->options->greet_ms,
        .stall_ms = v->options->stall_ms,
        .status = v->transport.status = transport_status_make(err),
    };

    if (!relay.status)
        return -1;
    v->who = relay.status->who;
    /* On failure this process ends at once, and its descriptors with it. */
    if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0 || pipe2(ready, O_CLOEXEC) < 0)
        return gw_error_errno(err, errno, "cannot make a pipe");
    handover_io_widen(from[1]);
    relay.in_fd = to[0];
    relay.out_fd = from[1];
    relay.ready_fd = ready[1];
    v->transport.pid = transport_relay_start(&relay, err);
    close(to[0]);
    close(from[1]);
    close(ready[1]);
    close(socket);
    v->transport.io.out_fd = to[1];
    v->transport.io.in_fd = from[0];
    v->ready_fd = ready[0];
    handover_io_unblock(to[1]);
    return v->transport.pid < 0 ? -1 : 0;
}

/* Nobody asks who is there: the worker and the parser get the socket itself. */
static int start_direct(struct visit *v, int socket, struct gw_error *err)
{
    v->transport.is_direct = true;
    v->transport.io.out_fd = v->transport.io.in_fd = socket;
    v->who = "not authenticated";
    return transport_direct_accept(socket, v->options->stall_ms, err);
}

/* Nothing is opened and nobody is listened to before the other side has shown who it is. */
static bool is_greeted(struct visit *v)
{
    char byte;
    ssize_t got;

    if (v->transport.is_direct)
        return true;
    do
        got = read(v->ready_fd, &byte, 1);
    while (got < 0 && errno == EINTR);
    close(v->ready_fd);
    return got == 1;
}

static void watch(struct visit *v)
{
    if (v->transport.is_direct)
        transport_direct_watch(v->transport.io.in_fd, v->options->stall_ms);
    else
        watch_relay(v->transport.pid);
}

static void unwatch(struct visit *v)
{
    const char *why = NULL;

    if (v->transport.is_direct)
        why = transport_direct_unwatch();
    else
        unwatch_relay();
    if (why)
        gw_error_set(&v->transport.reason, GW_EXIT_FAILED, "%s", why);
}

static void receive(struct visit *v, struct gw_received *received)
{
    const struct gw_receive_options options = {.paused = v->options->paused,
                                               .stall_ms = v->options->stall_ms,
                                               .received = received,
                                               .opener = v->options->opener};
    struct gw_error err = {0};
    char known[TRANSPORT_WHO_BYTES];
    int rc;

    watch(v);
    rc = gw_migrate_receive(&options, v->transport.io.in_fd, v->transport.io.out_fd, &err);
    unwatch(v);
    snprintf(known, sizeof(known), "%s", v->who);
    migrate_transport_stop(&v->transport);
    if (received->name[0])
        migrate_listen_log(v->options, "%s (%s): %s %s", v->from, known,
                           received->only_tried ? "would take" : "received", received->name);
    else if (rc && v->transport.reason.code)
        migrate_listen_log(v->options, "%s (%s): failed: %s (%s)", v->from, known, err.message,
                           v->transport.reason.message);
    else if (rc)
        migrate_listen_log(v->options, "%s (%s): failed: %s", v->from, known, err.message);
    else
        migrate_listen_log(v->options, "%s (%s): ended", v->from, known);
}

void migrate_listen_serve(const struct gw_listen_options *options, int socket)
{
    struct visit v = {.options = options};
    bool secure = options->where.kind == GW_TRANSPORT_TLS;
    struct gw_error err = {0};
    struct gw_received *received =
        mmap(NULL, sizeof(*received), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    transport_tcp_peer_name(socket, v.from);
    if (received == MAP_FAILED)
        gw_error_errno(&err, errno, "cannot allocate shared memory");
    if (err.code || (secure ? start_relay(&v, socket, &err) : start_direct(&v, socket, &err))) {
        migrate_listen_log(options, "%s: failed: %s", v.from, err.message);
        return;
    }
    if (is_greeted(&v)) {
        receive(&v, received);
        return;
    }
    migrate_transport_stop(&v.transport);
    migrate_listen_log(options, "%s: refused: %s", v.from,
                       v.transport.reason.code ? v.transport.reason.message
                                               : "the process that held the connection died");
}
