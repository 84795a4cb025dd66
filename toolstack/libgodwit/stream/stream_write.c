/* SPDX-License-Identifier: MIT */
#include "stream_write.h"

#include "handover/handover.h"
#include "stream_sum.h"
#include <endian.h>
#include <string.h>

#define PARTS_MAX 3

static int write_parts(struct stream_writer *w, struct iovec *iov, int n, struct gw_error *err)
{
    size_t bytes = 0;

    for (int i = 0; i < n; i++) {
        if (iov[i].iov_len) /* zlib takes no bytes at NULL for a wish to begin anew */
            w->crc = stream_sum(w->crc, iov[i].iov_base, iov[i].iov_len);
        bytes += iov[i].iov_len;
    }
    switch (handover_io_write(w->io, iov, n, err)) {
    case HANDOVER_OK:
        w->bytes += bytes;
        return 0;
    case HANDOVER_PEER_SPEAKS:
        return handover_expect(w->io, HANDOVER_REFUSED, NULL, 0, err);
    default:
        return -1;
    }
}

int stream_write_headers(struct stream_writer *w, uint32_t xen_major, uint32_t xen_minor,
                         struct gw_error *err)
{
    struct stream_image_header image = {
        .marker = STREAM_MARKER, .id = htobe32(STREAM_ID), .version = htobe32(STREAM_VERSION)};
    struct stream_domain_header domain = {.type = STREAM_DOMAIN_TYPE_ARM,
                                          .page_shift = STREAM_PAGE_SHIFT,
                                          .xen_major = xen_major,
                                          .xen_minor = xen_minor};
    struct iovec iov[2] = {{.iov_base = &image, .iov_len = sizeof(image)},
                           {.iov_base = &domain, .iov_len = sizeof(domain)}};

    return write_parts(w, iov, 2, err);
}

static int write_record(struct stream_writer *w, uint32_t type, const struct iovec *parts, int n,
                        struct gw_error *err)
{
    static const uint8_t zeros[STREAM_ALIGN];
    struct stream_record_header header = {.type = type};
    struct iovec iov[PARTS_MAX + 2] = {{.iov_base = &header, .iov_len = sizeof(header)}};

    for (int i = 0; i < n; i++) {
        iov[i + 1] = parts[i];
        header.length += (uint32_t)parts[i].iov_len;
    }
    iov[n + 1].iov_base = (void *)(uintptr_t)zeros;
    iov[n + 1].iov_len = (STREAM_ALIGN - header.length % STREAM_ALIGN) % STREAM_ALIGN;
    return write_parts(w, iov, n + 2, err);
}

int stream_write_digest(struct stream_writer *w, struct gw_error *err)
{
    struct stream_digest digest = {.crc32 = w->crc};
    struct iovec part = {.iov_base = &digest, .iov_len = sizeof(digest)};

    if (w->sealed_bytes == w->bytes)
        return 0;
    if (write_record(w, STREAM_DIGEST, &part, 1, err))
        return -1;
    w->sealed_bytes = w->bytes;
    w->sealed_crc = digest.crc32;
    return 0;
}

int stream_write_record(struct stream_writer *w, uint32_t type, const struct iovec *parts, int n,
                        struct gw_error *err)
{
    if (write_record(w, type, parts, n, err))
        return -1;
    return w->bytes - w->sealed_bytes < STREAM_DIGEST_BYTES ? 0 : stream_write_digest(w, err);
}

int stream_write_config(struct stream_writer *w, const struct stream_config *config,
                        struct gw_error *err)
{
    struct stream_config_header h = {
        .vcpus = config->vcpus,
        .flags = config->paused ? STREAM_CONFIG_PAUSED : 0,
        .memory_bytes = config->memory_bytes,
        .on_poweroff = config->on_poweroff,
        .on_reboot = config->on_reboot,
        .on_crash = config->on_crash,
        .name_length = (uint32_t)strlen(config->name),
        .text_length = config->text_length,
    };
    struct iovec parts[3] = {
        {.iov_base = &h, .iov_len = sizeof(h)},
        {.iov_base = (void *)(uintptr_t)config->name, .iov_len = h.name_length},
        {.iov_base = (void *)(uintptr_t)config->text, .iov_len = h.text_length},
    };

