/* SPDX-License-Identifier: MIT */
#include "stream_read.h"

#include "stream_sum.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Its sentence has numbers: see stream_read_explain. */
static const char why_version[] = "the version of the stream is not supported";

static int refuse(struct stream_reader *r, uint64_t offset, const char *why)
{
    r->why = why;
    r->why_offset = offset;
    return -1;
}

ssize_t stream_read_fd(void *source, void *ret_data, size_t n)
{
    ssize_t got;

    do {
        got = read(*(int *)source, ret_data, n);
    } while (got < 0 && errno == EINTR);
    return got;
}

/* Exactly n bytes, or a refusal of what began at `began`. */
static int read_all(struct stream_reader *r, uint64_t began, void *ret_data, size_t n)
{
    uint8_t *to = ret_data;

    for (size_t done = 0; done < n;) {
        ssize_t got = r->read(r->source, to + done, n - done);
        if (got < 0)
            return refuse(r, began, "the stream cannot be read");
        if (got == 0)
            return refuse(r, began, "the stream ends too early");
        r->crc = stream_sum(r->crc, to + done, (size_t)got);
        r->offset += (uint64_t)got;
        done += (size_t)got;
    }
    return 0;
}

static int check_image_header(struct stream_reader *r, const struct stream_image_header *h)
{
    if (h->marker != STREAM_MARKER || be32toh(h->id) != STREAM_ID)
        return refuse(r, 0, "this is not a saved or migrating guest");
    r->version = be32toh(h->version);
    if (r->version < STREAM_VERSION_OLDEST || r->version > STREAM_VERSION)
        return refuse(r, 0, why_version);
    if (be16toh(h->options) & 1)
        return refuse(r, 0, "the stream is big endian");
    if (h->options || h->reserved0 || h->reserved1)
        return refuse(r, 0, "a reserved field of the image header is not zero");
    return 0;
}

int stream_read_headers(struct stream_reader *r, uint32_t *ret_xen_major, uint32_t *ret_xen_minor)
{
    struct stream_image_header image;
    struct stream_domain_header domain;

    if (read_all(r, 0, &image, sizeof(image)) || check_image_header(r, &image))
        return -1;
    if (read_all(r, sizeof(image), &domain, sizeof(domain)))
        return -1;
    if (domain.type != STREAM_DOMAIN_TYPE_ARM)
        return refuse(r, sizeof(image), "the guest in the stream is not a guest for Arm");
    if (domain.page_shift != STREAM_PAGE_SHIFT || domain.reserved)
        return refuse(r, sizeof(image), "the page size of the stream is not 4 KiB");
    *ret_xen_major = domain.xen_major;
    *ret_xen_minor = domain.xen_minor;
    return 0;
}

uint32_t stream_body_limit(uint32_t type)
{
    switch (type) {
    case STREAM_END:
    case STREAM_VERIFY:
    case STREAM_STATIC_DATA_END:
        return 0;
    case STREAM_HVM_CONTEXT:
        return STREAM_STATE_BYTES_MAX;
    case STREAM_HOST:
        return sizeof(struct stream_host);
    case STREAM_CONFIG:
        return sizeof(struct stream_config_header) + STREAM_NAME_BYTES_MAX + STREAM_TEXT_BYTES_MAX;
    case STREAM_MEMORY:
        return sizeof(struct stream_count_header) + STREAM_RANGES_MAX * sizeof(struct stream_range);
    case STREAM_READONLY:
        return sizeof(struct stream_count_header) +
               STREAM_READONLY_MAX * sizeof(struct stream_range);
    case STREAM_LANE:
        return sizeof(struct stream_lane);
    case STREAM_LANE_ENDS:
        return (STREAM_STREAMS_MAX - 1) * sizeof(struct stream_lane_end);
    case STREAM_MARK:
        return sizeof(struct stream_mark);
    case STREAM_DIGEST:
        return sizeof(struct stream_digest);
    case STREAM_VERSIONS:
        return STREAM_VERSIONS_MAX;
    case STREAM_BASE:
        return sizeof(struct stream_base_header) + STREAM_BASE_NAME_MAX;
    case STREAM_CHAIN:
        return sizeof(struct stream_chain);
    case STREAM_PAGE_SUMS:
        return sizeof(struct stream_sums_header) + STREAM_SUMS_MAX * sizeof(uint32_t);
    default: /* PAGE_DATA, and records that may be skipped */
        return STREAM_BODY_MAX;
    }
}

static bool type_is_known(uint32_t type)
{
    return type == STREAM_PAGE_DATA || type == STREAM_PAGES_ZSTD ||
           stream_body_limit(type) != STREAM_BODY_MAX;
}

int stream_read_record(struct stream_reader *r, struct stream_record *ret_record)
{
    struct stream_record_header h;
    uint64_t began = r->offset;

    r->crc_before = r->crc;
    if (read_all(r, began, &h, sizeof(h)))
        return -1;
    r->records++;
    if (!type_is_known(h.type) && !(h.type & STREAM_RECORD_OPTIONAL))
        return refuse(r, began, "the type of the record is unknown and it must not be skipped");
    if (h.length > stream_body_limit(h.type))
        return refuse(r, began, "the record is longer than its type allows");

    size_t padded = (h.length + STREAM_ALIGN - 1) & ~(size_t)(STREAM_ALIGN - 1);
    if (read_all(r, began, r->body, padded))
        return -1;
    for (size_t i = h.length; i < padded; i++)
        if (r->body[i])
            return refuse(r, began, "the padding of the record is not zero");

    ret_record->type = h.type;
    ret_record->length = h.length;
    ret_record->body = r->body;
    return 0;
}

void stream_read_confirm(struct stream_reader *r)
{
    r->sound_offset = r->offset;
    r->sound_records = r->records;
}

void stream_read_explain(const struct stream_reader *r, char *ret_text, size_t bytes)
{
    char place[64] = "header";

    if (r->records > 0)
        snprintf(place, sizeof(place), "record %u", r->records - 1);
    if (r->why == why_version)
        snprintf(
            ret_text, bytes,
            "the stream has version %u of the format, and this godwit reads versions %u to %u%s",
            r->version, STREAM_VERSION_OLDEST, STREAM_VERSION,
            r->version > STREAM_VERSION ? ": use a newer godwit" : "");
    else if (r->sound_offset == 0 || r->sound_offset == r->why_offset)
        snprintf(ret_text, bytes, "%s (%s, offset %llu)", r->why, place,
                 (unsigned long long)r->why_offset);
    else
        snprintf(ret_text, bytes, "%s (%s, offset %llu; sound up to record %u, offset %llu)",
                 r->why, place, (unsigned long long)r->why_offset, r->sound_records - 1,
                 (unsigned long long)r->sound_offset);
}
