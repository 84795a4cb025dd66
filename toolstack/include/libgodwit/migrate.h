/* SPDX-License-Identifier: MIT */
/*
 * Save, restore and migration. Each function runs its work in child processes, so the caller must
 * not hold an open struct gw_hv across the call. They print progress on stderr if asked, and
 * nothing else.
 */
#ifndef LIBGODWIT_MIGRATE_H
#define LIBGODWIT_MIGRATE_H

#include <libgodwit/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct migrate_opener; /* libgodwit/migrate_host.h; NULL here: this control domain's hypervisor */

enum gw_after_save { GW_SAVE_DESTROY, GW_SAVE_RUN_ON, GW_SAVE_STAY_PAUSED };

enum gw_progress { GW_PROGRESS_NONE, GW_PROGRESS_LINES, GW_PROGRESS_TERMINAL };

struct gw_save_options {
    const char *name; /* guest */
    const char *path;
    enum gw_after_save after;
    enum gw_progress progress;
    const struct migrate_opener *opener;
};

struct gw_restore_options {
    const char *path;
    bool paused;
    enum gw_progress progress;
    const struct migrate_opener *opener;
};

/* How the destination is reached. Each connection is one more run of the command. */
struct gw_transport {
    char *const *command; /* NULL-terminated: runs `migrate-receive` at the destination */
};

/* Defaults for what is 0: see migrate_send.c. */
struct gw_migrate_options {
    const char *name; /* guest */
    const char *host; /* for messages */
    struct gw_transport transport;
    bool verify;
    bool paused; /* leave it paused at the destination */
    bool json;   /* a report on stdout */
    enum gw_progress progress;
    unsigned max_rounds;
    unsigned max_downtime_ms; /* stop when the rest can be sent in this time */
    unsigned stall_ms;        /* give up when nothing moves for so long */
    const struct migrate_opener *opener;
};

struct gw_receive_options {
    bool paused;
    unsigned stall_ms;
    const struct migrate_opener *opener;
};

/*
 * Each returns the exit status of the command (enum gw_exit), and err->message if that is not 0.
 * What happened to the guest is part of the message.
 */
int gw_save(const struct gw_save_options *options, struct gw_error *err);
int gw_restore(const struct gw_restore_options *options, struct gw_error *err);
int gw_migrate(const struct gw_migrate_options *options, struct gw_error *err);
/* The stream comes on in_fd, answers go to out_fd. */
int gw_migrate_receive(const struct gw_receive_options *options, int in_fd, int out_fd,
                       struct gw_error *err);

struct gw_stream_summary {
    char name[64];
    char versions[257]; /* as the writer says: any bytes */
    uint32_t vcpus, records;
    uint64_t memory_bytes, pages, zero_pages, bytes;
};

/*
 * Reads a saved guest to its end and checks all that can be checked without a hypervisor. 0: whole.
 * -1: err says what is wrong and where; the summary holds what was read until then.
 */
int gw_check_stream(const char *path, struct gw_stream_summary *ret_summary, struct gw_error *err);

/*
 * true: the name of a guest that is still being restored or received. It never runs under it, and
 * what it has of a console belongs to the other side: leave it alone until it has its real name.
 */
bool gw_name_is_incoming(const char *name);

/*
 * true: the process that builds the guest lives. Its end closes NAME GW_CLAIM_SUFFIX in the
 * registry's folder. If false, and the guest is paused, it was left behind and may be destroyed.
 */
#define GW_CLAIM_SUFFIX ".building"
bool gw_incoming_is_claimed(const char *incoming_name);

#endif
