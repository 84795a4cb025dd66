/* SPDX-License-Identifier: MIT */
/* Taking marks: take, write-protect, invalidate once, and only then return
 * (docs/design/dirty-log.md). */
#include <core/dirty_log.h>

#include "lock.h"
#include "log.h"
#include "protect.h"
#include "scan.h"
#include "track.h"

/* What one call can take in any case, where the hardware's notes have to be looked for. */
#define SCAN_PAGES (DIRTY_LOG_WORDS * LOG_WORD_PAGES)
_Static_assert(SCAN_PAGES % LOG_RUN_PAGES == 0, "whole runs");

_Static_assert(DIRTY_LOG_WORDS >= 64, "a summary word is taken whole");

/* Where one call of take stands. */
struct harvest {
    struct protect protect;
    struct dirty_log_word *words;
    unsigned count;  /* of words */
    unsigned looked; /* words that were looked at: what bounds a call */
    uint64_t taken;  /* pages */
};

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

        taken = at + LOG_WORD_PAGES <= end ? log_take_whole_word(word)
                                           : log_take_word(harvest->protect.vm, chunk, at,
                                                           log_bits(0, log_word_pages(at, end)));
        if (taken == 0) {
            empty |= left & -left;
            continue;
        }
        keep_word(&now, word + DIRTY_LOG_CHUNK_WORDS, i, taken, before);
        protect_word(&harvest->protect, &now, i, taken, hardware);
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
                    harvest->protect.vm->log.options.hardware);
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
    taking.middle = find_middle(&harvest->protect, taking.first);
    if (before != 0 || end % LOG_WORD_PAGES != 0) {
        empty = take_odd_run(harvest, chunk, &taking, summary, end, before);
    } else if (harvest->protect.vm->log.options.hardware) {
        empty = take_run(harvest, chunk, &taking, summary, UINT64_MAX, 0, true);
    } else {
        empty = take_run(harvest, chunk, &taking, summary, UINT64_MAX, 0, false);
    }
    if (taking.opened) {
        gather_words(&harvest->protect, from, taking.to);
    }
    chunk->taken_summary[word / 64] = before | (summary & ~empty);
    harvest->looked += (unsigned)(taking.to - from) + log_bit_count(empty);
    harvest->count = (unsigned)(taking.to - harvest->words);
    harvest->taken += taking.pages;
}

/* Takes gfns [gfn, end) of one chunk while there is room. Returns where it stopped. */
static uint64_t take_chunk(struct harvest *harvest, uint64_t gfn, uint64_t end)
{
    struct s2_vm *vm = harvest->protect.vm;
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
    while ((gfn = log_next_marked(harvest->protect.vm, gfn, end)) < end) {
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
    harvest->words = words;
    harvest->count = 0;
    harvest->looked = 0;
    harvest->taken = 0;
    protect_init(&harvest->protect, vm);
}

/* Hands what the hardware has noted to the log, and chooses the pages it is to note next. */
static void collect_range(struct harvest *harvest, uint64_t gfn, uint64_t end)
{
    log_collect(harvest->protect.vm, &harvest->protect.gather, gfn, end);
    if (harvest->protect.vm->log.sample != LOG_SAMPLE_NEVER) {
        log_place_sample(harvest->protect.vm, &harvest->protect.gather, gfn, end);
    }
}

/*
 * Hands what the hardware has noted in the next pages to the log. Returns where to begin to take
 * and in *end where to stop.
 */
static uint64_t collect(struct harvest *harvest, uint64_t gfn, uint64_t *end)
{
    gfn = log_next_noted(harvest->protect.vm, gfn, *end);
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
    s2_gather_flush(&harvest->protect.gather);
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
