/* SPDX-License-Identifier: MIT */
/* Writes headers and records, pads them and keeps the checksum. */
#ifndef STREAM_WRITE_H
#define STREAM_WRITE_H

#include "handover/handover_io.h"
#include "stream_format.h"

struct stream_writer {
    struct handover_io *io;
    _Atomic uint64_t bytes; /* relaxed: others only show it */
    uint64_t pages;         /* in all page records */
    uint64_t sealed_bytes;  /* up to where a GODWIT_DIGEST has confirmed them */
    uint32_t crc;
    uint32_t sealed_crc; /* in the last GODWIT_DIGEST */
};

/*
 * All return 0, or -1 with err. If the other side speaks instead of listening, what it says (a
 * refusal, or the end of the connection) becomes the error.
 */
int stream_write_headers(struct stream_writer *writer, uint32_t xen_major, uint32_t xen_minor,
                         struct gw_error *err);
/* A record whose body is up to three parts, and a GODWIT_DIGEST behind it if one is due. */
int stream_write_record(struct stream_writer *writer, uint32_t type, const struct iovec *parts,
                        int n, struct gw_error *err);
int stream_write_config(struct stream_writer *writer, const struct stream_config *config,
                        struct gw_error *err);
int stream_write_memory(struct stream_writer *writer, const struct stream_memory *memory,
                        struct gw_error *err);
int stream_write_readonly(struct stream_writer *writer, const struct stream_range *ranges,
                          uint32_t n, struct gw_error *err);
int stream_write_base(struct stream_writer *writer, const struct stream_base *base,
                      struct gw_error *err);
/* n words, and the contents of those that have some. */
int stream_write_pages(struct stream_writer *writer, const uint64_t *words, uint32_t n,
                       const void *contents, uint32_t with_contents, struct gw_error *err);
/* The same with the contents as one zstd frame. */
int stream_write_zipped(struct stream_writer *writer, const uint64_t *words, uint32_t n,
                        const void *frame, uint32_t frame_bytes, struct gw_error *err);
/* GODWIT_LANE: this stream is number index of count. */
int stream_write_lane(struct stream_writer *writer, uint32_t index, uint32_t count,
                      struct gw_error *err);
/* GODWIT_MARK: answered once all that stands before it has been used. */
int stream_write_mark(struct stream_writer *writer, uint32_t number, struct gw_error *err);
/* GODWIT_DIGEST, unless nothing has come since the last one. */
int stream_write_digest(struct stream_writer *writer, struct gw_error *err);
/* GODWIT_DIGEST and END. */
int stream_write_end(struct stream_writer *writer, struct gw_error *err);

#endif
