/* SPDX-License-Identifier: MIT */
/*
 * What taking marks does to descriptors: closes the pages of whole words in their leaf tables, and
 * whatever decides about a page elsewhere, and gathers what is to be invalidated for it. Included
 * by harvest.c alone, into whose loops it is inlined.
 */
#ifndef CORE_PROTECT_H
#define CORE_PROTECT_H

#include <core/dirty_log.h>

#include "entry.h"
#include "gather.h"
#include "log.h"
#include "walk.h"

/* Far from every gfn. */
#define NO_MIDDLE    (UINT64_C(1) << 63)
#define MIDDLE_PAGES ((uint64_t)S2_ENTRIES * S2_ENTRIES)
#define TABLE_WORDS  (S2_ENTRIES / LOG_WORD_PAGES)
_Static_assert(MIDDLE_PAGES % LOG_RUN_PAGES == 0, "one table of 2 MiB entries for a whole run");

struct protect {
    struct s2_vm *vm;
    struct s2_gather gather;
    uint64_t middle_gfn; /* first gfn of the table of 2 MiB entries at middle, or NO_MIDDLE */
    s2_entry_t *middle;
};

static inline void protect_init(struct protect *protect, struct s2_vm *vm)
{
    protect->vm = vm;
    protect->middle = NULL;
    protect->middle_gfn = NO_MIDDLE;
    s2_gather_init(&protect->gather, vm);
}

/* Write-protects what decides about gfn, page or block, if it is open. */
static inline void protect_entry(struct protect *protect, uint64_t gfn)
{
    struct s2_vm *vm = protect->vm;

    for (;;) {
        /* From the root each time: a block may have become a table meanwhile. */
        struct s2_pos pos = s2_find(vm, ipa_from_gfn(gfn));

        if (s2_is_in_transit(pos.old)) {
            /* Never skipped: what is being linked was made from the open leaf. */
            port_cpu_relax();
        } else if (!s2_pos_is_leaf(&pos) || !s2_pte_is_writable(pos.old, pos.level) ||
                   s2_pte_type(pos.old, pos.level) != S2_RAM_RW) {
            return;
        } else if (s2_entry_swap(vm, &pos, s2_pte_closed(pos.old, pos.level))) {
            s2_gather_add(&protect->gather, pos.base, s2_level_bytes(pos.level),
                          s2_level_bytes(pos.level));
            return;
        }
    }
}

/*
 * The 2 MiB entries for the run that begins at gfn; there are none, or not yet: some that hold
 * nothing. Tables stay while we hold the read lock.
 */
static inline const s2_entry_t *find_middle(struct protect *protect, uint64_t gfn)
{
    static const s2_entry_t nothing[LOG_RUN_PAGES / S2_ENTRIES];

    if (gfn - protect->middle_gfn >= MIDDLE_PAGES) {
        struct s2_pos pos = s2_find_at(protect->vm, ipa_from_gfn(gfn), S2_LEVEL_2M);

        if (pos.level != S2_LEVEL_2M) {
            return nothing;
        }
        protect->middle = pos.entry - (gfn >> S2_INDEX_SHIFT) % S2_ENTRIES;
        protect->middle_gfn = gfn & ~(MIDDLE_PAGES - 1);
    }
    return protect->middle + (gfn >> S2_INDEX_SHIFT) % S2_ENTRIES;
}

/* Protects page by page, from the root: where there is no leaf table. */
__attribute__((noinline, unused)) static void protect_block(struct protect *protect, uint64_t gfn,
                                                            uint64_t word)
{
    for (; word != 0; word &= word - 1) {
        protect_entry(protect, gfn + (unsigned)__builtin_ctzll(word));
    }
}

/* Returns what the descriptor held. */
static inline uint64_t close_page(struct s2_vm *vm, s2_entry_t *leaves, uint64_t gfn, unsigned i)
{
    return s2_entry_close(vm, leaves + i, ipa_from_gfn(gfn + i));
}

/* All of a word, as straight code: most often it is so. */
static inline bool close_whole_word(struct s2_vm *vm, s2_entry_t *leaves, uint64_t gfn)
{
    bool opened = false;

    for (unsigned i = 0; i < LOG_WORD_PAGES; i += 4) {
        opened |= s2_pte_is_writable(close_page(vm, leaves, gfn, i), S2_LEVEL_PAGE);
        opened |= s2_pte_is_writable(close_page(vm, leaves, gfn, i + 1), S2_LEVEL_PAGE);
        opened |= s2_pte_is_writable(close_page(vm, leaves, gfn, i + 2), S2_LEVEL_PAGE);
        opened |= s2_pte_is_writable(close_page(vm, leaves, gfn, i + 3), S2_LEVEL_PAGE);
    }
    return opened;
}

/* Words of one run on their way out of the log. */
struct taking {
    uint64_t first;            /* gfn */
    const s2_entry_t *middle;  /* its 2 MiB entries */
    struct dirty_log_word *to; /* behind the last word taken */
    uint64_t pages;            /* of them */
    bool opened;               /* pages were open in leaf tables */
};

/*
 * Protects the pages of word i of the run. What is marked is RAM, and no leaf of a table changes
 * its type while we hold the read lock: so no look before the change.
 */
static inline void protect_word(struct protect *protect, struct taking *taking, unsigned i,
                                uint64_t word, bool hardware)
{
    uint64_t table = s2_entry_load(&taking->middle[i / TABLE_WORDS]);
    uint64_t gfn = taking->first + (uint64_t)i * LOG_WORD_PAGES;
    s2_entry_t *leaves;

    if (!s2_pte_is_table(table, S2_LEVEL_2M)) {
        protect_block(protect, gfn, word);
    } else if (!hardware) { /* tracked pages: what log_collect left open was written to since */
        leaves = s2_table_of(table, S2_LEVEL_2M) + (uint64_t)(i % TABLE_WORDS) * LOG_WORD_PAGES;
        if ((word & (word - 1)) == 0) {
            taking->pages++;
            taking->opened |= s2_pte_is_writable(
                close_page(protect->vm, leaves, gfn, (unsigned)__builtin_ctzll(word)),
                S2_LEVEL_PAGE);
            return;
        }
        if (word == ~UINT64_C(0)) {
            taking->pages += LOG_WORD_PAGES;
            taking->opened |= close_whole_word(protect->vm, leaves, gfn);
            return;
        }
        for (uint64_t left = word; left != 0; left &= left - 1) {
            taking->opened |= s2_pte_is_writable(
                close_page(protect->vm, leaves, gfn, (unsigned)__builtin_ctzll(left)),
                S2_LEVEL_PAGE);
        }
    }
    taking->pages += log_bit_count(word);
}

/* The invalidations for words [from, to), each from its first page to its last. */
static inline void gather_words(struct protect *protect, const struct dirty_log_word *from,
                                const struct dirty_log_word *to)
{
    for (; from < to && !protect->gather.all; from++) {
        unsigned first = (unsigned)__builtin_ctzll(from->bits);
        uint64_t pages = 64 - first - (unsigned)__builtin_clzll(from->bits);

        s2_gather_add_range(&protect->gather, ipa_from_gfn(from->gfn + first), pages << PAGE_SHIFT,
                            PAGE_SIZE_BYTES);
    }
}

#endif