    memcpy(h.uuid, config->uuid, sizeof(h.uuid));
    return stream_write_record(w, STREAM_CONFIG, parts, 3, err);
}

static int write_ranges(struct stream_writer *w, uint32_t type, const struct stream_range *ranges,
                        uint32_t n, struct gw_error *err)
{
    struct stream_count_header h = {.count = n};
    struct iovec parts[2] = {
        {.iov_base = &h, .iov_len = sizeof(h)},
        {.iov_base = (void *)(uintptr_t)ranges, .iov_len = n * sizeof(*ranges)}};

    return stream_write_record(w, type, parts, 2, err);
}

int stream_write_mark(struct stream_writer *w, uint32_t number, struct gw_error *err)
{
    struct stream_mark mark = {.number = number};
    struct iovec part = {.iov_base = &mark, .iov_len = sizeof(mark)};

    return stream_write_record(w, STREAM_MARK, &part, 1, err);
}

int stream_write_lane(struct stream_writer *w, uint32_t index, uint32_t count, struct gw_error *err)
{
    struct stream_lane lane = {.index = index, .count = count};
    struct iovec part = {.iov_base = &lane, .iov_len = sizeof(lane)};

    return stream_write_record(w, STREAM_LANE, &part, 1, err);
}

int stream_write_memory(struct stream_writer *w, const struct stream_memory *memory,
                        struct gw_error *err)
{
    return write_ranges(w, STREAM_MEMORY, memory->ranges, memory->count, err);
}

int stream_write_readonly(struct stream_writer *w, const struct stream_range *ranges, uint32_t n,
                          struct gw_error *err)
{
    return write_ranges(w, STREAM_READONLY, ranges, n, err);
}

int stream_write_base(struct stream_writer *w, const struct stream_base *base, struct gw_error *err)
{
    struct stream_base_header h = {.base_epoch = base->base_epoch,
                                   .base_crc32 = base->base_crc32,
                                   .depth = base->depth,
                                   .name_length = (uint32_t)strlen(base->name)};
    struct iovec parts[2] = {{.iov_base = &h, .iov_len = sizeof(h)},
                             {.iov_base = (void *)(uintptr_t)base->name, .iov_len = h.name_length}};

    memcpy(h.base_id, base->base_id, sizeof(h.base_id));
    return stream_write_record(w, STREAM_BASE, parts, 2, err);
}

static int write_pages(struct stream_writer *w, uint32_t type, const uint64_t *words, uint32_t n,
                       const void *contents, size_t bytes, struct gw_error *err)
{
    struct stream_count_header h = {.count = n};
    struct iovec parts[3] = {
        {.iov_base = &h, .iov_len = sizeof(h)},
        {.iov_base = (void *)(uintptr_t)words, .iov_len = n * sizeof(*words)},
        {.iov_base = (void *)(uintptr_t)contents, .iov_len = bytes},
    };

    w->pages += n;
    return stream_write_record(w, type, parts, 3, err);
}

int stream_write_pages(struct stream_writer *w, const uint64_t *words, uint32_t n,
                       const void *contents, uint32_t with_contents, struct gw_error *err)
{
    return write_pages(w, STREAM_PAGE_DATA, words, n, contents,
                       (size_t)with_contents * STREAM_PAGE_BYTES, err);
}

int stream_write_zipped(struct stream_writer *w, const uint64_t *words, uint32_t n,
                        const void *frame, uint32_t frame_bytes, struct gw_error *err)
{
    return write_pages(w, STREAM_PAGES_ZSTD, words, n, frame, frame_bytes, err);
}

int stream_write_end(struct stream_writer *w, struct gw_error *err)
{
    return stream_write_digest(w, err) || write_record(w, STREAM_END, NULL, 0, err) ? -1 : 0;
}
