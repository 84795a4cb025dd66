/* SPDX-License-Identifier: MIT */
/*
 * Mutations that keep a stream a stream: records are repeated, left out and shortened, their
 * lengths and counts changed a little. Without them nearly every input ends at its first record.
 */
#include "stream/stream_format.h"

#include <stdlib.h>
#include <string.h>

#define RECORDS_MAX   64
#define FIRST_RECORD  (1 + sizeof(struct stream_image_header) + sizeof(struct stream_domain_header))
#define HEADER_BYTES  sizeof(struct stream_record_header)
#define COUNT_BYTES   sizeof(struct stream_count_header)
#define ZERO_PAGE_TOP 0x50 /* the highest byte of a frame number's word */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

struct record {
    size_t at, bytes; /* with header and padding */
};

static uint32_t get(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

static void put(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof(value));
}

static unsigned find_records(const uint8_t *data, size_t size, struct record ret[RECORDS_MAX])
{
    unsigned n = 0;

    for (size_t at = FIRST_RECORD; n < RECORDS_MAX && at + HEADER_BYTES <= size;) {
        size_t bytes = HEADER_BYTES + (((size_t)get(data + at + 4) + 7) & ~(size_t)7);
        if (bytes > size - at)
            break;
        ret[n++] = (struct record){at, bytes};
        at += bytes;
    }
    return n;
}

static size_t cut_out(uint8_t *data, size_t size, size_t at, size_t bytes)
{
    memmove(data + at, data + at + bytes, size - at - bytes);
    return size - bytes;
}

static size_t repeat(uint8_t *data, size_t size, size_t max_size, const struct record *r)
{
    if (size + r->bytes > max_size)
        return size;
    memmove(data + r->at + r->bytes, data + r->at, size - r->at);
    return size + r->bytes;
}

/* A copy of a record at the place of another. */
static size_t copy(uint8_t *data, size_t size, size_t max_size, const struct record *r,
                   const struct record *to)
{
    static uint8_t kept[4096];
    const size_t at = to->at, bytes = r->bytes;

    if (size + bytes > max_size || bytes > sizeof(kept))
        return size;
    memcpy(kept, data + r->at, bytes);
    memmove(data + at + bytes, data + at, size - at);
    memcpy(data + at, kept, bytes);
    return size + bytes;
}

/* A list of pages without contents: every count is then nearly right. */
static size_t empty_pages(uint8_t *data, size_t size, const struct record *r)
{
    uint32_t count;
    size_t keep;

    if (get(data + r->at) != STREAM_PAGE_DATA || r->bytes < HEADER_BYTES + COUNT_BYTES)
        return size;
    count = get(data + r->at + HEADER_BYTES);
    keep = HEADER_BYTES + COUNT_BYTES + (size_t)count * 8;
    if (count == 0 || keep > r->bytes)
        return size;
    for (uint32_t i = 0; i < count; i++)
        data[r->at + HEADER_BYTES + COUNT_BYTES + i * 8 + 7] = ZERO_PAGE_TOP;
    put(data + r->at + 4, (uint32_t)(COUNT_BYTES + count * 8));
    return cut_out(data, size, r->at + keep, r->bytes - keep);
}

static const uint32_t types[] = {
    STREAM_VERSIONS,    STREAM_HOST,       STREAM_CONFIG, STREAM_MEMORY,
    STREAM_BASE,        STREAM_LANE,       STREAM_DIGEST, STREAM_STATIC_DATA_END,
    STREAM_PAGE_DATA,   STREAM_PAGES_ZSTD, STREAM_MARK,   STREAM_READONLY,
    STREAM_HVM_CONTEXT, STREAM_PAGE_SUMS,  STREAM_VERIFY, STREAM_LANE_ENDS,
    STREAM_CHAIN,       STREAM_END,
};

/* A short record of some type before this one: with zeros, or a number as marks and lanes have. */
static size_t insert(uint8_t *data, size_t size, size_t max_size, const struct record *r,
                     unsigned random)
{
    static const uint8_t lengths[] = {0, 8, 8, 16};
    const uint32_t length = lengths[random / 32 % 4];
    const size_t bytes = HEADER_BYTES + length;

    if (size + bytes > max_size)
        return size;
    memmove(data + r->at + bytes, data + r->at, size - r->at);
    memset(data + r->at, 0, bytes);
    put(data + r->at, types[random % (sizeof(types) / sizeof(types[0]))]);
    put(data + r->at + 4, length);
    if (length)
        put(data + r->at + HEADER_BYTES, random / 128 % 4);
    return size + bytes;
}

static void nudge(uint8_t *at, unsigned random)
{
    put(at, get(at) + (random % 2 ? 1u : -1u) * (1u << (random / 2 % 12)));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    struct record records[RECORDS_MAX];
    unsigned n = find_records(data, size, records), random = seed / 11;
    const struct record *r = n ? &records[random % n] : NULL;

    random /= RECORDS_MAX;
    switch (r ? seed % 11 : 10) {
    case 0:
        return repeat(data, size, max_size, r);
    case 1:
        return cut_out(data, size, r->at, r->bytes);
    case 2:
        nudge(data + r->at + 4, random);
        return size;
    case 3:
        if (r->bytes > HEADER_BYTES) { /* one of the first words of its body: counts, frames */
            size_t words = (r->bytes - HEADER_BYTES) / 4, most = words < 16 ? words : 16;
            nudge(data + r->at + HEADER_BYTES + random % most * 4, random / 16);
        }
        return size;
    case 4:
        return empty_pages(data, size, r);
    case 5:
        return insert(data, size, max_size, r, random);
    case 6:
        put(data + r->at, types[random % (sizeof(types) / sizeof(types[0]))]);
        return size;
    case 7:
        return copy(data, size, max_size, r, &records[random % n]);
    default:
        return LLVMFuzzerMutate(data, size, max_size);
    }
}
