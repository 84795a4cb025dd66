/* SPDX-License-Identifier: MIT */
#include "save_source.h"

#include "stream_view.h"
#include <stdlib.h>
#include <string.h>

#define READONLY_BATCH 256u /* ranges in a GODWIT_READONLY record */

int save_source_open(struct save_source *s, struct migrate_host *host, struct handover_io *io,
                     const char *name, struct gw_error *err)
{
    memset(s, 0, sizeof(*s));
    s->host = host;
    s->writer.io = io;
    s->buffer = malloc((size_t)SAVE_BATCH_PAGES * STREAM_PAGE_BYTES);
    if (!s->buffer)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    if (host->ops->find(host->ctx, name, &s->guest, err) ||
        host->ops->ranges(host->ctx, s->guest.domid, &s->memory, err))
        return -1;
    if (s->memory.count == 0)
        return gw_error_set(err, GW_EXIT_STATE, "the guest \"%s\" has no memory", name);
    const struct stream_range *last = &s->memory.ranges[s->memory.count - 1];
    s->memory_pages = stream_memory_pages(&s->memory);
    s->gfn_limit = last->first_gfn + last->pages;
    return host->ops->is_paused(host->ctx, s->guest.domid, &s->guest.config.paused, err);
}

void save_source_close(struct save_source *s)
{
    migrate_guest_free(&s->guest);
    free(s->state);
    s->state = NULL;
    free(s->buffer);
    s->buffer = NULL;
}

int save_source_send_head(struct save_source *s, struct gw_error *err)
{
    struct stream_host facts = {0};
    struct migrate_versions versions = {0};
    struct iovec part = {.iov_base = versions.text};
    struct iovec facts_part = {.iov_base = &facts, .iov_len = sizeof(facts)};
    struct stream_writer *w = &s->writer;

    if (s->host->ops->describe(s->host->ctx, &facts, &versions, err))
        return -1;
    part.iov_len = strnlen(versions.text, sizeof(versions.text));
    if (stream_write_headers(w, versions.xen_major, versions.xen_minor, err) ||
        stream_write_record(w, STREAM_VERSIONS, &part, 1, err) ||
        stream_write_record(w, STREAM_HOST, &facts_part, 1, err) ||
        stream_write_config(w, &s->guest.config, err) || stream_write_memory(w, &s->memory, err) ||
        stream_write_digest(w, err)) /* a damaged head never makes a guest */
        return -1;
    return stream_write_record(w, STREAM_STATIC_DATA_END, NULL, 0, err);
}

struct send_pass {
    struct migrate_times *times; /* NULL: the comparison */
    uint64_t pages, zero_pages;
};

static bool always(void *arg)
{
    return true;
}

/* Takes out the frames that need not be sent now; returns how many are left. */
static uint32_t skip_frames(struct save_source *s, uint64_t *gfns, uint32_t n)
{
    bool skip[SAVE_BATCH_PAGES] = {false};
    uint32_t kept = 0;

    s->skip(s->skip_arg, gfns, n, skip);
    for (uint32_t i = 0; i < n; i++)
        if (!skip[i])
            gfns[kept++] = gfns[i];
    s->skipped_pages += n - kept;
    return kept;
}

static bool page_is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, STREAM_PAGE_BYTES - 1) == 0;
}

/* Marks the pages of zeros and closes their gaps in the buffer; returns how many have contents. */
static uint32_t sort_out_zeros(struct save_source *s, const uint64_t *gfns, uint32_t n,
                               uint64_t *ret_words)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint8_t *page = s->buffer + (size_t)i * STREAM_PAGE_BYTES;
        bool zero = page_is_zero(page);

        ret_words[i] = gfns[i] | (uint64_t)(zero ? STREAM_PFN_ZERO : STREAM_PFN_NORMAL)
                                     << STREAM_PFN_TYPE_SHIFT;
        if (zero)
            continue;
        if (kept != i)
            memcpy(s->buffer + (size_t)kept * STREAM_PAGE_BYTES, page, STREAM_PAGE_BYTES);
        kept++;
    }
    return kept;
}

