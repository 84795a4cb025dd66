/* SPDX-License-Identifier: MIT */
/* Taking marks: take, write-protect, invalidate once, and only then return
 * (docs/design/dirty-log.md). */
#include <core/dirty_log.h>

#include "entry.h"
#include "gather.h"
#include "lock.h"
#include "log.h"
#include "scan.h"
#include "track.h"

/* What one call can take in any case, where the hardware's notes have to be looked for. */
#define SCAN_PAGES (DIRTY_LOG_WORDS * LOG_WORD_PAGES)
_Static_assert(SCAN_PAGES % LOG_RUN_PAGES == 0, "whole runs");

/* Far from every gfn. */
#define NO_MIDDLE    (UINT64_C(1) << 63)
#define MIDDLE_PAGES ((uint64_t)S2_ENTRIES * S2_ENTRIES)
#define TABLE_WORDS  (S2_ENTRIES / LOG_WORD_PAGES)
_Static_assert(DIRTY_LOG_WORDS >= 64, "a summary word is taken whole");
_Static_assert(MIDDLE_PAGES % LOG_RUN_PAGES == 0, "one table of 2 MiB entries for a whole run");

/* Where one call of take stands. */
struct harvest {
    struct s2_vm *vm;
    struct s2_gather gather;
    uint64_t middle_gfn; /* first gfn of the table of 2 MiB entries at middle, or NO_MIDDLE */
    s2_entry_t *middle;
    struct dirty_log_word *words;
    unsigned count;  /* of words */
    unsigned looked; /* words that were looked at: what bounds a call */
    uint64_t taken;  /* pages */
};

/* Write-protects what decides about gfn, page or block, if it is open. */
static void protect(struct harvest *harvest, uint64_t gfn)
{
    struct s2_vm *vm = harvest->vm;

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
            s2_gather_add(&harvest->gather, pos.base, s2_level_bytes(pos.level),
                          s2_level_bytes(pos.level));
            return;
        }
    }
}

/*
 * The 2 MiB entries for the run that begins at gfn; there are none, or not yet: some that hold
 * nothing. Tables stay while we hold the read lock.
 */
static inline const s2_entry_t *find_middle(struct harvest *harvest, uint64_t gfn)
{
    static const s2_entry_t nothing[LOG_RUN_PAGES / S2_ENTRIES];

    if (gfn - harvest->middle_gfn >= MIDDLE_PAGES) {
        struct s2_pos pos = s2_find_at(harvest->vm, ipa_from_gfn(gfn), S2_LEVEL_2M);

        if (pos.level != S2_LEVEL_2M) {
            return nothing;
        }
        harvest->middle = pos.entry - (gfn >> S2_INDEX_SHIFT) % S2_ENTRIES;
        harvest->middle_gfn = gfn & ~(MIDDLE_PAGES - 1);
    }
    return harvest->middle + (gfn >> S2_INDEX_SHIFT) % S2_ENTRIES;
}

