/* SPDX-License-Identifier: MIT */
/* Turns a guest into a stream, piece by piece: what save and migration have in common. */
#ifndef SAVE_SOURCE_H
#define SAVE_SOURCE_H

#include "host/migrate_host.h"
#include "migrate/migrate_times.h"
#include "pages/rate_limit.h"
#include "stream/stream_write.h"

struct page_pipe;

struct save_source {
    struct migrate_host *host;
    struct stream_writer writer; /* the stream, or the main one of several */
    /*
     * Set before the first page is sent: connections (1 unless changed), the writers of all but
     * the first, and how pages are compressed (0: not; else zstd's level).
     */
    unsigned streams;
    struct stream_writer more[STREAM_STREAMS_MAX - 1];
    int compress_level;
    bool can_mark;  /* the other side answers marks */
    uint32_t marks; /* sent so far */
    struct migrate_guest guest;
    const struct stream_base *base; /* of an incremental save; NULL: this is a full one */
    struct stream_memory memory;
    uint64_t memory_pages;
    uint64_t gfn_limit; /* first frame above all memory */
    void *state;        /* of CPUs and devices; NULL until taken */
    uint32_t state_bytes;
    uint64_t pages, zero_pages; /* sent so far, the comparison's not counted */
    uint64_t skipped_pages;     /* left out as skip() said */
    uint64_t saved_bytes;       /* by compression */
    struct migrate_times times; /* map, read, zero, compress, send; the rest is the caller's */
    struct rate_limit *limit;   /* NULL: none. Its owner may change it at any time. */
    /*
     * Called right before n frames are read (in ascending order, at most MIGRATE_BATCH_PAGES);
     * may be NULL. Sets ret_skip[i], which is false, for a frame that need not be sent now since it
     * is dirty again and comes later. Called by the thread that called save_source_send_pages; not
     * for the comparison.
     */
    void (*skip)(void *arg, const uint64_t *gfns, unsigned n, bool *ret_skip);
    void *skip_arg;
    struct page_pipe *pipe; /* NULL before the first page and after a failure */
    /* Called before the first window of a pass and after each; may be NULL. done, total: of the
     * pass. */
    void (*on_progress)(void *arg, uint64_t done, uint64_t total);
    void *progress_arg;
};

/* Looks the guest up. io: where the stream will go. */
int save_source_open(struct save_source *source, struct migrate_host *host, struct handover_io *io,
                     const char *name, struct gw_error *err);
void save_source_close(struct save_source *source);

/* Bytes written so far, on all connections; pages that are under way do not count yet. */
uint64_t save_source_bytes(const struct save_source *source);

/* Headers and all records up to STATIC_DATA_END. */
int save_source_send_head(struct save_source *source, struct gw_error *err);
/*
 * Pages whose bit is set in wanted (bit n: frame n, gfn_limit bits); NULL: all. total: how many
 * that are, for the progress. Returns when all of them have been written, or when nobody uses the
 * connections any more.
 */
int save_source_send_pages(struct save_source *source, const uint8_t *wanted, uint64_t total,
                           struct gw_error *err);
/*
 * The next GODWIT_MARK, on all connections: it is answered (MARKED) once what was sent before it
 * has been used. Nothing else may be sent until then.
 */
int save_source_send_mark(struct save_source *source, struct gw_error *err);
/*
 * Takes the state of CPUs and devices. Call it at once after the pause: the guest's counter is in
 * it, and what passes between the two shows to the guest.
 */
int save_source_take_state(struct save_source *source, struct gw_error *err);
/* GODWIT_READONLY if there is such memory, then HVM_CONTEXT as taken. The guest is paused. */
int save_source_send_state(struct save_source *source, struct gw_error *err);
/* The end of the stream, on all connections. */
int save_source_send_end(struct save_source *source, struct gw_error *err);
/* VERIFY and all pages again. The guest is paused. */
int save_source_send_verify(struct save_source *source, struct gw_error *err);

#endif
