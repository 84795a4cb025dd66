/* SPDX-License-Identifier: MIT */
/*
 * godwitd: carries out what guests' ends ask for, and is the other end of their consoles. One
 * thread, one poll loop; nothing in it waits for a guest or for a client.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <libgodwit/config.h>
#include <libgodwit/hv.h>
#include <libgodwit/registry.h>
#include <stdbool.h>
#include <stdint.h>

#include <xenevtchn.h>

#include "backlog.h"

#define DAEMON_CLIENTS_MAX  64
#define DAEMON_CONSOLES_MAX 250 /* domains that the hypervisor can have */

/* One guest's console. It outlives the domain over a restart, so that clients stay attached. */
struct console {
    struct console *next;
    char name[GW_NAME_BYTES];
    uint32_t domid;
    uint8_t uuid[16];
    struct xencons_interface *ring; /* NULL: no domain at the moment */
    evtchn_port_t port;             /* ours; valid while ring is set */
    uint64_t attached_ms;           /* since when, for the restart delay */
    struct backlog backlog;
    int log_fd; /* -1: none */
    uint64_t log_bytes;
};

struct client {
    int fd;                  /* -1: free slot */
    struct console *console; /* NULL: its request line is not complete */
    uint64_t position;       /* in the console's backlog */
    char line[128];
    size_t line_n;
};

struct daemon {
    struct gw_hv *hv;
    xenevtchn_handle *evtchn;
    evtchn_port_t exception_port; /* VIRQ_DOM_EXC */
    int listen_fd, inotify_fd;
    const char *log_dir; /* NULL: no log files */
    struct console *consoles;
    struct client clients[DAEMON_CLIENTS_MAX];
    uint64_t resync_due_ms; /* 0: none */
};

/* One line with a time on stderr. */
void daemon_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t daemon_now_ms(void);

/* --- consoles.c ----------------------------------------------------------------------------------
 */

/* Makes the consoles agree with these records, of domains that exist and are not dying. */
void consoles_sync(struct daemon *d, const struct gw_record *records, size_t n);
struct console *console_find(struct daemon *d, const char *name);
/* Moves what the guest wrote into the backlog and the log file. */
void console_drain(struct daemon *d, struct console *console);
/* Gives input to the guest; returns how much it took. */
size_t console_input(struct daemon *d, struct console *console, const char *data, size_t n);
void console_detach(struct daemon *d, struct console *console);
void consoles_free(struct daemon *d);

/* --- clients.c -----------------------------------------------------------------------------------
 */

int clients_listen(struct daemon *d, struct gw_error *err);
void client_accept(struct daemon *d);
/* The client's socket is readable or writable. */
void client_read(struct daemon *d, struct client *client);
void client_write(struct daemon *d, struct client *client);
void client_close(struct client *client);
/* Ends the clients of a console that goes away. */
void clients_close_console(struct daemon *d, const struct console *console);

/* --- lifecycle.c ---------------------------------------------------------------------------------
 */

/*
 * Compares the registry with the hypervisor: ends or restarts guests that have shut down, forgets
 * those that are gone, attaches consoles. Idempotent; run after every event that may have changed
 * either.
 */
void lifecycle_sync(struct daemon *d);

/* --- reserve.c -----------------------------------------------------------------------------------
 */

#define RESERVE_TARGET_PATH "/sys/devices/system/xen_memory/xen_memory0/target_kb"

/*
 * Puts memory of the control domain aside for mapping guests' pages, once after each boot of the
 * host. target_path: where Linux' balloon takes its target. Not there: nothing to do.
 */
void reserve_mappings(const char *target_path);

/* --- loop.c --------------------------------------------------------------------------------------
 */

int daemon_open(struct daemon *d, struct gw_error *err);
/* Waits for something to do, at most wait_ms (-1: for ever), and does it. */
void daemon_step(struct daemon *d, int wait_ms);
/* Steps until a signal ends it. */
void daemon_loop(struct daemon *d);
void daemon_close(struct daemon *d);

#endif
