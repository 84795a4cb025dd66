/* SPDX-License-Identifier: MIT */
#include "save_source.h"

#include "pages/page_pipe.h"
#include "stream/stream_view.h"
#include <stdlib.h>
#include <string.h>

#define READONLY_BATCH 256u /* ranges in a GODWIT_READONLY record */

int save_source_open(struct save_source *s, struct migrate_host *host, struct handover_io *io,
                     const char *name, struct gw_error *err)
{
    memset(s, 0, sizeof(*s));
    s->host = host;
    s->writer.io = io;
    s->streams = 1;
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
    page_pipe_close(s->pipe);
    s->pipe = NULL;
}

static int send_side_head(struct save_source *s, unsigned i,
                          const struct migrate_versions *versions, struct gw_error *err)
{
    struct stream_writer *w = &s->more[i - 1];

    if (stream_write_headers(w, versions->xen_major, versions->xen_minor, err) ||
        stream_write_lane(w, i, s->streams, err))
        return -1;
    return stream_write_memory(w, &s->memory, err);
}

int save_source_send_end(struct save_source *s, struct gw_error *err)
{
    struct stream_lane_end ends[STREAM_STREAMS_MAX - 1] = {0};
    struct iovec part = {.iov_base = ends, .iov_len = (s->streams - 1) * sizeof(ends[0])};

    for (unsigned i = 1; i < s->streams; i++) {
        if (stream_write_end(&s->more[i - 1], err))
            return -1;
        ends[i - 1].pages = s->more[i - 1].pages;
        ends[i - 1].crc32 = s->more[i - 1].sealed_crc;
    }
    if (s->streams > 1 && stream_write_record(&s->writer, STREAM_LANE_ENDS, &part, 1, err))
        return -1;
    return stream_write_end(&s->writer, err);
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
        (s->base && stream_write_base(w, s->base, err)) ||
        (s->streams > 1 && stream_write_lane(w, 0, s->streams, err)) ||
        stream_write_digest(w, err)) /* a damaged head never makes a guest */
        return -1;
    if (stream_write_record(w, STREAM_STATIC_DATA_END, NULL, 0, err))
        return -1;
    for (unsigned i = 1; i < s->streams; i++)
        if (send_side_head(s, i, &versions, err))
            return -1;
    return 0;
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
