/* SPDX-License-Identifier: MIT */
/*
 * The way of pages from the thread that reads them to the connections that carry them:
 *
 *   reader --> [jobs] --> compressors --> [jobs of stream 0] --> writer 0
 *                                     --> [jobs of stream 1] --> writer 1 ...
 *
 * The number of jobs is fixed, and each holds a bounded number of pages: who is faster waits. All
 * calls come from one thread, the reader. Between page_pipe_drain() and the next page_pipe_send()
 * the writers rest, and the reader may use their streams itself.
 *
 * Jobs may overtake each other on their way: a pass between two drains names a page once.
 */
#ifndef PAGE_PIPE_H
#define PAGE_PIPE_H

#include "migrate/migrate_times.h"
#include "rate_limit.h"
#include "stream/stream_write.h"

/* Pages with contents in a job: 256 KiB. Compressing more at once gains little. */
#define PAGE_JOB_CONTENTS 64u

struct page_job {
    struct page_job *next;       /* in the list that it is in */
    struct migrate_times *times; /* where its time counts; may be NULL */
    unsigned stream;             /* which writer */
    uint32_t pages, contents;    /* how many */
    uint32_t frame_bytes;        /* of zstd; 0: the contents go as they are */
    uint8_t *frame;              /* the pipe's; NULL when nothing is compressed */
    uint64_t words[STREAM_PAGES_MAX];
    /* Aligned so that the hypervisor has one page of ours for each of the guest's. */
    _Alignas(STREAM_PAGE_BYTES) uint8_t data[PAGE_JOB_CONTENTS][STREAM_PAGE_BYTES];
};

struct page_pipe_setup {
    unsigned streams; /* 1 to STREAM_STREAMS_MAX */
    /* Of each stream. Its io must not change while the pipe is open. */
    struct stream_writer *writers[STREAM_STREAMS_MAX];
    int compress_level;       /* 0: no compression; else zstd's, 1 to STREAM_LEVEL_MAX */
    struct rate_limit *limit; /* NULL: none */
};

struct page_pipe;

/* Starts the threads. NULL: err says why. Whatever forks must have forked before. */
struct page_pipe *page_pipe_open(const struct page_pipe_setup *setup, struct gw_error *err);

/*
 * An empty job for the caller to fill and send (or to keep: page_pipe_close frees them all). Waits
 * until one is free, and adds the time to *waited_ns. NULL: a stream failed, or the user cancelled
 * (writers[0]->io->cancelled); err says so.
 */
struct page_job *page_pipe_job(struct page_pipe *pipe, uint64_t *waited_ns, struct gw_error *err);
void page_pipe_send(struct page_pipe *pipe, struct page_job *job);

/* Waits until all that was sent has been written. -1 as with page_pipe_job. */
int page_pipe_drain(struct page_pipe *pipe, struct gw_error *err);

/* Bytes that compression has saved so far. */
uint64_t page_pipe_saved_bytes(struct page_pipe *pipe);

/* Ends the threads, wherever they are. NULL is fine. */
void page_pipe_close(struct page_pipe *pipe);

#endif
