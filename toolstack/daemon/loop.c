/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <libgodwit/console.h>
#include <libgodwit/log_owner.h>
#include <libgodwit/migrate.h>
#include <libgodwit/registry.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"

#define RELOOK_MS 100u

static volatile sig_atomic_t ended;

enum { POLL_EVTCHN, POLL_LISTEN, POLL_INOTIFY, POLL_CLIENTS };

void daemon_say(const char *format, ...)
{
    time_t now = time(NULL);
    char stamp[32] = "";
    struct tm tm;
    va_list args;

    if (localtime_r(&now, &tm))
        strftime(stamp, sizeof(stamp), "%F %T ", &tm);
    fprintf(stderr, "%s", stamp);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

uint64_t daemon_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void on_signal(int signal)
{
    ended = signal;
}

static int open_events(struct daemon *d, struct gw_error *err)
{
    int port;

    d->evtchn = xenevtchn_open(NULL, 0);
    if (!d->evtchn)
        return gw_error_errno(err, errno, "cannot open the event channel device");
    port = xenevtchn_bind_virq(d->evtchn, VIRQ_DOM_EXC);
    if (port < 0)
        return gw_error_errno(err, errno, "cannot listen for guests that end (VIRQ_DOM_EXC)");
    d->exception_port = (evtchn_port_t)port;
    return 0;
}

int daemon_open(struct daemon *d, struct gw_error *err)
{
    d->listen_fd = d->inotify_fd = -1;
    if (gw_hv_open(&d->hv, err) < 0 || open_events(d, err) < 0 || clients_listen(d, err) < 0)
        return -1;
    d->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (d->inotify_fd < 0 || inotify_add_watch(d->inotify_fd, gw_registry_dir(),
                                               IN_MOVED_TO | IN_DELETE | IN_CLOSE_WRITE) < 0)
        return gw_error_errno(err, errno, "cannot watch %s", gw_registry_dir());
    return 0;
}

void daemon_close(struct daemon *d)
{
    consoles_free(d);
    for (unsigned i = 0; d->listen_fd >= 0 && i < DAEMON_CLIENTS_MAX; i++)
        if (d->clients[i].fd >= 0)
            client_close(&d->clients[i]);
    if (d->listen_fd >= 0)
        close(d->listen_fd);
    if (d->inotify_fd >= 0)
        close(d->inotify_fd);
    if (d->evtchn)
        xenevtchn_close(d->evtchn);
    gw_hv_close(d->hv);
}

static void handle_event(struct daemon *d)
{
    int port = xenevtchn_pending(d->evtchn);

    if (port < 0)
        return;
    /* Unmask first: what happens while we look raises the event again. */
    xenevtchn_unmask(d->evtchn, (evtchn_port_t)port);
    if ((evtchn_port_t)port == d->exception_port) {
        lifecycle_sync(d);
        return;
    }
    for (struct console *c = d->consoles; c; c = c->next)
        if (c->ring && c->port == (evtchn_port_t)port)
            console_drain(d, c);
}

static bool ends_with(const struct inotify_event *event, const char *suffix)
{
    size_t bytes = strlen(suffix), length = strnlen(event->name, event->len);

    return length > bytes && !strcmp(event->name + length - bytes, suffix);
}

/*
 * The end of a process that built a guest, or had its dirty log and did not give it back. Other
 * locks in the folder are closed all the time.
 */
static bool is_owner_end(const struct inotify_event *event)
{
    if (!(event->mask & IN_CLOSE_WRITE))
        return false;
    return ends_with(event, GW_CLAIM_SUFFIX) ||
           (ends_with(event, GW_LOG_SUFFIX) &&
            gw_log_owner_is_marked((uint32_t)strtoul(event->name, NULL, 10)));
}

/* Marks of logs come and go with each save, and say nothing while their owner lives. */
static bool is_change(const struct inotify_event *event)
{
    return !(event->mask & IN_CLOSE_WRITE) && !ends_with(event, GW_LOG_MARK_SUFFIX);
}

static void handle_registry_change(struct daemon *d)
{
    char events[4096] __attribute__((aligned(8)));
    bool changed = false, owner_ended = false;
    ssize_t n;

    /* What changed does not matter: one comparison finds all of it. */
    while ((n = read(d->inotify_fd, events, sizeof(events))) > 0) {
        for (const char *at = events; at < events + n;) {
            const struct inotify_event *event = (const void *)at;

            owner_ended |= is_owner_end(event);
            changed |= is_change(event);
            at += sizeof(*event) + event->len;
        }
    }
    if (changed || owner_ended)
        lifecycle_sync(d);
    /* The kernel tells of the close before it drops the lock: look once more. */
    if (owner_ended && !d->resync_due_ms)
        d->resync_due_ms = daemon_now_ms() + RELOOK_MS;
}

static bool takes_input(const struct console *console)
{
    return !console->ring || gw_console_ring_room(console->ring) > 0;
}

static short client_events(const struct client *client)
{
    short events = 0;

    if (!client->console || takes_input(client->console))
        events |= POLLIN;
    if (client->console && client->position < client->console->backlog.total)
        events |= POLLOUT;
    return events;
}

static void fill_poll(struct daemon *d, struct pollfd *fds)
{
    fds[POLL_EVTCHN] = (struct pollfd){.fd = xenevtchn_fd(d->evtchn), .events = POLLIN};
    fds[POLL_LISTEN] = (struct pollfd){.fd = d->listen_fd, .events = POLLIN};
    fds[POLL_INOTIFY] = (struct pollfd){.fd = d->inotify_fd, .events = POLLIN};
    for (unsigned i = 0; i < DAEMON_CLIENTS_MAX; i++) {
        const struct client *client = &d->clients[i];

        fds[POLL_CLIENTS + i] = (struct pollfd){.fd = client->fd};
        if (client->fd >= 0)
            fds[POLL_CLIENTS + i].events = client_events(client);
    }
}

static void serve_clients(struct daemon *d, const struct pollfd *fds)
{
    for (unsigned i = 0; i < DAEMON_CLIENTS_MAX; i++) {
        struct client *client = &d->clients[i];
        short got = fds[POLL_CLIENTS + i].revents;

        /* The slot may have been closed, or taken by another, since poll() looked at it. */
        if (client->fd < 0 || client->fd != fds[POLL_CLIENTS + i].fd || !got)
            continue;
        if ((got & POLLOUT) && client->console)
            client_write(d, client);
        if (client->fd >= 0 && (got & POLLIN))
            client_read(d, client);
        else if (client->fd >= 0 && (got & (POLLHUP | POLLERR)))
            client_close(client); /* gone, with input that its guest has no room for */
    }
}

static int poll_timeout(const struct daemon *d, int wait_ms)
{
    uint64_t now = daemon_now_ms();
    int due;

    if (!d->resync_due_ms)
        return wait_ms;
    due = d->resync_due_ms > now ? (int)(d->resync_due_ms - now) : 0;
    return wait_ms < 0 || due < wait_ms ? due : wait_ms;
}

void daemon_step(struct daemon *d, int wait_ms)
{
    struct pollfd fds[POLL_CLIENTS + DAEMON_CLIENTS_MAX];

    fill_poll(d, fds);
    if (poll(fds, POLL_CLIENTS + DAEMON_CLIENTS_MAX, poll_timeout(d, wait_ms)) < 0)
        return; /* EINTR: the caller's condition decides */
    if (fds[POLL_EVTCHN].revents)
        handle_event(d);
    if (fds[POLL_INOTIFY].revents)
        handle_registry_change(d);
    if (d->resync_due_ms && daemon_now_ms() >= d->resync_due_ms)
        lifecycle_sync(d);
    serve_clients(d, fds);
    if (fds[POLL_LISTEN].revents)
        client_accept(d);
}

void daemon_loop(struct daemon *d)
{
    const struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    lifecycle_sync(d);
    while (!ended)
        daemon_step(d, -1);
    daemon_say("godwitd ends");
}