/* Protects page by page, from the root: where there is no leaf table. */
__attribute__((noinline)) static void protect_block(struct harvest *harvest, uint64_t gfn,
                                                    uint64_t word)
{
    for (; word != 0; word &= word - 1) {
        protect(harvest, gfn + (unsigned)__builtin_ctzll(word));
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
static inline void protect_word(struct harvest *harvest, struct taking *taking, unsigned i,
                                uint64_t word, bool hardware)
{
    uint64_t table = s2_entry_load(&taking->middle[i / TABLE_WORDS]);
    uint64_t gfn = taking->first + (uint64_t)i * LOG_WORD_PAGES;
    s2_entry_t *leaves;

    if (!s2_pte_is_table(table, S2_LEVEL_2M)) {
        protect_block(harvest, gfn, word);
    } else if (!hardware) { /* tracked pages: what log_collect left open was written to since */
        leaves = s2_table_of(table, S2_LEVEL_2M) + (uint64_t)(i % TABLE_WORDS) * LOG_WORD_PAGES;
        if ((word & (word - 1)) == 0) {
            taking->pages++;
            taking->opened |= s2_pte_is_writable(
                close_page(harvest->vm, leaves, gfn, (unsigned)__builtin_ctzll(word)),
                S2_LEVEL_PAGE);
            return;
        }
        if (word == ~UINT64_C(0)) {
            taking->pages += LOG_WORD_PAGES;
            taking->opened |= close_whole_word(harvest->vm, leaves, gfn);
            return;
        }
        for (uint64_t left = word; left != 0; left &= left - 1) {
            taking->opened |= s2_pte_is_writable(
                close_page(harvest->vm, leaves, gfn, (unsigned)__builtin_ctzll(left)),
                S2_LEVEL_PAGE);
        }
    }
    taking->pages += log_bit_count(word);
}

/* The invalidations for words [from, to), each from its first page to its last. */
static void gather_words(struct harvest *harvest, const struct dirty_log_word *from,
                         const struct dirty_log_word *to)
{
    for (; from < to && !harvest->gather.all; from++) {
        unsigned first = (unsigned)__builtin_ctzll(from->bits);
        uint64_t pages = 64 - first - (unsigned)__builtin_clzll(from->bits);

        s2_gather_add_range(&harvest->gather, ipa_from_gfn(from->gfn + first), pages << PAGE_SHIFT,
                            PAGE_SIZE_BYTES);
    }
}

/* What an earlier session took is committed: forget it now, where it costs least. */
static void begin_chunk(const struct dirty_log *log, struct dirty_log_chunk *chunk)
{
    if (chunk->taken_epoch != log->epoch) {
        for (unsigned i = 0; i < DIRTY_LOG_SUMMARY_WORDS; i++) {
            chunk->taken_summary[i] = 0;
        }
        chunk->taken_epoch = log->epoch;
    }
}

/*
 * Keeps what was taken of a word until commit, and hands it out. before: the words in which this
 * session had taken bits.
 */
static inline void keep_word(struct taking *taking, _Atomic uint64_t *kept, unsigned i,
                             uint64_t taken, uint64_t before)
{
    uint64_t keep = taken;

    /* Relaxed: the session's calls come one after the other. */
    if ((before >> i & 1) != 0) {
        keep |= atomic_load_explicit(kept, memory_order_relaxed);
    }
    atomic_store_explicit(kept, keep, memory_order_relaxed);
    taking->to->gfn = taking->first + (uint64_t)i * LOG_WORD_PAGES;
    taking->to->bits = taken;
}

/*
 * Takes the words of a run that summary has; the last of them only as far as end. Returns those
 * that turned out to be empty. Inlined for the cases that matter, with what is constant there.
 */
static inline __attribute__((always_inline)) uint64_t
take_run(struct harvest *harvest, struct dirty_log_chunk *chunk, struct taking *taking,
         uint64_t summary, uint64_t end, uint64_t before, bool hardware)
{
    _Atomic uint64_t *bits = chunk->bits + log_word_of(taking->first);
    struct taking now = *taking; /* in registers */
    uint64_t empty = 0;

    for (uint64_t left = summary; left != 0; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        uint64_t at = now.first + (uint64_t)i * LOG_WORD_PAGES, taken;
        _Atomic uint64_t *word = &bits[i];

        taken = at + LOG_WORD_PAGES <= end
                    ? log_take_whole_word(word)
                    : log_take_word(harvest->vm, chunk, at, log_bits(0, log_word_pages(at, end)));
        if (taken == 0) {
            empty |= left & -left;
            continue;
        }
        keep_word(&now, word + DIRTY_LOG_CHUNK_WORDS, i, taken, before);
        protect_word(harvest, &now, i, taken, hardware);
        now.to++;
    }
    *taking = now;
    return empty;
}

/* Where a word is taken in part, or not for the first time in its session. */
static __attribute__((noinline)) uint64_t take_odd_run(struct harvest *harvest,
                                                       struct dirty_log_chunk *chunk,
                                                       struct taking *taking, uint64_t summary,
                                                       uint64_t end, uint64_t before)
{
    return take_run(harvest, chunk, taking, summary, end, before,
                    harvest->vm->log.options.hardware);
}

/* Takes gfns [gfn, end), for which one summary word stands. */
static void take_words(struct harvest *harvest, struct dirty_log_chunk *chunk, uint64_t gfn,
                       uint64_t end)
{
    unsigned word = log_word_of(gfn);
    uint64_t mask = log_bits(word % 64, log_word_of(end - 1) + 1 - word);
    uint64_t summary = log_take_summary(chunk, word / 64, mask);
    uint64_t before = chunk->taken_summary[word / 64], empty;
    struct dirty_log_word *from = harvest->words + harvest->count;
    struct taking taking = {.first = gfn - gfn % LOG_RUN_PAGES, .to = from};

    if (summary == 0) {
        return;
    }
    taking.middle = find_middle(harvest, taking.first);
    if (before != 0 || end % LOG_WORD_PAGES != 0) {
        empty = take_odd_run(harvest, chunk, &taking, summary, end, before);
    } else if (harvest->vm->log.options.hardware) {
        empty = take_run(harvest, chunk, &taking, summary, UINT64_MAX, 0, true);
    } else {
        empty = take_run(harvest, chunk, &taking, summary, UINT64_MAX, 0, false);
    }
    if (taking.opened) {
        gather_words(harvest, from, taking.to);
    }
    chunk->taken_summary[word / 64] = before | (summary & ~empty);
    harvest->looked += (unsigned)(taking.to - from) + log_bit_count(empty);
    harvest->count = (unsigned)(taking.to - harvest->words);
    harvest->taken += taking.pages;
}

/* Takes gfns [gfn, end) of one chunk while there is room. Returns where it stopped. */
static uint64_t take_chunk(struct harvest *harvest, uint64_t gfn, uint64_t end)
{
    struct s2_vm *vm = harvest->vm;
    struct dirty_log_chunk *chunk = log_chunk_of(vm, gfn);
    uint64_t at = gfn;

    log_take_top(vm, gfn);
    begin_chunk(&vm->log, chunk);
    while (at < end && harvest->looked + 64 <= DIRTY_LOG_WORDS) {
        uint64_t run_end = log_run_end(at, end);

        /* Missing a mark that is being set is harmless: the last look below finds it. */
        if (atomic_load_explicit(&chunk->summary[log_word_of(at) / 64], memory_order_relaxed) !=
            0) {
            take_words(harvest, chunk, at, run_end);
        }
        at = run_end;
    }
    /* What was left, or was marked meanwhile: its summary bit was set before its bit in top. */
    for (unsigned i = 0; i < DIRTY_LOG_SUMMARY_WORDS; i++) {
        if (atomic_load_explicit(&chunk->summary[i], memory_order_relaxed) != 0) {
            log_set_top(vm, gfn);
            break;
        }
    }
    return at;
}

/* Takes gfns [gfn, end) while there is room. Returns where it stopped. */
static uint64_t take_range(struct harvest *harvest, uint64_t gfn, uint64_t end)
{
    while ((gfn = log_next_marked(harvest->vm, gfn, end)) < end) {
        uint64_t stop = log_chunk_end(gfn) < end ? log_chunk_end(gfn) : end;

        gfn = take_chunk(harvest, gfn, stop);
        if (gfn < stop) {
            break;
        }
    }
    return gfn;
}

static void begin_take(struct harvest *harvest, struct s2_vm *vm, struct dirty_log_word *words)
{
    harvest->vm = vm;
    harvest->middle = NULL;
    harvest->middle_gfn = NO_MIDDLE;
    harvest->words = words;
    harvest->count = 0;
    harvest->looked = 0;
    harvest->taken = 0;
    s2_gather_init(&harvest->gather, vm);
}

/* Hands what the hardware has noted to the log, and chooses the pages it is to note next. */
static void collect_range(struct harvest *harvest, uint64_t gfn, uint64_t end)
{
    log_collect(harvest->vm, &harvest->gather, gfn, end);
    if (harvest->vm->log.sample != LOG_SAMPLE_NEVER) {
        log_place_sample(harvest->vm, &harvest->gather, gfn, end);
    }
}

/*
 * Hands what the hardware has noted in the next pages to the log. Returns where to begin to take
 * and in *end where to stop.
 */
static uint64_t collect(struct harvest *harvest, uint64_t gfn, uint64_t *end)
{
    gfn = log_next_noted(harvest->vm, gfn, *end);
    if (*end - gfn > SCAN_PAGES) {
        *end = gfn - gfn % LOG_RUN_PAGES + SCAN_PAGES;
    }
    collect_range(harvest, gfn, *end);
    return gfn;
}

/* The caller's session is still there: turning logging off ends it. Read lock. */
static bool may_take(const struct s2_vm *vm)
{
    return log_state(vm) == DIRTY_LOG_ON &&
           atomic_load_explicit(&vm->log.session, memory_order_relaxed) && /* caller's own */
           vm->log.returned_to == 0;
}

/* What ends a take, before pinned pages are marked again. Read lock. */
static void finish_take(struct harvest *harvest, struct s2_cpu_line *line)
{
    /* Before anybody reads the pages that we report: no CPU writes through an old entry. */
    s2_gather_flush(&harvest->gather);
    s2_count_by(&line->harvested, harvest->taken);
}

unsigned dirty_log_harvest_words(struct s2_vm *vm, uint64_t *gfn, uint64_t end,
                                 struct dirty_log_word words[DIRTY_LOG_WORDS], uint64_t *ret_pages)
{
    struct s2_cpu_line *line = s2_read_lock(vm);
    uint64_t limit = log_limit(vm, end);
    struct harvest harvest;

    begin_take(&harvest, vm, words);
    if (may_take(vm) && *gfn < limit) {
        uint64_t stop_at = limit;
        uint64_t start = vm->log.options.hardware ? collect(&harvest, *gfn, &stop_at) : *gfn;
        uint64_t stop = take_range(&harvest, start, stop_at);

        track_words(vm, words, harvest.count);
        finish_take(&harvest, line);
        if (harvest.count != 0) {
            log_mark_pinned_words(vm, words, harvest.count, harvest.taken);
        }
        *gfn = stop < limit ? stop : end;
    } else {
        *gfn = end;
    }
    s2_read_unlock(line);
    *ret_pages = harvest.taken;
    return harvest.count;
}

uint64_t dirty_log_harvest_take(struct s2_vm *vm, uint64_t first, uint64_t pages, uint8_t *bits)
{
    struct dirty_log_word words[DIRTY_LOG_WORDS];
    struct s2_cpu_line *line = s2_read_lock(vm);
    uint64_t limit = log_limit(vm, first + pages);
    struct harvest harvest;

    __builtin_memset(bits, 0, pages / 8);
    begin_take(&harvest, vm, words);
    if (may_take(vm) && first < limit) {
        if (vm->log.options.hardware) {
            collect_range(&harvest, first, limit);
        }
        for (uint64_t gfn = first; gfn < limit;) {
            harvest.count = 0;
            harvest.looked = 0;
            gfn = take_range(&harvest, gfn, limit);
            track_words(vm, words, harvest.count);
            log_store_words(bits, first, words, harvest.count);
        }
        finish_take(&harvest, line);
        log_mark_pinned(vm, first, pages);
    }
    s2_read_unlock(line);
    return harvest.taken;
}
