/* SPDX-License-Identifier: MIT */
#include "stream_damage.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define DIGEST_BYTES (sizeof(struct stream_record_header) + sizeof(struct stream_digest))

static struct gw_stream_damage *next_damage(struct stream_damages *d)
{
    unsigned n = d->summary->damages_n;

    d->summary->damages_total++;
    if (n < GW_STREAM_DAMAGES)
        d->summary->damages_n++;
    return &d->summary->damages[n < GW_STREAM_DAMAGES ? n : GW_STREAM_DAMAGES - 1];
}

static void note(struct stream_damages *d, uint64_t from, uint64_t to, int64_t first, int64_t last,
                 const char *why)
{
    struct gw_stream_damage *damage = next_damage(d);

    *damage = (struct gw_stream_damage){from, to, first, last < first ? first : last, ""};
    snprintf(damage->why, sizeof(damage->why), "%s", why);
}

/* The headers count as record -1. */
static int64_t first_unconfirmed(const struct stream_reader *r)
{
    return r->sound_offset == 0 ? -1 : (int64_t)r->sound_records;
}

void stream_damage_unlocated(struct stream_damages *d, const struct stream_reader *r,
                             const char *why)
{
    note(d, r->sound_offset, r->offset, first_unconfirmed(r), (int64_t)r->records - 1, why);
}

void stream_damage_record(struct stream_damages *d, const struct stream_reader *r, uint64_t offset,
                          const char *why)
{
    note(d, offset, r->offset, (int64_t)r->records - 1, (int64_t)r->records - 1, why);
}

/* The sum of what there is up to the digest's end, if the sum before it is crc. */
static uint32_t crc_behind(uint32_t crc)
{
    struct stream_record_header header = {.type = STREAM_DIGEST,
                                          .length = sizeof(struct stream_digest)};
    struct stream_digest digest = {.crc32 = crc};

    crc = (uint32_t)crc32(crc, (const uint8_t *)&header, sizeof(header));
    return (uint32_t)crc32(crc, (const uint8_t *)&digest, sizeof(digest));
}

/* crc is of some bytes that begin with the sum `from`: what if they had begun with `instead`? */
static uint32_t crc_with_other_begin(uint32_t crc, uint32_t from, uint32_t instead, uint64_t bytes)
{
    return (uint32_t)(crc ^ crc32_combine(from, 0, (z_off_t)bytes) ^
                      crc32_combine(instead, 0, (z_off_t)bytes));
}

/* Was the digest before this one the only thing that was wrong? */
static bool digest_was_damaged(const struct stream_damages *d, const struct stream_reader *r,
                               uint32_t stored)
{
    uint64_t bytes = r->offset - DIGEST_BYTES - d->end_offset;

    return d->pending &&
           crc_with_other_begin(r->crc_before, d->crc_stored, d->crc_computed, bytes) == stored;
}

void stream_damage_digest_wrong(struct stream_damages *d, struct stream_reader *r,
                                const struct stream_record *record)
{
    struct stream_digest digest;

    memcpy(&digest, record->body, sizeof(digest));
    if (digest_was_damaged(d, r, digest.crc32)) {
        struct gw_stream_damage *last = &d->summary->damages[d->summary->damages_n - 1];

        last->from = d->digest_offset;
        last->to = d->end_offset;
        last->first_record = last->last_record = d->digest_record;
        snprintf(last->why, sizeof(last->why), "the record of the checksum is damaged");
        d->pending = false;
    } else {
        stream_damage_unlocated(d, r, "the checksum is wrong");
        d->pending = true;
        d->digest_offset = r->offset - DIGEST_BYTES;
        d->end_offset = r->offset;
        d->digest_record = r->records - 1;
        d->crc_computed = crc_behind(r->crc_before);
        d->crc_stored = crc_behind(digest.crc32);
    }
    r->crc = crc_behind(digest.crc32);
    stream_read_confirm(r);
}

void stream_damage_digest_right(struct stream_damages *d)
{
    struct gw_stream_damage *last = &d->summary->damages[d->summary->damages_n - 1];

    if (d->pending) { /* so the digest before is right, and what it is of is not */
        last->to = d->digest_offset;
        if (last->last_record > last->first_record)
            last->last_record--;
    }
    d->pending = false;
}
