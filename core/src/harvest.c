/* SPDX-License-Identifier: MIT */
/* Taking marks: take, write-protect, invalidate once, and only then return
 * (docs/design/dirty-log.md). */
#include <core/dirty_log.h>

#include "entry.h"
#include "gather.h"
#include "lock.h"
#include "log.h"

#define WORDS_PER_TABLE (S2_ENTRIES / 64)

/* Where one call of take stands. */
struct harvest {
    struct s2_vm *vm;
    struct s2_gather gather;
    uint64_t table_gfn; /* first gfn of the leaf table that leaves points to; or ~0 */
    s2_entry_t *leaves; /* NULL: there is no table, a block decides about these gfns */
    uint64_t taken;     /* pages */
};

static void store_word(uint8_t *bits, uint64_t word)
{
    for (unsigned i = 0; i < 8; i++) {
        bits[i] = (uint8_t)(word >> (8 * i));
    }
}

/* Write-protects what decides about gfn, page or block, if it is open. pos: what it was a moment
 * ago. */
static void protect(struct harvest *harvest, struct s2_pos pos, uint64_t gfn)
{
    struct s2_vm *vm = harvest->vm;

    for (;;) {
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
        /* From the root: a block may have become a table meanwhile. */
        pos = s2_find(vm, ipa_from_gfn(gfn));
    }
}

/* Finds the leaf table of gfn once for all words that lie in it. */
static void find_table(struct harvest *harvest, uint64_t gfn)
{
    struct s2_pos pos = s2_find(harvest->vm, ipa_from_gfn(gfn));

    harvest->table_gfn = gfn & ~(uint64_t)(S2_ENTRIES - 1);
    harvest->leaves = pos.level == S2_LEVEL_PAGE ? pos.entry - (gfn & (S2_ENTRIES - 1)) : NULL;
}

static struct s2_pos find_page(const struct harvest *harvest, uint64_t gfn)
{
    struct s2_pos pos;

    if (harvest->leaves == NULL) {
        return s2_find(harvest->vm, ipa_from_gfn(gfn));
    }
    pos.entry = harvest->leaves + (gfn & (S2_ENTRIES - 1));
    pos.old = s2_entry_load(pos.entry);
    pos.base = ipa_from_gfn(gfn);
    pos.level = S2_LEVEL_PAGE;
    return pos;
}

/* Protects the pages of one taken word. */
static void protect_word(struct harvest *harvest, uint64_t gfn, uint64_t word)
{
    if (gfn - harvest->table_gfn >= S2_ENTRIES || harvest->leaves == NULL) {
        find_table(harvest, gfn);
    }
    for (; word != 0; word &= word - 1) {
        uint64_t page = gfn + (unsigned)__builtin_ctzll(word);

        protect(harvest, find_page(harvest, page), page);
    }
}

/* Keeps what was taken until commit. */
static void keep_taken(struct dirty_log *log, struct dirty_log_chunk *chunk, unsigned word,
                       uint64_t bits)
{
    if (chunk->taken_epoch != log->epoch) {
        /* What an earlier session took is committed: forget it now, where it costs least. */
        for (unsigned i = 0; i < DIRTY_LOG_CHUNK_WORDS; i++) {
            atomic_store_explicit(&chunk->taken[i], 0, memory_order_relaxed);
        }
        for (unsigned i = 0; i < DIRTY_LOG_SUMMARY_WORDS; i++) {
            chunk->taken_summary[i] = 0;
        }
        chunk->taken_epoch = log->epoch;
    }
    /* taken belongs to the session, whose calls come one after the other. */
    atomic_fetch_or_explicit(&chunk->taken[word], bits, memory_order_relaxed);
    chunk->taken_summary[word / 64] |= UINT64_C(1) << (word % 64);
}

/* Takes the words [word, end) of a chunk that one summary word stands for. */
static void take_words(struct harvest *harvest, struct dirty_log_chunk *chunk, uint64_t chunk_gfn,
                       unsigned word, unsigned end, uint8_t *bits)
{
    unsigned first = word & ~63u;
    uint64_t summary = log_take_summary(chunk, first / 64, log_bits(word - first, end - word));

    while (summary != 0) {
        unsigned i = first + (unsigned)__builtin_ctzll(summary);
        uint64_t taken = log_take_word(chunk, i);

        summary &= summary - 1;
        if (taken == 0) {
            continue;
        }
        keep_taken(&harvest->vm->log, chunk, i, taken);
        store_word(bits + (size_t)(i - word) * 8, taken);
        harvest->taken += (unsigned)__builtin_popcountll(taken);
        protect_word(harvest, chunk_gfn + (uint64_t)i * 64, taken);
    }
}

