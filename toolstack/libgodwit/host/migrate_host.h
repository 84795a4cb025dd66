/* SPDX-License-Identifier: MIT */
/*
 * What save, restore and migration ask of a host. migrate_host.c answers with the hypervisor; the
 * tests answer with a fake one in shared memory. Every call returns 0, or -1 with err filled in,
 * unless it says otherwise. A handle belongs to one process: it does not survive a fork.
 */
#ifndef MIGRATE_HOST_H
#define MIGRATE_HOST_H

#include "stream/stream_format.h"
#include <libgodwit/error.h>

struct migrate_guest {
    uint32_t domid;
    struct stream_config config; /* text points to text below */
    char *text;                  /* malloc()ed or NULL */
};

struct migrate_versions {
    uint32_t xen_major, xen_minor;
    char text[STREAM_VERSIONS_MAX];
};

struct migrate_held {
    uint32_t domid;
    uint8_t uuid[16];
    char *note; /* malloc()ed */
};

/* What a vCPU did and lost since logging was switched on last. */
struct migrate_vcpu {
    uint64_t faults;
    uint64_t dirty_pages; /* first writes; an estimate from a sample where the MMU notes writes */
    /* 1: dirty_pages is exact. More: by a sample of one in so many. 0: unknown, there is no sample.
     */
    unsigned pages_per_count;
    unsigned throttle_percent;
    uint64_t stall_fault_ns, stall_throttle_ns, stall_harvest_ns, stall_pause_ns;
};

#define MIGRATE_ALL_VCPUS UINT32_MAX

/* Frames that are looked at together. */
#define MIGRATE_BATCH_PAGES 256u

/* A point in the life of a guest's dirty log: everything written after it is in the log, as long
 * as nobody touches that. */
struct migrate_log_mark {
    uint8_t boot_id[16]; /* of the host */
    uint64_t epoch;      /* not 0 */
    uint32_t domid;
};

struct migrate_host_ops {
    void (*close)(void *ctx);

    /* What guests see of this host, and who writes the stream. */
    int (*describe)(void *ctx, struct stream_host *ret_host, struct migrate_versions *ret_versions,
                    struct gw_error *err);

    /* A guest by name. GW_EXIT_NO_GUEST: there is none; GW_EXIT_STATE: it has shut down or is
     * dying. */
    int (*find)(void *ctx, const char *name, struct migrate_guest *ret_guest, struct gw_error *err);
    int (*pause)(void *ctx, uint32_t domid,
                 struct gw_error *err); /* counted; waits until stopped */
    int (*unpause)(void *ctx, uint32_t domid, struct gw_error *err); /* counted */
    /* GW_EXIT_STATE, GW_EXIT_NO_GUEST as with find. */
    int (*is_paused)(void *ctx, uint32_t domid, bool *ret_paused, struct gw_error *err);
    /* The domain and all that the host knows about it. */
    int (*destroy)(void *ctx, uint32_t domid, struct gw_error *err);

    /*
     * The dirty log, and who works on the guest's memory: one process. claim: from now on, even
     * without a log; until log_stop or close. GW_EXIT_STATE: somebody else does. is_free: would
     * claim say so? Claims nothing. start: as claim;
     * it is off again when start fails. stop is idempotent, merges blocks, and leaves a log alone
     * that somebody else owns by now.
     */
    int (*log_claim)(void *ctx, uint32_t domid, struct gw_error *err);
    int (*log_is_free)(void *ctx, uint32_t domid, struct gw_error *err);
    int (*log_start)(void *ctx, uint32_t domid, struct gw_error *err);
    int (*log_stop)(void *ctx, uint32_t domid, struct gw_error *err);
    /*
     * Takes and clears the marks of frames [0, pages) into *ret_bitmap, which belongs to the host,
     * ends with zeros up to a multiple of 64, and is valid until the next call. final: the guest is
     * paused, count what the hypervisor has mapped too.
     */
    int (*log_take)(void *ctx, uint32_t domid, uint64_t pages, bool final,
                    const uint8_t **ret_bitmap, struct gw_error *err);
    /*
     * Which of these frames, in ascending order, are marked now; takes nothing. Looks at a bounded
     * part of the log: false may also mean that it did not look. At most STREAM_PAGES_MAX.
     */
    int (*log_peek)(void *ctx, uint32_t domid, const uint64_t *gfns, unsigned n, bool *ret_dirty,
                    struct gw_error *err);

