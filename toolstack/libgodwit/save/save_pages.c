/* SPDX-License-Identifier: MIT */
/* The memory of a guest on its way into a stream: one pass over some or all of its pages. */
#include "handover/handover.h"
#include "pages/page_pipe.h"
#include "save_source.h"
#include "stream/stream_view.h"
#include <string.h>
#include <unistd.h>

#define REASON_MS 1000 /* how long a broken side connection waits for the main one */

struct pass {
    struct save_source *source;
    struct migrate_times *times; /* NULL: the comparison */
    uint64_t pages, zero_pages;
    uint64_t waited_ns;                        /* for the connections, within this window */
    struct page_job *jobs[STREAM_STREAMS_MAX]; /* being filled, one for each connection */
};

uint64_t save_source_bytes(const struct save_source *s)
{
    uint64_t bytes = s->writer.bytes;

    for (unsigned i = 1; i < s->streams; i++)
        bytes += s->more[i - 1].bytes;
    return bytes;
}

static int open_pipe(struct save_source *s, struct gw_error *err)
{
    struct page_pipe_setup setup = {
        .streams = s->streams,
        .writers = {&s->writer},
        .compress_level = s->compress_level,
        .limit = s->limit,
    };

    for (unsigned i = 1; i < s->streams; i++)
        setup.writers[i] = &s->more[i - 1];
    if (!s->pipe)
        s->pipe = page_pipe_open(&setup, err);
    return s->pipe ? 0 : -1;
}

/* Takes out the frames that need not be sent now; returns how many are left. */
static uint32_t skip_frames(struct save_source *s, uint64_t *gfns, uint32_t n)
{
    bool skip[MIGRATE_BATCH_PAGES] = {false};
    uint32_t kept = 0;

    s->skip(s->skip_arg, gfns, n, skip);
    for (uint32_t i = 0; i < n; i++)
        if (!skip[i])
            gfns[kept++] = gfns[i];
    s->skipped_pages += n - kept;
    return kept;
}

/* The job that pages of this connection go into; NULL: none could be had. */
static struct page_job *job_of(struct pass *pass, unsigned stream, struct gw_error *err)
{
    if (!pass->jobs[stream]) {
        pass->jobs[stream] = page_pipe_job(pass->source->pipe, &pass->waited_ns, err);
        if (!pass->jobs[stream])
            return NULL;
        pass->jobs[stream]->stream = stream;
        pass->jobs[stream]->times = pass->times;
    }
    return pass->jobs[stream];
}

/* Reads as many of these frames, all of one connection, as its job has room for. */
static int fill_job(struct pass *pass, struct page_job *job, const uint64_t *gfns, uint32_t n,
                    uint32_t *ret_done, struct gw_error *err)
{
    struct save_source *s = pass->source;
    uint32_t list_room = STREAM_PAGES_MAX - job->pages, most = n < list_room ? n : list_room;
    bool zero[MIGRATE_BATCH_PAGES];
    uint64_t began = migrate_now_ns();

    if (s->host->ops->read_pages(s->host->ctx, s->guest.domid, gfns, most, job->data[job->contents],
                                 PAGE_JOB_CONTENTS - job->contents, zero, ret_done, err))
        return -1;
    for (uint32_t i = 0; i < *ret_done; i++) {
        uint64_t type = zero[i] ? STREAM_PFN_ZERO : STREAM_PFN_NORMAL;

        job->words[job->pages++] = gfns[i] | type << STREAM_PFN_TYPE_SHIFT;
        job->contents += !zero[i];
        pass->zero_pages += zero[i];
    }
    pass->pages += *ret_done;
    migrate_times_add(pass->times, MIGRATE_READ, began);
    return 0;
}

/* Frames at the beginning of gfns that travel on the same connection as the first. */
static uint32_t count_together(const struct save_source *s, const uint64_t *gfns, uint32_t n)
{
    unsigned stream = stream_of_gfn(gfns[0], s->streams);
    uint32_t i = 1;

    while (i < n && stream_of_gfn(gfns[i], s->streams) == stream)
        i++;
    return i;
}

static int send_window(struct pass *pass, uint64_t *gfns, uint32_t n, struct gw_error *err)
{
    struct save_source *s = pass->source;

    if (s->skip && pass->times)
        n = skip_frames(s, gfns, n);
    for (uint32_t at = 0, done; at < n; at += done) {
        unsigned stream = stream_of_gfn(gfns[at], s->streams);
        struct page_job *job = job_of(pass, stream, err);

        if (!job ||
            fill_job(pass, job, gfns + at, count_together(s, gfns + at, n - at), &done, err))
            return -1;
        if (job->pages == STREAM_PAGES_MAX || job->contents == PAGE_JOB_CONTENTS) {
            page_pipe_send(s->pipe, job);
            pass->jobs[stream] = NULL;
        }
    }
    return 0;
}

