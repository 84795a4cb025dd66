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
#define NO_TABLE (UINT64_C(1) << 63)
_Static_assert(DIRTY_LOG_WORDS >= 64, "a summary word is taken whole");

/* Where one call of take stands. */
struct harvest {
    struct s2_vm *vm;
    struct s2_gather gather;
    uint64_t middle_gfn; /* first gfn of the table of 2 MiB entries at middle, or NO_TABLE */
    s2_entry_t *middle;
    uint64_t table_gfn; /* first gfn of the leaf table at leaves, or NO_TABLE */
    s2_entry_t *leaves;
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
 * Finds the leaf table of gfn, once for all words that lie in it, from the table above it. False:
 * there is none, or not yet. Tables stay while we hold the read lock.
 */
static inline bool find_leaves(struct harvest *harvest, uint64_t gfn)
{
    uint64_t old;

    if (gfn - harvest->middle_gfn >= S2_ENTRIES * S2_ENTRIES) {
        struct s2_pos pos = s2_find_at(harvest->vm, ipa_from_gfn(gfn), S2_LEVEL_2M);

        if (pos.level != S2_LEVEL_2M) {
            return false;
        }
        harvest->middle = pos.entry - (gfn >> S2_INDEX_SHIFT) % S2_ENTRIES;
        harvest->middle_gfn = gfn & ~(uint64_t)(S2_ENTRIES * S2_ENTRIES - 1);
    }
    old = s2_entry_load(&harvest->middle[(gfn >> S2_INDEX_SHIFT) % S2_ENTRIES]);
    if (!s2_pte_is_table(old, S2_LEVEL_2M)) {
        return false;
    }
    harvest->leaves = s2_table_of(old, S2_LEVEL_2M);
    harvest->table_gfn = gfn & ~(uint64_t)(S2_ENTRIES - 1);
    return true;
}

/* The same, page by page from the root: where there is no leaf table. */
__attribute__((noinline)) static void protect_block(struct harvest *harvest, uint64_t gfn,
                                                    uint64_t word)
{
    for (; word != 0; word &= word - 1) {
        protect(harvest, gfn + (unsigned)__builtin_ctzll(word));
    }
}

/*
 * Protects the pages of one taken word. What is marked is RAM, and no leaf of a table changes its
 * type while we hold the read lock: so no look before the change.
 */
static inline void protect_word(struct harvest *harvest, uint64_t gfn, uint64_t word, bool hardware)
{
    s2_entry_t *leaves;
    uint64_t left = word;
    bool opened = false;

    if (gfn - harvest->table_gfn >= S2_ENTRIES && !find_leaves(harvest, gfn)) {
        protect_block(harvest, gfn, word);
        return;
    }
    if (hardware) {
        return; /* tracked pages: what log_collect left open was written to since */
    }
    leaves = harvest->leaves + gfn % S2_ENTRIES;
    do {
        unsigned i = (unsigned)__builtin_ctzll(left);
        uint64_t old = s2_entry_close(harvest->vm, leaves + i, ipa_from_gfn(gfn + i));

        opened |= s2_pte_is_writable(old, S2_LEVEL_PAGE);
        left &= left - 1;
    } while (left != 0);
    if (opened && !harvest->gather.all) {
        unsigned first = (unsigned)__builtin_ctzll(word);
        uint64_t pages = 64 - first - (unsigned)__builtin_clzll(word);

        s2_gather_add_range(&harvest->gather, ipa_from_gfn(gfn + first), pages << PAGE_SHIFT,
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

/* Takes gfns [gfn, end), for which one summary word stands. */
static void take_words(struct harvest *harvest, struct dirty_log_chunk *chunk, uint64_t gfn,
                       uint64_t end)
{
    uint64_t first = gfn - gfn % LOG_RUN_PAGES;
    unsigned word = log_word_of(gfn);
    uint64_t mask = log_bits(word % 64, log_word_of(end - 1) + 1 - word);
    uint64_t summary = log_take_summary(chunk, word / 64, mask);
    /* Words in which this session has taken bits before; and in which it has then. */
    uint64_t before = chunk->taken_summary[word / 64], after = before | summary;
    bool hardware = harvest->vm->log.options.hardware;
    _Atomic uint64_t *kept = chunk->taken + (word & ~63u);
    struct dirty_log_word *to = harvest->words + harvest->count;
    unsigned looked = 0;
    uint64_t pages = 0;

    for (; summary != 0; summary &= summary - 1, looked++) {
        unsigned i = (unsigned)__builtin_ctzll(summary);
        uint64_t at = first + (uint64_t)i * 64, taken, keep;

        taken = at + 64 <= end
                    ? log_take_whole_word(chunk, at)
                    : log_take_word(harvest->vm, chunk, at, log_bits(0, log_word_pages(at, end)));
        if (taken == 0) {
            after &= ~(summary & -summary) | before;
            continue;
        }
        /* Until commit. Relaxed: the session's calls come one after the other. */
        keep = taken;
        if ((before & summary & -summary) != 0) {
            keep |= atomic_load_explicit(&kept[i], memory_order_relaxed);
        }
        atomic_store_explicit(&kept[i], keep, memory_order_relaxed);
        *to++ = (struct dirty_log_word){at, taken};
        pages += log_bit_count(taken);
        protect_word(harvest, at, taken, hardware);
    }
    chunk->taken_summary[word / 64] = after;
    harvest->count = (unsigned)(to - harvest->words);
    harvest->looked += looked;
    harvest->taken += pages;
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

        take_words(harvest, chunk, at, run_end);
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
    harvest->middle_gfn = NO_TABLE;
    harvest->leaves = NULL;
    harvest->table_gfn = NO_TABLE;
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

static void store_word(uint8_t *bits, uint64_t word)
{
    for (unsigned i = 0; i < 8; i++) {
        bits[i] = (uint8_t)(word >> (8 * i));
    }
}

/* Stores words where they belong in the bitmap of gfns from first on. */
static void store_words(uint8_t *bits, uint64_t first, const struct dirty_log_word *words,
                        unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        store_word(bits + (words[i].gfn - first) / 8, words[i].bits);
    }
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
            store_words(bits, first, words, harvest.count);
        }
        finish_take(&harvest, line);
        log_mark_pinned(vm, first, pages);
    }
    s2_read_unlock(line);
    return harvest.taken;
}

/* The words of gfns [gfn, end), for which one summary word stands, as they are now. */
static unsigned look_at_words(const struct dirty_log_chunk *chunk, uint64_t gfn, uint64_t end,
                              struct dirty_log_word *words)
{
    uint64_t first = gfn - gfn % LOG_RUN_PAGES;
    unsigned word = log_word_of(gfn);
    uint64_t mask = log_bits(word % 64, log_word_of(end - 1) + 1 - word);
    unsigned count = 0;
    /* Relaxed, here and below: a snapshot, nobody acts on pages because of it. */
    uint64_t summary =
        atomic_load_explicit(&chunk->summary[word / 64], memory_order_relaxed) & mask;

    for (; summary != 0; summary &= summary - 1) {
        uint64_t at = first + (uint64_t)(unsigned)__builtin_ctzll(summary) * 64;
        uint64_t from = at < gfn ? gfn : at;
        uint64_t bits = atomic_load_explicit(&chunk->bits[log_word_of(at)], memory_order_relaxed) &
                        log_bits(log_bit_of(from), log_word_pages(from, end));

        if (bits != 0) {
            words[count++] = (struct dirty_log_word){at, bits};
        }
    }
    return count;
}

/* The same where the hardware may have noted more. */
static unsigned look_at_notes(struct s2_vm *vm, const struct dirty_log_chunk *chunk, uint64_t gfn,
                              uint64_t end, struct dirty_log_word *words)
{
    unsigned count = 0;

    for (uint64_t at = gfn - gfn % LOG_WORD_PAGES; at < end; at += LOG_WORD_PAGES) {
        uint64_t bits = atomic_load_explicit(&chunk->bits[log_word_of(at)], memory_order_relaxed);

        bits = (bits | log_look(vm, at)) & log_bits(0, log_word_pages(at, end));
        if (bits != 0) {
            words[count++] = (struct dirty_log_word){at, bits};
        }
    }
    return count;
}

/* Looks at gfns [*gfn, end) while there is room. Read lock. */
static unsigned look(struct s2_vm *vm, uint64_t *gfn, uint64_t end, struct dirty_log_word *words)
{
    unsigned count = 0, runs = 0;

    while ((*gfn = log_next_noted(vm, *gfn, end)) < end && count + 64 <= DIRTY_LOG_WORDS) {
        struct dirty_log_chunk *chunk = log_chunk_of(vm, *gfn);
        uint64_t run_end = log_run_end(*gfn, end);

        if (!log_run_is_tracked(chunk, *gfn)) {
            count += look_at_words(chunk, *gfn, run_end, words + count);
        } else if (runs++ < SCAN_PAGES / LOG_RUN_PAGES) {
            count += look_at_notes(vm, chunk, *gfn, run_end, words + count);
        } else {
            break;
        }
        *gfn = run_end;
    }
    return count;
}

unsigned dirty_log_peek_words(struct s2_vm *vm, uint64_t *gfn, uint64_t end,
                              struct dirty_log_word words[DIRTY_LOG_WORDS], uint64_t *ret_pages)
{
    struct s2_cpu_line *line = s2_read_lock(vm);
    uint64_t limit = log_limit(vm, end);
    unsigned count = 0;

    if (log_is_marking(vm) && *gfn < limit) {
        count = look(vm, gfn, limit, words);
        *gfn = *gfn < limit ? *gfn : end;
    } else {
        *gfn = end;
    }
    s2_read_unlock(line);
    *ret_pages = 0;
    for (unsigned i = 0; i < count; i++) {
        *ret_pages += log_bit_count(words[i].bits);
    }
    return count;
}

uint64_t dirty_log_peek(struct s2_vm *vm, uint64_t first, uint64_t pages, uint8_t *bits)
{
    struct dirty_log_word words[DIRTY_LOG_WORDS];
    uint64_t count = 0, found;

    __builtin_memset(bits, 0, pages / 8);
    for (uint64_t gfn = first; gfn < first + pages; count += found) {
        store_words(bits, first, words,
                    dirty_log_peek_words(vm, &gfn, first + pages, words, &found));
    }
    return count;
}

uint64_t dirty_log_count_from(struct s2_vm *vm, uint64_t gfn)
{
    struct dirty_log_word words[DIRTY_LOG_WORDS];
    uint64_t count = 0, found;

    for (; gfn != UINT64_MAX; count += found) {
        (void)dirty_log_peek_words(vm, &gfn, UINT64_MAX, words, &found);
    }
    return count;
}

uint64_t dirty_log_count(struct s2_vm *vm)
{
    return dirty_log_count_from(vm, 0);
}
