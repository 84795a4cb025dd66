/* SPDX-License-Identifier: MIT */
/*
 * What the loops of core/ over ranges of pages do, proven with the real core/src/log_range.h. WP
 * does not understand atomics, so the loops stand here again, with the bitmap as an array of pages;
 * what they compute is not written twice. Frama-C reads this file, no compiler does.
 */
#include <core/addr.h>

#include "../../core/src/log_range.h"

#define GFNS (UINT64_C(1) << 36) /* 48 bits of address */

/* Two pages never share a bit, at the top of the address space and elsewhere. */
/*@ requires a < LOG_GFN_END && b < LOG_GFN_END;
    assigns \nothing;
    ensures \result != 0 <==> a == b; */
int same_bit(uint64_t a, uint64_t b)
{
    return log_group_of(a) == log_group_of(b) && log_chunk_index_of(a) == log_chunk_index_of(b) &&
           log_word_of(a) == log_word_of(b) && log_bit_of(a) == log_bit_of(b);
}

/* A group that log_groups_for has counted is there for every page below its end. */
/*@ requires gfn < end <= LOG_GFN_END;
    assigns \nothing;
    ensures \result != 0; */
int has_group(uint64_t gfn, uint64_t end)
{
    return log_group_of(gfn) < log_groups_for(end);
}

/* Page numbers and addresses. */
/*@ requires gfn < LOG_GFN_END;
    assigns \nothing;
    ensures \result == gfn; */
uint64_t there_and_back(uint64_t gfn)
{
    return ipa_gfn(ipa_from_gfn(gfn));
}

/* log_set on some bits of one word. */
/*@ requires gfn < LOG_GFN_END && 1 <= pages;
    requires first < LOG_WORD_PAGES && first == gfn % LOG_WORD_PAGES;
    requires pages <= LOG_WORD_PAGES - first;
    requires \valid(marked + (gfn .. gfn + pages - 1));
    assigns marked[gfn .. gfn + pages - 1];
    ensures \forall integer p; gfn <= p < gfn + pages ==> marked[p] == 1; */
void set_bits(unsigned char *marked, uint64_t gfn, unsigned first, unsigned pages);

/* log_mark_range: marks the pages of the range and no others, whatever its ends. */
/*@ requires begin <= end <= GFNS;
    requires \valid(marked + (0 .. GFNS - 1));
    assigns marked[begin .. end - 1];
    ensures \forall integer p; begin <= p < end ==> marked[p] == 1; */
void mark_range(unsigned char *marked, uint64_t begin, uint64_t end)
{
    unsigned pages;

    /*@ loop invariant begin <= gfn <= end;
        loop invariant \forall integer p; begin <= p < gfn ==> marked[p] == 1;
        loop assigns gfn, pages, marked[begin .. end - 1];
        loop variant end - gfn; */
    for (uint64_t gfn = begin; gfn < end; gfn += pages) {
        pages = log_word_pages(gfn, end);
        set_bits(marked, gfn, log_bit_of(gfn), pages);
    }
}

/* The words of one run: all in one summary word, from that of gfn to that of the last page. */
/*@ requires LOG_WORD_PAGES <= end <= GFNS && gfn < end && gfn % LOG_WORD_PAGES == 0;
    requires (end - 1) / LOG_RUN_PAGES == gfn / LOG_RUN_PAGES;
    assigns \nothing;
    ensures \result == (end - 1) / LOG_WORD_PAGES - gfn / LOG_WORD_PAGES + 1; */
unsigned words_of_run(uint64_t gfn, uint64_t end)
{
    /*@ assert gfn % LOG_CHUNK_PAGES == gfn / LOG_RUN_PAGES % 8 * LOG_RUN_PAGES + gfn % LOG_RUN_PAGES; */
    /*@ assert (end - 1) % LOG_CHUNK_PAGES ==
               gfn / LOG_RUN_PAGES % 8 * LOG_RUN_PAGES + (end - 1) % LOG_RUN_PAGES; */
    /*@ assert gfn % LOG_CHUNK_PAGES / LOG_WORD_PAGES ==
               gfn / LOG_RUN_PAGES % 8 * 64 + gfn % LOG_RUN_PAGES / LOG_WORD_PAGES; */
    /*@ assert (end - 1) % LOG_CHUNK_PAGES / LOG_WORD_PAGES ==
               gfn / LOG_RUN_PAGES % 8 * 64 + (end - 1) % LOG_RUN_PAGES / LOG_WORD_PAGES; */
    unsigned word = log_word_of(gfn);
    unsigned count = log_word_of(end - 1) + 1 - word;

    (void)log_bits(word % 64, count); /* what it requires is a goal here */
    return count;
}