/* The next frame at or above *gfn of this range that is wanted; false: none. */
static bool next_wanted(const struct stream_range *range, const uint8_t *wanted, uint64_t *gfn)
{
    uint64_t end = range->first_gfn + range->pages;

    while (wanted && *gfn < end && !(wanted[*gfn / 8] & (1u << (*gfn % 8)))) {
        /* Most of a log is clean: go over it by words. */
        uint64_t word = 1;
        if (*gfn % 64 == 0 && *gfn + 64 <= end)
            memcpy(&word, wanted + *gfn / 8, sizeof(word));
        *gfn += word ? 1 : 64;
    }
    return *gfn < end;
}

static int send_windows(struct pass *pass, const uint8_t *wanted, uint64_t total,
                        struct gw_error *err)
{
    struct save_source *s = pass->source;
    uint64_t gfns[MIGRATE_BATCH_PAGES], done = 0;
    uint32_t n = 0;

    if (s->on_progress) /* there may be too few pages for a second look */
        s->on_progress(s->progress_arg, 0, total);
    for (uint32_t i = 0; i < s->memory.count; i++) {
        uint64_t gfn = s->memory.ranges[i].first_gfn;

        while (next_wanted(&s->memory.ranges[i], wanted, &gfn)) {
            gfns[n++] = gfn++;
            if (n < MIGRATE_BATCH_PAGES)
                continue;
            if (send_window(pass, gfns, n, err))
                return -1;
            done += n;
            n = 0;
            if (s->on_progress)
                s->on_progress(s->progress_arg, done, total);
        }
    }
    return n > 0 ? send_window(pass, gfns, n, err) : 0;
}

/* When a side connection breaks, the destination may just be saying why on the main one. */
static void hear_reason(struct save_source *s, struct gw_error *err)
{
    struct gw_error said = {0};

    if (s->streams < 2 || err->code == GW_EXIT_MIGRATE_CANCELLED)
        return;
    for (unsigned waited_ms = 0; waited_ms < REASON_MS; waited_ms += 10) {
        if (handover_io_has_input(s->writer.io)) {
            handover_expect(s->writer.io, HANDOVER_REFUSED, NULL, 0, &said);
            if (strstr(said.message, " refused: "))
                *err = said;
            return;
        }
        usleep(10000);
    }
}

/* On return all of it has left this process, or the pipe is gone and nobody uses the streams. */
static int run(struct pass *pass, const uint8_t *wanted, uint64_t total, struct gw_error *err)
{
    struct save_source *s = pass->source;
    int rc = open_pipe(s, err) || send_windows(pass, wanted, total, err);

    for (unsigned i = 0; rc == 0 && i < s->streams; i++)
        if (pass->jobs[i])
            page_pipe_send(s->pipe, pass->jobs[i]);
    if (rc == 0)
        rc = page_pipe_drain(s->pipe, err);
    if (rc == 0) {
        s->saved_bytes = page_pipe_saved_bytes(s->pipe);
        return 0;
    }
    page_pipe_close(s->pipe);
    s->pipe = NULL;
    hear_reason(s, err);
    return -1;
}

int save_source_send_pages(struct save_source *s, const uint8_t *wanted, uint64_t total,
                           struct gw_error *err)
{
    struct pass pass = {.source = s, .times = &s->times};
    int rc = run(&pass, wanted, total, err);

    s->pages += pass.pages;
    s->zero_pages += pass.zero_pages;
    return rc;
}

int save_source_send_mark(struct save_source *s, struct gw_error *err)
{
    s->marks++;
    for (unsigned i = 0; i < s->streams; i++)
        if (stream_write_mark(i ? &s->more[i - 1] : &s->writer, s->marks, err)) {
            hear_reason(s, err);
            return -1;
        }
    return 0;
}

int save_source_send_verify(struct save_source *s, struct gw_error *err)
{
    struct pass pass = {.source = s};
    uint64_t began = migrate_now_ns();

    for (unsigned i = 0; i < s->streams; i++)
        if (stream_write_record(i ? &s->more[i - 1] : &s->writer, STREAM_VERIFY, NULL, 0, err))
            return -1;
    if (run(&pass, NULL, s->memory_pages, err))
        return -1;
    migrate_times_add(&s->times, MIGRATE_CHECK, began);
    return 0;
}
