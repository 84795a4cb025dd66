/* SPDX-License-Identifier: MIT */
#include "scan.h"

#include "entry.h"
#include "log.h"

/* Pages of one leaf table. */
struct scan_run {
    s2_entry_t *entries;
    struct dirty_log_chunk *chunk;
    uint64_t gfn; /* of the first */
    unsigned pages;
};

/* The entry of gfn if a leaf table decides about it, else NULL. */
static s2_entry_t *find_page_entry(const struct s2_vm *vm, uint64_t gfn)
{
    struct s2_pos pos = s2_find(vm, ipa_from_gfn(gfn));

    while (s2_is_in_transit(pos.old)) {
        port_cpu_relax();
        pos = s2_find(vm, ipa_from_gfn(gfn));
    }
    return pos.level == S2_LEVEL_PAGE ? pos.entry : NULL;
}

/* The next run with tracked pages in gfns [gfn, end). Unsplit blocks and other tables are skipped.
 */
static bool next_run(struct s2_vm *vm, uint64_t gfn, uint64_t end, struct scan_run *ret_run)
{
    while (gfn < end) {
        struct dirty_log_chunk *chunk = log_chunk_at(vm, gfn);
        unsigned table = log_table_of(gfn);
        uint64_t tracked = chunk == NULL ? 0 : log_tracked(chunk) >> table;
        uint64_t table_end = (gfn | (S2_ENTRIES - 1)) + 1;

        if (tracked == 0) {
            gfn = log_chunk_end(gfn);
            continue;
        }
        if ((tracked & 1) == 0) {
            gfn = table_end + (uint64_t)(__builtin_ctzll(tracked) - 1) * S2_ENTRIES;
            continue;
        }
        ret_run->entries = find_page_entry(vm, gfn);
        if (ret_run->entries != NULL) {
            ret_run->chunk = chunk;
            ret_run->gfn = gfn;
            ret_run->pages = (unsigned)((table_end < end ? table_end : end) - gfn);
            return true;
        }
        gfn = table_end;
    }
    return false;
}

/*
 * Closes the page if it is dirty, and says whether it was. What is tracked stays so while we hold
 * the lock, so of what it held until then only the permission is news.
 */
static inline bool take_page(struct s2_vm *vm, s2_entry_t *entry, uint64_t gfn)
{
    /* Relaxed: only a look before writing; s2_entry_close orders. */
    uint64_t seen = atomic_load_explicit(entry, memory_order_relaxed);

    return s2_is_dirty(seen, S2_LEVEL_PAGE) &&
           s2_pte_is_writable(s2_entry_close(vm, entry, ipa_from_gfn(gfn)), S2_LEVEL_PAGE);
}

/* A few pages as straight code: which bit each has is known then. */
static inline uint64_t take_few(struct s2_vm *vm, s2_entry_t *entries, uint64_t gfn)
{
    uint64_t dirty = 0;

    dirty |= (uint64_t)take_page(vm, &entries[0], gfn) << 0;
    dirty |= (uint64_t)take_page(vm, &entries[1], gfn + 1) << 1;
    dirty |= (uint64_t)take_page(vm, &entries[2], gfn + 2) << 2;
    dirty |= (uint64_t)take_page(vm, &entries[3], gfn + 3) << 3;
    dirty |= (uint64_t)take_page(vm, &entries[4], gfn + 4) << 4;
    dirty |= (uint64_t)take_page(vm, &entries[5], gfn + 5) << 5;
    dirty |= (uint64_t)take_page(vm, &entries[6], gfn + 6) << 6;
    dirty |= (uint64_t)take_page(vm, &entries[7], gfn + 7) << 7;
    return dirty;
}

static __attribute__((noinline)) uint64_t take_pages(struct s2_vm *vm, s2_entry_t *entries,
                                                     uint64_t gfn)
{
    uint64_t dirty = 0;

    for (unsigned i = 0; i < S2_PAGES_AT_ONCE; i += 8) {
        dirty |= take_few(vm, &entries[i], gfn + i) << i;
    }
    return dirty;
}

/* The same for 64 pages; nearly always all are clean. */
static inline uint64_t take_word(struct s2_vm *vm, s2_entry_t *entries, uint64_t gfn)
{
    uint64_t dirty = 0;

    for (unsigned i = 0; i < 64; i += S2_PAGES_AT_ONCE) {
        if (__builtin_expect(!s2_pte_pages_are_closed(&entries[i]), 0)) {
            dirty |= take_pages(vm, &entries[i], gfn + i) << i;
        }
    }
    return dirty;
}

static __attribute__((noinline)) void mark_word(struct s2_vm *vm, struct s2_gather *gather,
                                                struct dirty_log_chunk *chunk, uint64_t gfn,
                                                uint64_t dirty)
{
    unsigned first = (unsigned)__builtin_ctzll(dirty);
    unsigned end = 64 - (unsigned)__builtin_clzll(dirty);

    /* Clean pages between are invalidated too: one range is cheaper than many. */
    s2_gather_add(gather, ipa_from_gfn(gfn + first), (uint64_t)(end - first) << PAGE_SHIFT,
                  PAGE_SIZE_BYTES);
    dirty = log_set(vm, chunk, gfn, dirty);
    log_count_bits(vm, DIRTY_WRITER_HARDWARE, log_bit_count(dirty));
}

void log_collect(struct s2_vm *vm, struct s2_gather *gather, uint64_t gfn, uint64_t end)
{
    struct scan_run run;

    end = (end + LOG_WORD_PAGES - 1) & ~(uint64_t)(LOG_WORD_PAGES - 1);
    for (; next_run(vm, gfn, end, &run); gfn = run.gfn + run.pages) {
        for (unsigned i = 0; i < run.pages; i += LOG_WORD_PAGES) {
            uint64_t dirty = take_word(vm, &run.entries[i], run.gfn + i);

            if (dirty != 0) {
                mark_word(vm, gather, run.chunk, run.gfn + i, dirty);
            }
        }
    }
}

uint64_t log_look(struct s2_vm *vm, uint64_t gfn)
{
    struct scan_run run;
    uint64_t dirty = 0;

    if (!next_run(vm, gfn, gfn + 64, &run)) {
        return 0;
    }
    for (unsigned group = 0; group < 64; group += S2_PAGES_AT_ONCE) {
        if (s2_pte_pages_are_closed(&run.entries[group])) {
            continue;
        }
        for (unsigned i = group; i < group + S2_PAGES_AT_ONCE; i++) {
            dirty |= (uint64_t)s2_is_dirty(s2_entry_load(&run.entries[i]), S2_LEVEL_PAGE) << i;
        }
    }
    return dirty;
}
