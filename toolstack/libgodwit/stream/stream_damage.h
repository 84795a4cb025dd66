/* SPDX-License-Identifier: MIT */
/*
 * Where a stream is damaged, from its checksums. Each GODWIT_DIGEST is of all bytes before it, so
 * behind a wrong one the reading goes on as if the sum that stands there was right: if the next one
 * is right then, the damage lies between the digest before the wrong one and the wrong one. If it
 * is right only with the sum that was computed, the wrong digest is itself the damage.
 */
#ifndef STREAM_DAMAGE_H
#define STREAM_DAMAGE_H

#include "stream_read.h"
#include <libgodwit/migrate.h>

struct stream_damages {
    struct gw_stream_summary *summary; /* takes the findings */
    bool pending;                      /* the last digest was wrong; the rest is about it */
    uint32_t crc_computed, crc_stored; /* of the stream up to the digest's end, if that is right */
    uint64_t digest_offset, end_offset;
    uint32_t digest_record;
};

/* Notes damage somewhere from the last right checksum up to what has been read. */
void stream_damage_unlocated(struct stream_damages *damages, const struct stream_reader *reader,
                             const char *why);
/* The same of the last record alone. */
void stream_damage_record(struct stream_damages *damages, const struct stream_reader *reader,
                          uint64_t offset, const char *why);

/* The last record is a digest in right form whose sum is wrong. The reader can go on behind it. */
void stream_damage_digest_wrong(struct stream_damages *damages, struct stream_reader *reader,
                                const struct stream_record *record);
/* The last record is a digest that is right. */
void stream_damage_digest_right(struct stream_damages *damages);

#endif
