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
    s2_entry_t *middle;  /* the table of 2 MiB entries that led there last */
    uint64_t middle_gfn; /* its first gfn, or NO_MIDDLE */
};

#define NO_MIDDLE    (UINT64_C(1) << 63) /* far from every gfn */
#define MIDDLE_PAGES ((uint64_t)S2_ENTRIES * S2_ENTRIES)
_Static_assert(LOG_WORD_PAGES == 64, "a word is a run of s2_pte_closed_runs");

/* False: something else than leaf tables, or tables of them, decides about gfn. */
static bool find_middle(const struct s2_vm *vm, struct scan_run *run, uint64_t gfn)
{
    struct s2_pos pos = s2_find_at(vm, ipa_from_gfn(gfn), S2_LEVEL_2M);

    while (s2_is_in_transit(pos.old)) {
        port_cpu_relax();
        pos = s2_find_at(vm, ipa_from_gfn(gfn), S2_LEVEL_2M);
    }
    if (pos.level != S2_LEVEL_2M) {
        return false;
    }
    run->middle = pos.entry - (gfn >> S2_INDEX_SHIFT) % S2_ENTRIES;
    run->middle_gfn = gfn - gfn % MIDDLE_PAGES;
    return true;
}

/* The entry of gfn if a leaf table decides about it, else NULL. Tables stay: read lock. */
static s2_entry_t *find_page_entry(const struct s2_vm *vm, struct scan_run *run, uint64_t gfn)
{
    uint64_t old;

    if (gfn - run->middle_gfn >= MIDDLE_PAGES && !find_middle(vm, run, gfn)) {
        return NULL;
    }
    for (;;) {
        old = s2_entry_load(&run->middle[(gfn >> S2_INDEX_SHIFT) % S2_ENTRIES]);
        if (!s2_is_in_transit(old)) {
            break;
        }
        port_cpu_relax();
    }
    return s2_pte_is_table(old, S2_LEVEL_2M) ? s2_table_of(old, S2_LEVEL_2M) + gfn % S2_ENTRIES
                                             : NULL;
}

/* The next run with tracked pages in gfns [gfn, end). Unsplit blocks and other tables are skipped.
 */
static bool next_run(struct s2_vm *vm, uint64_t gfn, uint64_t end, struct scan_run *run)
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
        run->entries = find_page_entry(vm, run, gfn);
        if (run->entries != NULL) {
            run->chunk = chunk;
            run->gfn = gfn;
            run->pages = (unsigned)((table_end < end ? table_end : end) - gfn);
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

static void mark_word(struct s2_vm *vm, struct s2_gather *gather, struct dirty_log_chunk *chunk,
                      uint64_t gfn, uint64_t dirty)
{
    unsigned first = (unsigned)__builtin_ctzll(dirty);
    unsigned end = 64 - (unsigned)__builtin_clzll(dirty);

    /* Clean pages between are invalidated too: one range is cheaper than many. */
    s2_gather_add(gather, ipa_from_gfn(gfn + first), (uint64_t)(end - first) << PAGE_SHIFT,
                  PAGE_SIZE_BYTES);
    dirty = log_set_found(vm, chunk, gfn, dirty);
    log_count_bits(vm, DIRTY_WRITER_HARDWARE, log_bit_count(dirty));
}

/* Collects the open pages of a word: page i of the run is its first. Whether there were any. */
static __attribute__((noinline)) bool collect_word(struct s2_vm *vm, struct s2_gather *gather,
                                                   const struct scan_run *run, unsigned i,
                                                   uint64_t open)
{
    s2_entry_t *entries = run->entries + i;
    uint64_t gfn = run->gfn + i, dirty = 0;

    if (open == ~UINT64_C(0)) {
        for (unsigned bit = 0; bit < LOG_WORD_PAGES; bit += 8) {
            dirty |= take_few(vm, &entries[bit], gfn + bit) << bit;
        }
    } else {
        for (; open != 0; open &= open - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(open);

            dirty |= (uint64_t)take_page(vm, &entries[bit], gfn + bit) << bit;
        }
    }
    if (dirty != 0) {
        mark_word(vm, gather, run->chunk, gfn, dirty);
    }
    return dirty != 0;
}

void log_collect(struct s2_vm *vm, struct s2_gather *gather, uint64_t gfn, uint64_t end)
{
    struct scan_run run = {.middle_gfn = NO_MIDDLE};
    uint64_t open = 0;

    end = (end + LOG_WORD_PAGES - 1) & ~(uint64_t)(LOG_WORD_PAGES - 1);
    for (; next_run(vm, gfn, end, &run); gfn = run.gfn + run.pages) {
        bool found = false;

        for (unsigned i = 0; i < run.pages; i += LOG_WORD_PAGES) {
            i += LOG_WORD_PAGES *
                 s2_pte_closed_runs(&run.entries[i], (run.pages - i) / LOG_WORD_PAGES, &open);
            if (i < run.pages) {
                found |= collect_word(vm, gather, &run, i, open);
            }
        }
        if (found) {
            log_set_top(vm, run.gfn);
        }
    }
}

/* A closed page becomes one of the sample, or no longer is; left alone if it is open by now. */
static void place_page(struct s2_vm *vm, struct s2_gather *gather, s2_entry_t *entry, uint64_t gfn,
                       bool in_sample)
{
    struct s2_pos pos = {.entry = entry, .base = ipa_from_gfn(gfn), .level = S2_LEVEL_PAGE};

    pos.old = s2_entry_load(entry);
    if (!s2_pte_is_page(pos.old, S2_RAM_RW, false) || s2_pte_is_tracked(pos.old) != in_sample) {
        return;
    }
    if (!in_sample) {
        /* An old translation only faults, and the fault finds a tracked page. */
        (void)s2_entry_swap(vm, &pos, s2_pte_tracked(pos.old));
    } else if (s2_entry_swap(vm, &pos, s2_pte_untracked(pos.old))) {
        s2_gather_add(gather, pos.base, PAGE_SIZE_BYTES, PAGE_SIZE_BYTES);
    }
}

void log_place_sample(struct s2_vm *vm, struct s2_gather *gather, uint64_t gfn, uint64_t end)
{
    struct scan_run run = {.middle_gfn = NO_MIDDLE};

    end = (end + LOG_WORD_PAGES - 1) & ~(uint64_t)(LOG_WORD_PAGES - 1);
    for (; next_run(vm, gfn, end, &run); gfn = run.gfn + run.pages) {
        for (unsigned i = 0; i < run.pages; i++) {
            unsigned sampled = log_sampled_page(&vm->log, run.gfn + i);

            place_page(vm, gather, &run.entries[i], run.gfn + i, i % LOG_WORD_PAGES == sampled);
        }
    }
}

uint64_t log_look(struct s2_vm *vm, uint64_t gfn)
{
    struct scan_run run = {.middle_gfn = NO_MIDDLE};
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
