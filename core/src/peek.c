/* SPDX-License-Identifier: MIT */
/* Looking at marks, and at what the hardware has noted, without taking them. */
#include <core/dirty_log.h>

#include "lock.h"
#include "log.h"
#include "scan.h"

/* Runs with tracked pages that one call looks at. */
#define SCAN_RUNS (DIRTY_LOG_WORDS * LOG_WORD_PAGES / LOG_RUN_PAGES)

static void store_word(uint8_t *bits, uint64_t word)
{
    for (unsigned i = 0; i < 8; i++) {
        bits[i] = (uint8_t)(word >> (8 * i));
    }
}

void log_store_words(uint8_t *bits, uint64_t first, const struct dirty_log_word *words,
                     unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        store_word(bits + (words[i].gfn - first) / 8, words[i].bits);
    }
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
        } else if (runs++ < SCAN_RUNS) {
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
        log_store_words(bits, first, words,
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
