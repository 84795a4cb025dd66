/* SPDX-License-Identifier: MIT */
/* The memory of a guest on its way into a stream: one pass over some or all of its pages. */
#include "handover.h"
#include "page_pipe.h"
#include "save_source.h"
#include "stream_view.h"
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
    bool skip[MIGRATE_WINDOW_PAGES] = {false};
    uint32_t kept = 0;

    s->skip(s->skip_arg, gfns, n, skip);
    for (uint32_t i = 0; i < n; i++)
        if (!skip[i])
            gfns[kept++] = gfns[i];
    s->skipped_pages += n - kept;
    return kept;
}

/* The guest may write meanwhile: each byte is looked at once, so the page was all zeros as we saw
 * it, just as if it had been copied. */
static bool page_is_zero(const uint8_t *page)
{
    uint64_t words[8];

    for (size_t at = 0; at < STREAM_PAGE_BYTES; at += sizeof(words)) {
        memcpy(words, page + at, sizeof(words));
        if (words[0] | words[1] | words[2] | words[3] | words[4] | words[5] | words[6] | words[7])
            return false;
    }
    return true;
}

/* Puts a page into the job of its connection, and sends the job when that is full. */
static int add_page(struct pass *pass, uint64_t gfn, const uint8_t *page, bool zero,
                    struct gw_error *err)
{
    struct page_pipe *pipe = pass->source->pipe;
    unsigned stream = stream_of_gfn(gfn, pass->source->streams);
    struct page_job *job = pass->jobs[stream];

    if (!job) {
        job = page_pipe_job(pipe, &pass->waited_ns, err);
        if (!job)
            return -1;
        job->stream = stream;
        job->times = pass->times;
        pass->jobs[stream] = job;
    }
    job->words[job->pages++] = gfn | (uint64_t)(zero ? STREAM_PFN_ZERO : STREAM_PFN_NORMAL)
                                         << STREAM_PFN_TYPE_SHIFT;
    if (!zero)
        memcpy(job->data[job->contents++], page, STREAM_PAGE_BYTES);
    if (job->pages < STREAM_PAGES_MAX && job->contents < PAGE_JOB_CONTENTS)
        return 0;
    page_pipe_send(pipe, job);
    pass->jobs[stream] = NULL;
    return 0;
}

static int read_window(struct pass *pass, const uint64_t *gfns, const struct migrate_window *window,
                       struct gw_error *err)
{
    uint64_t began = migrate_now_ns();
    bool zero[MIGRATE_WINDOW_PAGES];

    for (uint32_t i = 0; i < window->n; i++) {
        zero[i] = page_is_zero(window->pages[i]);
        pass->zero_pages += zero[i];
    }
    migrate_times_add(pass->times, MIGRATE_ZERO, began);
    pass->waited_ns = 0;
    began = migrate_now_ns();
    for (uint32_t i = 0; i < window->n; i++)
        if (add_page(pass, gfns[i], window->pages[i], zero[i], err))
            return -1;
    migrate_times_add(pass->times, MIGRATE_READ, began + pass->waited_ns);
    pass->pages += window->n;
    return 0;
}

static int send_window(struct pass *pass, uint64_t *gfns, uint32_t n, struct gw_error *err)
{
    struct save_source *s = pass->source;
    struct migrate_window window;
    uint64_t began;

    if (s->skip && pass->times)
        n = skip_frames(s, gfns, n);
    if (n == 0)
        return 0;
    began = migrate_now_ns();
    if (s->host->ops->map_pages(s->host->ctx, s->guest.domid, gfns, n, &window, err))
        return -1;
    migrate_times_add(pass->times, MIGRATE_MAP, began);
    int rc = read_window(pass, gfns, &window, err);
    began = migrate_now_ns();
    s->host->ops->unmap_pages(s->host->ctx, &window);
    migrate_times_add(pass->times, MIGRATE_MAP, began);
    return rc;
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
    uint64_t gfns[MIGRATE_WINDOW_PAGES], done = 0;
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->memory.count; i++) {
        uint64_t gfn = s->memory.ranges[i].first_gfn;

        while (next_wanted(&s->memory.ranges[i], wanted, &gfn)) {
            gfns[n++] = gfn++;
            if (n < MIGRATE_WINDOW_PAGES)
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
        s->raw_bytes = save_source_bytes(s) + page_pipe_saved_bytes(s->pipe);
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
