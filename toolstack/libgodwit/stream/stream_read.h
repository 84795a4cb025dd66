/* SPDX-License-Identifier: MIT */
/*
 * Takes a stream apart into records: headers, lengths, padding and the running checksum. It knows
 * the limits of every type but not the meaning of the bodies. Allocates nothing: the caller brings
 * the one buffer.
 */
#ifndef STREAM_READ_H
#define STREAM_READ_H

#include "stream_format.h"
#include <sys/types.h>

/* Reads up to n bytes: how many, 0 at the end, -1 on error. May return less than n. */
typedef ssize_t (*stream_read_fn)(void *source, void *ret_data, size_t n);

struct stream_reader {
    stream_read_fn read;
    void *source;
    uint8_t *body;          /* STREAM_BODY_MAX + STREAM_ALIGN bytes of the caller's */
    uint32_t version;       /* of the stream: known when the headers have been read */
    uint64_t offset;        /* of the next byte */
    uint32_t records;       /* records begun so far */
    uint32_t crc;           /* of all bytes before offset */
    uint32_t crc_before;    /* of all bytes before the current record's header */
    uint64_t sound_offset;  /* all bytes before it were confirmed by a checksum */
    uint32_t sound_records; /* and so many records */
    const char *why;        /* of the last refusal */
    uint64_t why_offset;    /* first byte of the record (or header) that was refused */
};

struct stream_record {
    uint32_t type, length;
    const uint8_t *body; /* valid until the next read */
};

/* Both return 0, or -1 with why and why_offset set. */
int stream_read_headers(struct stream_reader *reader, uint32_t *ret_xen_major,
                        uint32_t *ret_xen_minor);
int stream_read_record(struct stream_reader *reader, struct stream_record *ret_record);

/* Largest allowed body of a record type; unknown optional records may have STREAM_BODY_MAX. */
uint32_t stream_body_limit(uint32_t type);

/* All that has been read so far was confirmed by a checksum. */
void stream_read_confirm(struct stream_reader *reader);

/* A sentence for people: where and why. */
void stream_read_explain(const struct stream_reader *reader, char *ret_text, size_t bytes);

/* The usual source: *(int *)source is a file descriptor. Retries when interrupted. */
ssize_t stream_read_fd(void *source, void *ret_data, size_t n);

#endif