    /*
     * While logging is on. stats: of vCPUs [0, *ret_n), at most STREAM_VCPUS_MAX; *ret_n is 0 if
     * the hypervisor does not count. throttle: takes percent (0 to 99) of its CPU time from a vCPU
     * or all; 0 for a guest that is gone or not logged is fine. GW_EXIT_UNSUPPORTED: this
     * hypervisor cannot. sample: counts of writers where the MMU notes writes, from the next
     * log_take on.
     */
    int (*vcpu_stats)(void *ctx, uint32_t domid, struct migrate_vcpu *ret_vcpus, unsigned *ret_n,
                      struct gw_error *err);
    /*
     * The log at the end of the last log_take (or log_start), which may be left on: whoever closes
     * the host without log_stop leaves it so. resume: takes a log that was left on, with all that
     * is in it. GW_EXIT_STATE: it is not that log any more (the sentence says why), or has another
     * owner.
     */
    int (*log_mark)(void *ctx, uint32_t domid, struct migrate_log_mark *ret_mark,
                    struct gw_error *err);
    int (*log_resume)(void *ctx, uint32_t domid, const struct migrate_log_mark *mark,
                      struct gw_error *err);
    int (*vcpu_throttle)(void *ctx, uint32_t domid, uint32_t vcpu, unsigned percent,
                         struct gw_error *err);
    int (*writer_sample)(void *ctx, uint32_t domid, bool on, struct gw_error *err);

    int (*ranges)(void *ctx, uint32_t domid, struct stream_memory *ret_memory,
                  struct gw_error *err);
    /*
     * Copies pages to data, which has room for so many: one after the other, those of zeros left
     * out (ret_zero of each frame). *ret_done of the n frames are done, fewer only if the room
     * ended. A guest that runs may change a page meanwhile: each byte is as it was at some moment.
     * Marks nothing in the log. Several threads at once.
     */
    int (*read_pages)(void *ctx, uint32_t domid, const uint64_t *gfns, unsigned n, void *data,
                      unsigned room, bool *ret_zero, unsigned *ret_done, struct gw_error *err);
    /*
     * Writes frames, the contents at data one after the other, or zeros (NULL). Several threads at
     * once. What is written is in memory, not only in caches: the guest may have its MMU off.
     */
    int (*write_pages)(void *ctx, uint32_t domid, const uint64_t *gfns, unsigned n,
                       const void *data, struct gw_error *err);

    /*
     * Memory that the guest may only read. get: up to max ranges from *gfn on, which becomes where
     * to go on, or UINT64_MAX; pieces that touch are fine. set: makes a range of its memory so.
     */
    int (*get_readonly)(void *ctx, uint32_t domid, uint64_t *gfn, struct stream_range *ret_ranges,
                        unsigned max, unsigned *ret_n, struct gw_error *err);
    int (*set_readonly)(void *ctx, uint32_t domid, const struct stream_range *range,
                        struct gw_error *err);

    /* CPUs and devices. *ret_state is malloc()ed. */
    int (*get_state)(void *ctx, uint32_t domid, void **ret_state, uint32_t *ret_bytes,
                     struct gw_error *err);
    int (*set_state)(void *ctx, uint32_t domid, const void *state, uint32_t bytes,
                     struct gw_error *err);
    /* Waits a little until the reader of the paused guest's console has taken all output. Cannot
     * fail. */
    void (*settle_console)(void *ctx, uint32_t domid);

    /*
     * A paused guest with vCPUs, zeroed memory and console, known to the host as `name`.
     * On failure nothing of it remains.
     */
    int (*create)(void *ctx, const struct stream_config *config, const char *name,
                  uint32_t *ret_domid, struct gw_error *err);
    /*
     * A guest that another host may run by now. hold: notes for good why it must stay paused, until
     * note is NULL (which is fine for a guest that is gone, too); `find` refuses it meanwhile, and
     * nobody else lets it run. held: such a guest,
     * by name; *ret_note is malloc()ed. GW_EXIT_STATE: it is not held. locate: where a guest is
     * that was sent to this host, enum handover_whereabouts.
     */
    int (*hold)(void *ctx, uint32_t domid, const char *note, struct gw_error *err);
    int (*held)(void *ctx, const char *name, struct migrate_held *ret_held, struct gw_error *err);
    int (*locate)(void *ctx, const uint8_t uuid[16], uint32_t *ret_where, struct gw_error *err);

    /* Gives the guest its real name. */
    int (*rename)(void *ctx, uint32_t domid, const char *from, const char *to,
                  struct gw_error *err);
};

struct migrate_host {
    const struct migrate_host_ops *ops;
    void *ctx;
};

/* Opens a host; arg is the opener's own. */
struct migrate_opener {
    int (*open)(void *arg, struct migrate_host *ret_host, struct gw_error *err);
    void *arg;
};

/* The hypervisor under this control domain. */
extern const struct migrate_opener migrate_this_host;

void migrate_guest_free(struct migrate_guest *guest);

#endif
