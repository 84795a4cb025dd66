/* SPDX-License-Identifier: MIT */
/*
 * Checked views of record bodies. Each function looks at `length` bytes at `body`, refuses what
 * docs/stream.md does not allow and fills the structure, which points into the body. They
 * allocate nothing, call nothing of the system and keep no state: the process that parses a stream
 * and the one that builds the guest both use them.
 *
 * All return 0, or -1 with a reason in *ret_why (a constant sentence without a full stop).
 */
#ifndef STREAM_VIEW_H
#define STREAM_VIEW_H

#include "stream_format.h"

int stream_view_host(const uint8_t *body, size_t length, struct stream_host *ret_host,
                     const char **ret_why);
int stream_view_config(const uint8_t *body, size_t length, struct stream_config *ret_config,
                       const char **ret_why);
int stream_view_memory(const uint8_t *body, size_t length, struct stream_memory *ret_memory,
                       const char **ret_why);

/* memory: every frame number must lie in it. */
int stream_view_pages(const uint8_t *body, size_t length, const struct stream_memory *memory,
                      struct stream_pages *ret_pages, const char **ret_why);

/* The same of GODWIT_PAGES_ZSTD; the contents are the rest of the body, unseen. */
int stream_view_zipped(const uint8_t *body, size_t length, const struct stream_memory *memory,
                       struct stream_pages *ret_pages, const char **ret_why);

/* memory: every range must lie in it. */
int stream_view_readonly(const uint8_t *body, size_t length, const struct stream_memory *memory,
                         struct stream_readonly *ret_readonly, const char **ret_why);
struct stream_range stream_readonly_range(const struct stream_readonly *readonly, uint32_t i);

/*
 * The connection, of so many, that carries a frame. The same one whenever the frame is sent, so a
 * page's later contents come after its earlier ones, whatever the others do.
 */
static inline unsigned stream_of_gfn(uint64_t gfn, unsigned streams)
{
    return streams > 1 ? (unsigned)((gfn >> STREAM_SHARD_SHIFT) % streams) : 0;
}

int stream_view_base(const uint8_t *body, size_t length, struct stream_base *ret_base,
                     const char **ret_why);
int stream_view_chain(const uint8_t *body, size_t length, struct stream_chain *ret_chain,
                      const char **ret_why);
/* next: the page that the record must begin with; pages: of the guest. */
int stream_view_sums(const uint8_t *body, size_t length, uint64_t next, uint64_t pages,
                     struct stream_sums *ret_sums, const char **ret_why);

/* Word i of a checked page list, its type and its frame number. */
uint64_t stream_pages_word(const struct stream_pages *pages, uint32_t i);
static inline unsigned stream_word_type(uint64_t word)
{
    return (unsigned)(word >> STREAM_PFN_TYPE_SHIFT);
}
static inline uint64_t stream_word_gfn(uint64_t word)
{
    return word & STREAM_PFN_GFN_MASK;
}

/* A guest's name may go into paths and messages. */
bool stream_name_valid(const char *name, size_t length);

/* Number of pages in all ranges. */
uint64_t stream_memory_pages(const struct stream_memory *memory);

/* Place of gfn when all pages of all ranges are counted through; false if it lies in none. */
bool stream_memory_index(const struct stream_memory *memory, uint64_t gfn, uint64_t *ret_index);

/* The reverse; index must be below stream_memory_pages. */
uint64_t stream_memory_gfn(const struct stream_memory *memory, uint64_t index);

#endif