/* Sends up to SAVE_BATCH_PAGES frames as one record; the buffer keeps the pages with contents. */
static int send_batch(struct save_source *s, uint64_t *gfns, uint32_t n, struct send_pass *pass,
                      struct gw_error *err)
{
    uint64_t words[SAVE_BATCH_PAGES], began, bytes = s->writer.bytes;
    uint32_t kept;

    if (s->skip && pass->times)
        n = skip_frames(s, gfns, n);
    if (n == 0)
        return 0;
    began = migrate_now_ns();
    if (s->host->ops->read_pages(s->host->ctx, s->guest.domid, gfns, n, s->buffer, err))
        return -1;
    migrate_times_add(pass->times, MIGRATE_READ, began);
    began = migrate_now_ns();
    kept = sort_out_zeros(s, gfns, n, words);
    migrate_times_add(pass->times, MIGRATE_ZERO, began);
    pass->pages += n;
    pass->zero_pages += n - kept;
    began = migrate_now_ns();
    if (!rate_limit_wait(s->limit, (uint64_t)kept * STREAM_PAGE_BYTES, always, NULL) ||
        stream_write_pages(&s->writer, words, n, s->buffer, kept, err))
        return -1;
    migrate_times_add(pass->times, MIGRATE_SEND, began);
    s->raw_bytes += s->writer.bytes - bytes;
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

static int send_pages(struct save_source *s, const uint8_t *wanted, uint64_t total,
                      struct send_pass *pass, struct gw_error *err)
{
    uint64_t gfns[SAVE_BATCH_PAGES], done = 0;
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->memory.count; i++) {
        uint64_t gfn = s->memory.ranges[i].first_gfn;

        while (next_wanted(&s->memory.ranges[i], wanted, &gfn)) {
            gfns[n++] = gfn++;
            if (n < SAVE_BATCH_PAGES)
                continue;
            if (send_batch(s, gfns, n, pass, err))
                return -1;
            done += n;
            n = 0;
            if (s->on_progress)
                s->on_progress(s->progress_arg, done, total);
        }
    }
    return n > 0 ? send_batch(s, gfns, n, pass, err) : 0;
}

int save_source_send_pages(struct save_source *s, const uint8_t *wanted, uint64_t total,
                           struct gw_error *err)
{
    struct send_pass pass = {.times = &s->times};
    int rc = send_pages(s, wanted, total, &pass, err);

    s->pages += pass.pages;
    s->zero_pages += pass.zero_pages;
    return rc;
}

int save_source_take_state(struct save_source *s, struct gw_error *err)
{
    if (s->host->ops->get_state(s->host->ctx, s->guest.domid, &s->state, &s->state_bytes, err))
        return -1;
    if (s->state_bytes == 0 || s->state_bytes % STREAM_ALIGN ||
        s->state_bytes > STREAM_STATE_BYTES_MAX)
        return gw_error_set(err, GW_EXIT_FAILED, "the hypervisor's state of %u bytes is odd",
                            s->state_bytes);
    return 0;
}

/* What the guest may only read, as it is now that the guest has stopped. */
static int send_readonly(struct save_source *s, struct gw_error *err)
{
    struct stream_range ranges[READONLY_BATCH];
    uint64_t gfn = 0;
    unsigned n;

    while (gfn != UINT64_MAX) {
        if (s->host->ops->get_readonly(s->host->ctx, s->guest.domid, &gfn, ranges, READONLY_BATCH,
                                       &n, err) ||
            (n > 0 && stream_write_readonly(&s->writer, ranges, n, err)))
            return -1;
    }
    return 0;
}

int save_source_send_state(struct save_source *s, struct gw_error *err)
{
    struct iovec part = {.iov_base = s->state, .iov_len = s->state_bytes};

    if (send_readonly(s, err))
        return -1;
    return stream_write_record(&s->writer, STREAM_HVM_CONTEXT, &part, 1, err);
}

int save_source_send_verify(struct save_source *s, struct gw_error *err)
{
    struct send_pass pass = {0};
    uint64_t began = migrate_now_ns();

    if (stream_write_record(&s->writer, STREAM_VERIFY, NULL, 0, err) ||
        send_pages(s, NULL, s->memory_pages, &pass, err))
        return -1;
    migrate_times_add(&s->times, MIGRATE_CHECK, began);
    return 0;
}
