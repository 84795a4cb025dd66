/* SPDX-License-Identifier: MIT */
/*
 * Where a page's bit lies in the dirty log, and how a range of pages is cut into words, runs (what
 * one summary word stands for) and chunks. No atomics and no pointers, so that Frama-C can prove
 * the contracts for every argument (docs/design/proofs.md).
 */
#ifndef CORE_SRC_LOG_RANGE_H
#define CORE_SRC_LOG_RANGE_H

#include <stdint.h>

#define LOG_WORD_PAGES   64u
#define LOG_RUN_PAGES    4096u /* 64 words */
#define LOG_CHUNK_PAGES  32768u
#define LOG_GROUP_CHUNKS 16u
#define LOG_GROUP_PAGES  (LOG_CHUNK_PAGES * LOG_GROUP_CHUNKS)

/* Frame numbers lie below this: 64 bits of address. A VM's are below 2^36 (48 bits of address). */
#define LOG_GFN_END (UINT64_C(1) << 52)

/*@ requires gfn < LOG_GFN_END;
    assigns \nothing;
    ensures \result == gfn / LOG_GROUP_PAGES; */
static inline uint64_t log_group_of(uint64_t gfn)
{
    return gfn / LOG_GROUP_PAGES;
}

/* The chunk within its group. */
/*@ assigns \nothing;
    ensures \result == gfn / LOG_CHUNK_PAGES % LOG_GROUP_CHUNKS;
    ensures \result < LOG_GROUP_CHUNKS; */
static inline unsigned log_chunk_index_of(uint64_t gfn)
{
    return (unsigned)(gfn / LOG_CHUNK_PAGES % LOG_GROUP_CHUNKS);
}

/* The word within its chunk. */
/*@ assigns \nothing;
    ensures \result == gfn % LOG_CHUNK_PAGES / LOG_WORD_PAGES;
    ensures \result < LOG_CHUNK_PAGES / LOG_WORD_PAGES; */
static inline unsigned log_word_of(uint64_t gfn)
{
    return (unsigned)(gfn % LOG_CHUNK_PAGES / LOG_WORD_PAGES);
}

/* The bit within its word. */
/*@ assigns \nothing;
    ensures \result == gfn % LOG_WORD_PAGES;
    ensures \result < LOG_WORD_PAGES; */
static inline unsigned log_bit_of(uint64_t gfn)
{
    return (unsigned)(gfn % LOG_WORD_PAGES);
}

/* Bits [first, first + count) of a word. */
/*@ requires first < 64 && 1 <= count <= 64 - first;
    assigns \nothing; */
static inline uint64_t log_bits(unsigned first, unsigned count)
{
    return ~UINT64_C(0) >> (64 - count) << first;
}

/*@ requires gfn < LOG_GFN_END;
    assigns \nothing;
    ensures \result <= gfn < \result + LOG_CHUNK_PAGES;
    ensures \result % LOG_CHUNK_PAGES == 0;
    ensures \result / LOG_CHUNK_PAGES == gfn / LOG_CHUNK_PAGES; */
static inline uint64_t log_chunk_begin(uint64_t gfn)
{
    return gfn - gfn % LOG_CHUNK_PAGES;
}

/*@ requires gfn < LOG_GFN_END;
    assigns \nothing;
    ensures gfn < \result <= gfn + LOG_CHUNK_PAGES;
    ensures \result % LOG_CHUNK_PAGES == 0;
    ensures (\result - 1) / LOG_CHUNK_PAGES == gfn / LOG_CHUNK_PAGES;
    ensures \result <= LOG_GFN_END; */
static inline uint64_t log_chunk_end(uint64_t gfn)
{
    return gfn - gfn % LOG_CHUNK_PAGES + LOG_CHUNK_PAGES;
}

/*@ requires gfn < LOG_GFN_END;
    assigns \nothing;
    ensures gfn < \result <= gfn + LOG_GROUP_PAGES;
    ensures \result % LOG_GROUP_PAGES == 0;
    ensures (\result - 1) / LOG_GROUP_PAGES == gfn / LOG_GROUP_PAGES;
    ensures \result <= LOG_GFN_END; */
static inline uint64_t log_group_end(uint64_t gfn)
{
    return gfn - gfn % LOG_GROUP_PAGES + LOG_GROUP_PAGES;
}

/* Pages of [gfn, end) that lie in the word of gfn. */
/*@ requires gfn < end <= LOG_GFN_END;
    assigns \nothing;
    ensures 1 <= \result <= LOG_WORD_PAGES - gfn % LOG_WORD_PAGES;
    ensures gfn + \result <= end;
    ensures (gfn + \result - 1) / LOG_WORD_PAGES == gfn / LOG_WORD_PAGES;
    ensures gfn + \result == end || (gfn + \result) % LOG_WORD_PAGES == 0; */
static inline unsigned log_word_pages(uint64_t gfn, uint64_t end)
{
    uint64_t in_word = LOG_WORD_PAGES - gfn % LOG_WORD_PAGES;
    uint64_t left = end - gfn;

    return (unsigned)(left < in_word ? left : in_word);
}

/* Where the run of gfn ends, or the range [gfn, end) in it. */
/*@ requires gfn < end <= LOG_GFN_END;
    assigns \nothing;
    ensures gfn < \result <= end;
    ensures \result == end || \result % LOG_WORD_PAGES == 0;
    ensures (\result - 1) / LOG_RUN_PAGES == gfn / LOG_RUN_PAGES;
    ensures \result == end || \result % LOG_RUN_PAGES == 0; */
static inline uint64_t log_run_end(uint64_t gfn, uint64_t end)
{
    uint64_t run = gfn - gfn % LOG_RUN_PAGES + LOG_RUN_PAGES;

    return run < end ? run : end;
}

/* Groups that it takes to cover gfns [0, end). */
/*@ requires end <= LOG_GFN_END;
    assigns \nothing;
    ensures end <= \result * LOG_GROUP_PAGES < end + LOG_GROUP_PAGES; */
static inline uint64_t log_groups_for(uint64_t end)
{
    return (end + LOG_GROUP_PAGES - 1) / LOG_GROUP_PAGES;
}

#endif