/* take_chunk and look: runs follow each other without a gap, the last one may end within a word. */
/*@ requires begin < end <= GFNS && begin % LOG_WORD_PAGES == 0;
    requires \valid(marked + (0 .. GFNS - 1));
    assigns marked[begin .. end - 1];
    ensures \forall integer p; begin <= p < end ==> marked[p] == 1; */
void take_runs(unsigned char *marked, uint64_t begin, uint64_t end)
{
    uint64_t at = begin;

    /*@ loop invariant begin <= at <= end;
        loop invariant at == end || at % LOG_WORD_PAGES == 0;
        loop invariant \forall integer p; begin <= p < at ==> marked[p] == 1;
        loop assigns at, marked[begin .. end - 1];
        loop variant end - at; */
    while (at < end) {
        uint64_t run_end = log_run_end(at, end);

        /*@ loop invariant at <= page <= run_end;
            loop invariant \forall integer p; begin <= p < page ==> marked[p] == 1;
            loop assigns page, marked[at .. run_end - 1];
            loop variant run_end - page; */
        for (uint64_t page = at; page < run_end; page++) {
            marked[page] = 1;
        }
        at = run_end;
    }
}

/* store_words: the bytes of a word that was taken lie in the caller's buffer of pages / 8 bytes. */
/*@ requires first < LOG_GFN_END && pages <= LOG_CHUNK_PAGES;
    requires first % LOG_WORD_PAGES == 0 && pages % LOG_WORD_PAGES == 0;
    requires gfn % LOG_WORD_PAGES == 0 && first <= gfn < first + pages;
    assigns \nothing;
    ensures \result + 8 <= pages / 8;
    ensures \result * 8 == gfn - first; */
uint64_t offset_of_word(uint64_t first, uint64_t pages, uint64_t gfn)
{
    return (gfn - first) / 8;
}

/*
 * log_next_chunk: finds the first chunk with bitmaps from a page on, over holes between banks of
 * any size. Chunks exist only in groups that exist.
 */
/*@ requires groups <= GFNS / LOG_GROUP_PAGES && gfn < GFNS;
    requires \valid_read(group + (0 .. groups - 1));
    requires \valid_read(chunk + (0 .. groups * LOG_GROUP_CHUNKS - 1));
    requires \forall integer c; 0 <= c < groups * LOG_GROUP_CHUNKS && chunk[c] != 0 ==>
             group[c / LOG_GROUP_CHUNKS] != 0;
    assigns \nothing;
    ensures \result < groups * LOG_GROUP_PAGES ==>
            \result % LOG_CHUNK_PAGES == 0 && chunk[\result / LOG_CHUNK_PAGES] != 0 &&
            \result / LOG_CHUNK_PAGES >= gfn / LOG_CHUNK_PAGES;
    ensures \forall integer c; gfn / LOG_CHUNK_PAGES <= c < \result / LOG_CHUNK_PAGES &&
            c < groups * LOG_GROUP_CHUNKS ==> chunk[c] == 0; */
uint64_t next_chunk(const unsigned char *group, const unsigned char *chunk, uint64_t groups,
                    uint64_t gfn)
{
    const uint64_t end = groups * LOG_GROUP_PAGES;
    uint64_t at = log_chunk_begin(gfn);

    /*@ loop invariant at % LOG_CHUNK_PAGES == 0 && at <= GFNS;
        loop invariant gfn / LOG_CHUNK_PAGES <= at / LOG_CHUNK_PAGES;
        loop invariant \forall integer c; gfn / LOG_CHUNK_PAGES <= c < at / LOG_CHUNK_PAGES &&
                       c < groups * LOG_GROUP_CHUNKS ==> chunk[c] == 0;
        loop assigns at;
        loop variant end - at; */
    while (at < end) {
        uint64_t g = log_group_of(at);

        if (group[g] != 0 && chunk[g * LOG_GROUP_CHUNKS + log_chunk_index_of(at)] != 0) {
            return at;
        }
        at = group[g] == 0 ? log_group_end(at) : log_chunk_end(at);
    }
    return at;
}
