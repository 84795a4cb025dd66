/* SPDX-License-Identifier: MIT */
/*
 * The long-running receiver. This process accepts and counts; it opens neither keys nor the
 * hypervisor. Each connection has a process of its own that dies without harm to the others.
 */
#include "migrate_listen.h"

#include "transport/transport_keys.h"
#include "transport/transport_relay.h"
#include "transport/transport_tcp.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_CONNECTIONS 16
#define MOST_CONNECTIONS    256
#define DEFAULT_GREET_MS    10000

struct listener {
    struct gw_listen_options options;
    int fd;
    pid_t visits[MOST_CONNECTIONS]; /* 0: free */
    unsigned running;
};

static volatile sig_atomic_t stopping;

static void on_stop(int signal_number)
{
    stopping = signal_number;
}

static void on_child(int signal_number)
{
    /* It only has to interrupt the wait. */
}

void migrate_listen_log(const struct gw_listen_options *options, const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (options->log)
        options->log(options->log_arg, line);
}

/* Signals arrive only while the listener waits. */
static void set_signals(sigset_t *ret_waiting)
{
    struct sigaction stop = {.sa_handler = on_stop}, child = {.sa_handler = on_child};
    sigset_t blocked;

    stopping = 0;
    sigemptyset(&stop.sa_mask);
    sigemptyset(&child.sa_mask);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_BLOCK, &blocked, ret_waiting);
    sigdelset(ret_waiting, SIGTERM);
    sigdelset(ret_waiting, SIGINT);
    sigdelset(ret_waiting, SIGCHLD);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGCHLD, &child, NULL);
}

/* Bad keys are noticed at the start, in a process that does not live on with them. */
static int check_keys(const struct gw_transport *where, struct gw_error *err)
{
    struct transport_status *status = transport_status_make(err);
    struct transport_keys keys;
    pid_t pid;

    if (!status)
        return -1;
    pid = fork();
    if (pid == 0)
        _exit(transport_keys_load(&keys, &where->tls, true, &status->error) ? 1 : 0);
    if (pid < 0)
        gw_error_errno(err, errno, "cannot start a child process");
    else if (waitpid(pid, NULL, 0) == pid)
        *err = status->error;
    transport_status_free(status);
    return err->code ? -1 : 0;
}

static void start_visit(struct listener *l, int socket, const sigset_t *waiting)
{
    char from[TRANSPORT_NAME_BYTES];
    unsigned i = 0;
    pid_t pid = -1;

    if (l->running < l->options.max_connections)
        pid = fork();
    if (pid == 0) {
        close(l->fd);
        signal(SIGTERM, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        signal(SIGCHLD, SIG_DFL);
        sigprocmask(SIG_SETMASK, waiting, NULL);
        migrate_listen_serve(&l->options, socket);
        _exit(0);
    }
    if (pid < 0) {
        transport_tcp_peer_name(socket, from);
        migrate_listen_log(&l->options, "%s: refused: %u connections already, or no process left",
                           from, l->running);
    } else {
        while (l->visits[i])
            i++;
        l->visits[i] = pid;
        l->running++;
    }
    close(socket);
}

static void accept_visit(struct listener *l, const sigset_t *waiting)
{
    int socket = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (socket >= 0)
        start_visit(l, socket, waiting);
    else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        usleep(100000); /* the connection stays in the queue */
}

static void reap(struct listener *l, int flags)
{
    pid_t pid;

    while ((pid = waitpid(-1, NULL, flags)) > 0)
        for (unsigned i = 0; i < MOST_CONNECTIONS; i++)
            if (l->visits[i] == pid) {
                l->visits[i] = 0;
                l->running--;
            }
}

static void accept_until_stopped(struct listener *l, const sigset_t *waiting)
{
    while (!stopping) {
        struct pollfd fd = {.fd = l->fd, .events = POLLIN};

        if (ppoll(&fd, 1, NULL, waiting) > 0)
            accept_visit(l, waiting);
        reap(l, WNOHANG);
    }
}

/* Guests that were handed over already are finished, all others are taken back. */
static void stop_visits(struct listener *l)
{
    close(l->fd);
    for (unsigned i = 0; i < MOST_CONNECTIONS; i++)
        if (l->visits[i])
            kill(l->visits[i], SIGTERM);
    reap(l, 0);
}

static void fill_defaults(struct gw_listen_options *options)
{
    if (options->max_connections == 0)
        options->max_connections = DEFAULT_CONNECTIONS;
    if (options->max_connections > MOST_CONNECTIONS)
        options->max_connections = MOST_CONNECTIONS;
    if (options->greet_ms == 0)
        options->greet_ms = DEFAULT_GREET_MS;
    if (options->stall_ms == 0)
        options->stall_ms = MIGRATE_LISTEN_STALL_MS;
}

int gw_migrate_listen(const struct gw_listen_options *options, struct gw_error *err)
{
    struct listener l = {.options = *options};
    bool secure = options->where.kind == GW_TRANSPORT_TLS;
    char at[TRANSPORT_NAME_BYTES];
    sigset_t waiting;

    fill_defaults(&l.options);
    if (secure && check_keys(&options->where, err))
        return (int)err->code;
    l.fd = transport_tcp_listen(options->where.host, options->where.port, err);
    if (l.fd < 0)
        return (int)err->code;
    set_signals(&waiting);
    transport_tcp_local_name(l.fd, at);
    migrate_listen_log(&l.options, "listening on %s://%s", secure ? "tls" : "tcp", at);
    if (!secure)
        migrate_listen_log(&l.options,
                           "warning: guests come in without encryption, from anybody who can reach "
                           "this port");
    accept_until_stopped(&l, &waiting);
    stop_visits(&l);
    migrate_listen_log(&l.options, "stopped");
    return GW_EXIT_OK;
}