/* Calls for each run of words [first, first + pages) that has bitmaps and one summary word. */
static void take_range(struct harvest *harvest, uint64_t first, uint64_t pages, uint8_t *bits)
{
    uint64_t end = first + pages;

    for (uint64_t gfn = first; gfn < end;) {
        struct dirty_log_chunk *chunk = log_chunk_at(harvest->vm, gfn);
        uint64_t run_end = log_run_end(gfn, end);

        if (chunk != NULL) {
            unsigned word = log_word_of(gfn);

            take_words(harvest, chunk, log_chunk_begin(gfn), word,
                       word + (unsigned)(run_end - gfn) / 64, bits + (gfn - first) / 8);
        }
        gfn = run_end;
    }
}

static void zero(uint8_t *bits, uint64_t bytes)
{
    __builtin_memset(bits, 0, bytes);
}

uint64_t dirty_log_harvest_take(struct s2_vm *vm, uint64_t first, uint64_t pages, uint8_t *bits)
{
    struct harvest harvest = {.vm = vm, .table_gfn = ~UINT64_C(0)};
    struct s2_cpu_line *line;

    zero(bits, pages / 8);
    s2_gather_init(&harvest.gather, vm);
    line = s2_read_lock(vm);
    if (log_state(vm) == DIRTY_LOG_ON &&
        atomic_load_explicit(&vm->log.session, memory_order_relaxed)) { /* caller's own session */
        take_range(&harvest, first, pages, bits);
        /* Before anybody reads the pages that we report: no CPU writes through an old entry. */
        s2_gather_flush(&harvest.gather);
        log_mark_pinned(vm, first, pages);
        s2_count_by(&line->harvested, harvest.taken);
    }
    s2_read_unlock(line);
    return harvest.taken;
}

uint64_t dirty_log_peek(struct s2_vm *vm, uint64_t first, uint64_t pages, uint8_t *bits)
{
    struct s2_cpu_line *line = s2_read_lock(vm);
    uint64_t count = 0;

    zero(bits, pages / 8);
    for (uint64_t gfn = first; log_is_marking(vm) && gfn < first + pages; gfn += 64) {
        struct dirty_log_chunk *chunk = log_chunk_at(vm, gfn);
        uint64_t word;

        if (chunk == NULL) {
            continue;
        }
        /* Relaxed: a snapshot, nobody acts on pages because of it. */
        word = atomic_load_explicit(&chunk->bits[log_word_of(gfn)], memory_order_relaxed);
        if (word != 0) {
            store_word(bits + (gfn - first) / 8, word);
            count += (unsigned)__builtin_popcountll(word);
        }
    }
    s2_read_unlock(line);
    return count;
}

static uint64_t count_chunk(const struct dirty_log_chunk *chunk)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < DIRTY_LOG_SUMMARY_WORDS; i++) {
        /* Relaxed, here and below: a snapshot. */
        uint64_t summary = atomic_load_explicit(&chunk->summary[i], memory_order_relaxed);

        for (; summary != 0; summary &= summary - 1) {
            unsigned word = i * 64 + (unsigned)__builtin_ctzll(summary);

            count += (unsigned)__builtin_popcountll(
                atomic_load_explicit(&chunk->bits[word], memory_order_relaxed));
        }
    }
    return count;
}

uint64_t dirty_log_count(struct s2_vm *vm)
{
    struct s2_cpu_line *line = s2_read_lock(vm);
    uint64_t count = 0;

    if (log_is_marking(vm)) {
        const struct dirty_log_chunk *chunk;

        for (uint64_t gfn = 0; (chunk = log_next_chunk(vm, &gfn)) != NULL; gfn += LOG_CHUNK_PAGES) {
            count += count_chunk(chunk);
        }
    }
    s2_read_unlock(line);
    return count;
}
