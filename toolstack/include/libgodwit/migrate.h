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
    bool live;          /* the guest runs on while its memory is written */
    bool incremental;   /* leaves the dirty log on, so that another save may follow: not DESTROY */
    const char *since;  /* an earlier save: only what was written after it; NULL: all */
    bool verify;        /* sums of all pages, for a restore to compare */
    int compress_level; /* of zstd, 1 to 19; 0: no compression */
    enum gw_progress progress;
    const struct migrate_opener *opener;
};

struct gw_restore_options {
    const char *path;
    /* Incremental saves behind path, oldest first. Without them path may itself be incremental:
     * what it is based on is looked for in its folder. */
    const char *const *more;
    unsigned more_n;
    bool paused;
    bool verify; /* compare all pages with the sums that save has written */
    enum gw_progress progress;
    const struct migrate_opener *opener;
};

/* Where the keys of TLS are. */
struct gw_tls {
    const char *dir;      /* ca.pem, cert.pem, key.pem or psk; NULL: /etc/godwit/tls */
    const char *psk_file; /* shared keys, instead of dir; NULL: dir says */
    const char *name;     /* what the receiver's certificate must be made out to; NULL: host */
};

enum gw_transport_kind {
    GW_TRANSPORT_COMMAND,
    GW_TRANSPORT_TLS,
    GW_TRANSPORT_TCP, /* neither encrypted nor authenticated */
};

/* How the destination is reached. Each connection is one more socket, or run of the command. */
struct gw_transport {
    enum gw_transport_kind kind;
    char *const *command;    /* NULL-terminated: runs `migrate-receive` at the destination */
    const char *host, *port; /* of a socket; host may be empty to listen on every address */
    struct gw_tls tls;
};

/* What happens when the time or the rounds are used up and the downtime would still be too long. */
enum gw_on_timeout { GW_ON_TIMEOUT_CANCEL, GW_ON_TIMEOUT_STOP };
enum gw_throttle { GW_THROTTLE_AUTO, GW_THROTTLE_OFF };

/* What a migration may take. They can be changed while it runs: gw_migrate_set(). */
struct gw_migrate_limits {
    unsigned max_downtime_ms;       /* what the guest may miss; 0: GW_MAX_DOWNTIME_MS */
    uint64_t bandwidth_bytes_per_s; /* 0: no limit */
    unsigned timeout_ms;            /* from the beginning to the stop; 0: no limit */
    enum gw_on_timeout on_timeout;
    unsigned max_rounds; /* that the guest runs through; 0: 30, or GW_ROUNDS_MAX with a timeout */
    enum gw_throttle throttle;
};

#define GW_MAX_DOWNTIME_MS 300u
#define GW_ROUNDS_MAX      1000u
#define GW_LIMIT_MS_MAX    (30u * 24 * 3600 * 1000)

/* Which of them a change is about. */
enum gw_limit {
    GW_LIMIT_MAX_DOWNTIME = 1u << 0,
    GW_LIMIT_BANDWIDTH = 1u << 1,
    GW_LIMIT_TIMEOUT = 1u << 2,
    GW_LIMIT_ON_TIMEOUT = 1u << 3,
    GW_LIMIT_MAX_ROUNDS = 1u << 4,
    GW_LIMIT_THROTTLE = 1u << 5,
};

/* Defaults for what is 0: see migrate_send.c. */
struct gw_migrate_options {
    const char *name; /* guest */
    const char *host; /* for messages */
    struct gw_transport transport;
    bool verify;
    unsigned streams;   /* connections, 1 to 16; 0: 1 */
    int compress_level; /* of zstd, 1 to 19; 0: no compression */
    bool paused;        /* leave it paused at the destination */
    bool json;          /* a report on stdout */
    /* Only looks whether it would work: nothing is moved, nothing changes here, and what the
     * destination builds for it is gone again at the end. Says on stdout what would happen. */
    bool dry_run;
    enum gw_progress progress;
    struct gw_migrate_limits limits;
    unsigned stall_ms; /* give up when nothing moves for so long */
    const struct migrate_opener *opener;
};

/* In memory that is shared with children. */
struct gw_received {
    char name[64];   /* of a guest that arrived; "": none did */
    bool only_tried; /* it was a dry run: it could have arrived */
};

