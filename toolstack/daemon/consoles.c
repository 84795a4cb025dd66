/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <libgodwit/console.h>
#include <libgodwit/layout.h>
#include <libgodwit/migrate.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon.h"

/* A log file that grew to this is put aside as NAME.log.old, over an older one. */
#define LOG_BYTES_MAX (1u << 20)

static void log_path(const struct daemon *d, const struct console *console, char *ret_path,
                     size_t bytes)
{
    snprintf(ret_path, bytes, "%s/%s.log", d->log_dir, console->name);
}

static void log_open(struct daemon *d, struct console *console)
{
    char path[PATH_MAX];
    off_t end;

    console->log_fd = -1;
    if (!d->log_dir)
        return;
    log_path(d, console, path, sizeof(path));
    console->log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    end = console->log_fd < 0 ? -1 : lseek(console->log_fd, 0, SEEK_END);
    console->log_bytes = end > 0 ? (uint64_t)end : 0;
    if (console->log_fd < 0)
        daemon_say("%s: cannot write %s: %s", console->name, path, strerror(errno));
}

static void log_close(struct console *console)
{
    if (console->log_fd >= 0)
        close(console->log_fd);
    console->log_fd = -1;
}

static void log_write(struct daemon *d, struct console *console, const char *data, size_t n)
{
    char path[PATH_MAX], old[PATH_MAX + 8];

    if (console->log_fd < 0)
        return;
    if (console->log_bytes + n > LOG_BYTES_MAX) {
        log_path(d, console, path, sizeof(path));
        snprintf(old, sizeof(old), "%s.old", path);
        log_close(console);
        rename(path, old);
        log_open(d, console);
    }
    if (console->log_fd >= 0 && write(console->log_fd, data, n) < 0) {
        daemon_say("%s: its log ends here: %s", console->name, strerror(errno));
        log_close(console);
    }
    console->log_bytes += n;
}

struct console *console_find(struct daemon *d, const char *name)
{
    for (struct console *c = d->consoles; c; c = c->next)
        if (!strcmp(c->name, name))
            return c;
    return NULL;
}

static bool is_same_domain(const struct console *console, const struct gw_record *record)
{
    return console->domid == record->domid &&
           !memcmp(console->uuid, record->uuid, sizeof(record->uuid));
}

void console_drain(struct daemon *d, struct console *console)
{
    char data[sizeof(console->ring->out)];
    int notify = 0;
    size_t n;

    if (!console->ring)
        return;
    /* One ring full per call: a guest that floods shares the loop with the others. */
    n = gw_console_ring_read(console->ring, data, sizeof(data), &notify);
    backlog_write(&console->backlog, data, n);
    log_write(d, console, data, n);
    if (notify)
        xenevtchn_notify(d->evtchn, console->port);
}

size_t console_input(struct daemon *d, struct console *console, const char *data, size_t n)
{
    size_t done;

    if (!console->ring)
        return n; /* nobody there: like a key pressed while the machine is off */
    done = gw_console_ring_write(console->ring, data, n);
    if (done)
        xenevtchn_notify(d->evtchn, console->port);
    return done;
}

void console_detach(struct daemon *d, struct console *console)
{
    if (!console->ring)
        return;
    console_drain(d, console);
    xenevtchn_unbind(d->evtchn, console->port);
    gw_hv_unmap(d->hv, console->ring, 1);
    console->ring = NULL;
}

static void console_attach(struct daemon *d, struct console *console,
                           const struct gw_record *record)
{
    uint64_t gfn = gw_layout_console_gfn();
    int port;

    console->domid = record->domid;
    memcpy(console->uuid, record->uuid, sizeof(console->uuid));
    console->attached_ms = daemon_now_ms();
    console->ring = gw_hv_map(d->hv, record->domid, PROT_READ | PROT_WRITE, &gfn, NULL, 1);
    if (!console->ring) {
        daemon_say("%s: cannot map the console of domain %u: %s", console->name, record->domid,
                   strerror(errno));
        return;
    }
    port = xenevtchn_bind_interdomain(d->evtchn, record->domid, record->console_port);
    if (port < 0) {
        daemon_say("%s: cannot bind the console of domain %u: %s", console->name, record->domid,
                   strerror(errno));
        gw_hv_unmap(d->hv, console->ring, 1);
        console->ring = NULL;
        return;
    }
    console->port = (evtchn_port_t)port;
    daemon_say("%s: console of domain %u attached", console->name, record->domid);
    console_drain(d, console); /* what came before we listened */
}

static struct console *console_new(struct daemon *d, const char *name)
{
    struct console *console = calloc(1, sizeof(*console));

    if (!console) {
        daemon_say("%s: no memory for its console", name);
        return NULL;
    }
    memcpy(console->name, name, strlen(name) + 1);
    log_open(d, console);
    console->next = d->consoles;
    d->consoles = console;
    return console;
}

static void console_free(struct daemon *d, struct console *console)
{
    struct console **link = &d->consoles;

    while (*link != console)
        link = &(*link)->next;
    *link = console->next;
    console_detach(d, console);
    /* Clients get what they have not read yet, as far as their sockets take it. */
    for (unsigned i = 0; i < DAEMON_CLIENTS_MAX; i++)
        if (d->clients[i].fd >= 0 && d->clients[i].console == console)
            client_write(d, &d->clients[i]);
    clients_close_console(d, console);
    log_close(console);
    free(console);
}

/* A guest that arrived by migration gets its final name while it is attached. */
static void follow_rename(struct daemon *d, const struct gw_record *record)
{
    for (struct console *c = d->consoles; c; c = c->next) {
        if (!c->ring || !is_same_domain(c, record) || !strcmp(c->name, record->name))
            continue;
        log_close(c);
        memcpy(c->name, record->name, sizeof(c->name));
        log_open(d, c);
        return;
    }
}

static bool has_record(const struct console *console, const struct gw_record *records, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(records[i].name, console->name))
            return true;
    return false;
}

void consoles_sync(struct daemon *d, const struct gw_record *records, size_t n)
{
    struct console *next;

    for (size_t i = 0; i < n; i++) {
        struct console *console;

        /* What an incoming guest prints belongs into the log of its real name: wait for that. */
        if (gw_name_is_incoming(records[i].name))
            continue;
        follow_rename(d, &records[i]);
        console = console_find(d, records[i].name);
        if (!console)
            console = console_new(d, records[i].name);
        if (!console || (console->ring && is_same_domain(console, &records[i])))
            continue;
        console_detach(d, console);
        console_attach(d, console, &records[i]);
    }
    for (struct console *c = d->consoles; c; c = next) {
        next = c->next;
        if (!has_record(c, records, n))
            console_free(d, c);
    }
}

void consoles_free(struct daemon *d)
{
    while (d->consoles)
        console_free(d, d->consoles);
}
