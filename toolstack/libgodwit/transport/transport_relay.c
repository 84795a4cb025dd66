/* SPDX-License-Identifier: MIT */
#include "transport_relay.h"

#include "transport_confine.h"
#include "transport_pump.h"
#include "transport_tcp.h"
#include "transport_tls.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

/* The descriptors of a relay; it has no others, and nothing where messages would go. */
enum { FD_IN, FD_OUT, FD_NOTHING, FD_READY, FD_SOCKET, FDS };

struct transport_status *transport_status_make(struct gw_error *err)
{
    void *page = mmap(NULL, sizeof(struct transport_status), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED) {
        gw_error_errno(err, errno, "cannot allocate shared memory");
        return NULL;
    }
    return page;
}

void transport_status_free(struct transport_status *status)
{
    if (status)
        munmap(status, sizeof(*status));
}

/* --- in the relay ------------------------------------------------------------------------------
 */

/* Puts the descriptors at their places and closes all others, whatever their numbers were. */
static int keep_descriptors(const struct transport_relay *r)
{
    const int wanted[FDS] = {r->in_fd, r->out_fd, -1, r->ready_fd, r->socket};
    int high[FDS];

    for (int i = 0; i < FDS; i++) {
        high[i] = wanted[i] < 0 ? -1 : fcntl(wanted[i], F_DUPFD_CLOEXEC, FDS);
        if (wanted[i] >= 0 && high[i] < 0)
            return -1;
    }
    for (int i = 0; i < FDS; i++) {
        close(i);
        if (high[i] >= 0 && dup2(high[i], i) < 0)
            return -1;
    }
    return close_range(FDS, ~0u, 0);
}

/* ^C is for the worker, whose end ends this one too. */
static void set_signals(void)
{
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
}

static int connect_socket(const struct transport_relay *r, struct gw_error *err)
{
    int fd = transport_tcp_connect(r->how->host, r->how->port, r->greet_ms, err);

    if (fd < 0)
        return -1;
    if (fd != FD_SOCKET && (dup2(fd, FD_SOCKET) < 0 || close(fd) < 0))
        return gw_error_errno(err, errno, "cannot use the socket");
    return 0;
}

static void unblock(void)
{
    for (int fd = 0; fd < FDS; fd++) {
        int flags = fcntl(fd, F_GETFL);

        if (flags >= 0 && fd != FD_READY)
            fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    }
}

static int prepare(const struct transport_relay *r, struct transport_keys *keys, pid_t parent,
                   struct gw_error *err)
{
    if (transport_keys_load(keys, &r->how->tls, r->socket >= 0, err))
        return -1;
    if (r->socket < 0 && connect_socket(r, err))
        return -1;
    transport_tcp_watch(FD_SOCKET, r->stall_ms);
    unblock();
    return transport_confine(parent, err);
}

static void carry(const struct transport_relay *r, const struct transport_keys *keys)
{
    struct transport_pump pump = {
        .socket = FD_SOCKET,
        .in_fd = FD_IN,
        .out_fd = FD_OUT,
        .ready_fd = r->ready_fd < 0 ? -1 : FD_READY,
        .peer = r->peer,
        .greet_ms = r->greet_ms,
        .stall_ms = r->stall_ms,
        .who = r->status->who,
        .err = &r->status->error,
    };
    const char *expected = r->how->tls.name ? r->how->tls.name : r->how->host;
    struct transport_tls tls = {0};

    if (transport_pump_make(&pump)) {
        gw_error_set(pump.err, GW_EXIT_FAILED, "out of memory");
        return;
    }
    if (transport_tls_start(&tls, keys, &pump.wire, r->peer, r->socket >= 0,
                            r->socket >= 0 ? NULL : expected, pump.err))
        return;
    pump.codec = transport_tls_codec(&tls);
    transport_pump_run(&pump);
    transport_tls_stop(&tls);
}

static _Noreturn void run(const struct transport_relay *r, pid_t parent)
{
    struct transport_keys keys = {0};
    struct gw_error why = {0};

    set_signals();
    if (keep_descriptors(r) < 0)
        gw_error_errno(&r->status->error, errno, "cannot arrange descriptors");
    else if (prepare(r, &keys, parent, &why))
        r->status->error = why;
    else
        carry(r, &keys);
    transport_keys_free(&keys);
    _exit(0);
}

pid_t transport_relay_start(const struct transport_relay *relay, struct gw_error *err)
{
    pid_t parent = getpid(), pid = fork();

    if (pid == 0)
        run(relay, parent);
    if (pid < 0)
        gw_error_errno(err, errno, "cannot start the process that holds the connection");
    return pid;
}