struct gw_receive_options {
    bool paused;
    unsigned stall_ms;
    struct gw_received *received; /* or NULL */
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

/*
 * From another process, while gw_migrate() runs; for root only. GW_EXIT_STATE: the guest is not
 * being migrated. GW_EXIT_TIMEOUT: its process does not answer. *ret_json is malloc()ed text.
 * set: those of `which` (enum gw_limit), all or none; *ret_json: all that are now in force. Refused
 * (GW_EXIT_STATE) once the guest stands still.
 * status: as docs/migrate.schema.json says; after the end, and until the next migration of that
 * guest, the last report.
 * cancel: returns when the guest runs on here. GW_EXIT_STATE: it has been handed over.
 */
int gw_migrate_set(const char *name, const struct gw_migrate_limits *limits, unsigned which,
                   char **ret_json, struct gw_error *err);
int gw_migrate_status(const char *name, char **ret_json, struct gw_error *err);
int gw_migrate_cancel(const char *name, struct gw_error *err);

/* What to do with a guest that is held (GW_EXIT_MIGRATE_UNKNOWN). ASK: whatever is certain. */
enum gw_resolve { GW_RESOLVE_ASK, GW_RESOLVE_HERE, GW_RESOLVE_THERE };
/* What the operator has seen at the destination. */
enum gw_checked {
    GW_CHECKED_NOTHING,
    GW_CHECKED_RUNS_THERE, /* it runs there, or did */
    GW_CHECKED_NEVER_RAN,  /* it is not there and never was, or only as NAME--incoming */
    GW_CHECKED_NO_POWER,   /* the host is off, or was started again since */
};

struct gw_resolve_options {
    const char *name; /* guest */
    enum gw_resolve wanted;
    enum gw_checked checked;
    const struct migrate_opener *opener;
};

struct gw_resolve_result {
    enum gw_resolve done;
    bool was_paused; /* HERE: it stays paused, as the operator had left it */
    char destination[256];
};

/*
 * Asks the destination where the guest is, and then destroys the copy here or lets it run on. Never
 * lets it run here when it may run there: GW_EXIT_MIGRATE_UNKNOWN, and nothing was changed.
 * GW_EXIT_STATE: it is not held, or its migration is not over.
 */
int gw_resolve(const struct gw_resolve_options *options, struct gw_resolve_result *ret_result,
               struct gw_error *err);

/* A record of a saved guest, for people. */
struct gw_stream_record {
    uint32_t number, type, length; /* the first is 0; length of the body */
    uint64_t offset;               /* of its header */
    uint32_t pages, zero_pages;    /* of memory; else 0 */
    uint64_t first_gfn, last_gfn;  /* lowest and highest, if there are pages */
};
/* "PAGE_DATA"; "optional" or "unknown" for what this version does not know. */
const char *gw_stream_record_name(uint32_t type);

/* Something is wrong between byte `from` (included) and `to`. Record -1: the headers. */
struct gw_stream_damage {
    uint64_t from, to;
    int64_t first_record, last_record;
    char why[160];
};
#define GW_STREAM_DAMAGES 32 /* that are kept */
/* Defaults for what is 0: see migrate_listen.c. */
struct gw_listen_options {
    struct gw_transport where; /* TLS or TCP; port "0": any that is free */
    bool paused;
    unsigned max_connections;
    unsigned greet_ms; /* for the other side to show who it is */
    unsigned stall_ms;
    void (*log)(void *arg,
                const char *line); /* a line about a connection; called in children too */
    void *log_arg;
    const struct migrate_opener *opener;
};

/*
 * Receives guests until SIGTERM or SIGINT, each connection in processes of its own; what is half
 * received then is taken back. Returns GW_EXIT_OK after a signal.
 */
int gw_migrate_listen(const struct gw_listen_options *options, struct gw_error *err);

struct gw_stream_summary {
    char name[64];
    char versions[257]; /* as the writer says: any bytes */
    uint32_t version, vcpus, records;
    uint64_t memory_bytes, pages, zero_pages, bytes;
    bool incremental; /* it has the pages written since its base only */
    uint32_t depth;   /* streams before it in its chain */
    char base_name[256];
    uint8_t base_id[16];
    uint32_t base_crc32;
    bool can_be_base; /* the next incremental save may follow it */
    uint8_t id[16];
    uint32_t crc32;         /* of the whole stream */
    unsigned damages_n;     /* in damages, in ascending order */
    uint64_t damages_total; /* found */
    struct gw_stream_damage damages[GW_STREAM_DAMAGES];
};

/* Called for each record that could be read, right or not. */
struct gw_stream_watcher {
    void (*on_record)(void *arg, const struct gw_stream_record *record);
    void *arg;
};

/*
 * Reads a saved guest to its end and checks all that can be checked without a hypervisor. 0: whole.
 * -1: err says what is wrong and where (GW_EXIT_CONFIG), or that it could not be read
 * (GW_EXIT_FAILED). The summary holds what was read; all damage in it is located by the checksums,
 * as far as the stream can still be taken apart. watcher may be NULL.
 */
int gw_stream_check(const char *path, const struct gw_stream_watcher *watcher,
                    struct gw_stream_summary *ret_summary, struct gw_error *err);

/*
 * true: the name of a guest that is still being restored or received. It never runs under it, and
 * what it has of a console belongs to the other side: leave it alone until it has its real name.
 */
bool gw_name_is_incoming(const char *name);

/*
 * true: the process that built this domain is dead, and it had not given the guest its name yet. If
 * the guest is paused it never ran, and may be destroyed. A caller may come with a name that was
 * true a moment ago: of a guest that has arrived meanwhile this is false. That the builder dies
 * closes NAME GW_CLAIM_SUFFIX in the registry's folder, for those who wait for it.
 */
#define GW_CLAIM_SUFFIX ".building"
bool gw_incoming_is_abandoned(const char *incoming_name, uint32_t domid);

#endif
