/* SPDX-License-Identifier: MIT */
/* The dirty log as the rest of core/ uses it. Orders: docs/design/dirty-log.md. */
#ifndef CORE_SRC_LOG_H
#define CORE_SRC_LOG_H

#include <core/dirty_log.h>
#include <core/port.h>

#include "log_range.h"

_Static_assert(LOG_CHUNK_PAGES == DIRTY_LOG_CHUNK_PAGES, "one harvest step is one chunk");
_Static_assert(LOG_CHUNK_PAGES == LOG_WORD_PAGES * DIRTY_LOG_CHUNK_WORDS, "a bit per page");
_Static_assert(DIRTY_LOG_CHUNK_WORDS == 64 * DIRTY_LOG_SUMMARY_WORDS, "a bit per word");
_Static_assert(LOG_GROUP_CHUNKS == DIRTY_LOG_GROUP_CHUNKS, "a page of chunks");
_Static_assert(sizeof(struct dirty_log_group) == PAGE_SIZE_BYTES, "a group is a page");

static inline enum dirty_log_state log_state(const struct s2_vm *vm)
{
    /* Orders nothing: whoever relies on the answer holds the VM's lock. */
    return (enum dirty_log_state)atomic_load_explicit(&vm->log.state, memory_order_relaxed);
}

/* First writes are to be marked, and new pages are mapped as marked pages. Either lock. */
static inline bool log_is_marking(const struct s2_vm *vm)
{
    return (unsigned)log_state(vm) - DIRTY_LOG_PROTECT <= DIRTY_LOG_ON - DIRTY_LOG_PROTECT;
}

/* log_is_marking, and the hardware notes nothing: in one look, for the short way. Either lock. */
static inline bool log_opens_on_fault(const struct s2_vm *vm)
{
    return atomic_load_explicit(&vm->log.opens_on_fault, memory_order_relaxed) != 0;
}

/* Bitmaps exist or are being made: whoever maps RAM makes sure that they cover it. Write lock. */
static inline bool log_has_chunks(const struct s2_vm *vm)
{
    return (unsigned)log_state(vm) - DIRTY_LOG_PREPARE <= DIRTY_LOG_ON - DIRTY_LOG_PREPARE;
}

/* The log covers gfn, at least by a group. */
static inline struct dirty_log_chunk *log_chunk_of(struct s2_vm *vm, uint64_t gfn)
{
    struct dirty_log_group *group = vm->log.groups[log_group_of(gfn)];

    return &group->chunks[log_chunk_index_of(gfn)];
}

/* Says that the chunk of gfn may have marks. */
static inline void log_set_top(struct s2_vm *vm, uint64_t gfn)
{
    uint64_t chunk = gfn / LOG_CHUNK_PAGES;

    /* Release: pairs with the acquire in log_take_top: who takes it sees the summary. */
    port_fetch_or(&vm->log.top[chunk / 64].marked, UINT64_C(1) << (chunk % 64),
                  memory_order_release);
}

/* log_set, when the word was zero: says so one level up, and there the same. */
static inline void log_set_summary(struct s2_vm *vm, struct dirty_log_chunk *chunk, uint64_t gfn)
{
    unsigned word = log_word_of(gfn);

    /* Release: pairs with the acquire in log_take_summary: who takes it sees the word. */
    if (port_fetch_or(&chunk->summary[word / 64], UINT64_C(1) << (word % 64),
                      memory_order_release) == 0) {
        log_set_top(vm, gfn);
    }
}

/* Sets bits of gfn's word; returns those that were zero. The log covers gfn; either lock. */
static inline uint64_t log_set(struct s2_vm *vm, struct dirty_log_chunk *chunk, uint64_t gfn,
                               uint64_t bits)
{
    /*
     * Release: pairs with the acquire in log_take_word. Who takes the bit sees the
     * page open, or it would leave it open and unmarked.
     */
    uint64_t old = port_fetch_or(&chunk->bits[log_word_of(gfn)], bits, memory_order_release);

    if (old == 0) {
        log_set_summary(vm, chunk, gfn);
    }
    return bits & ~old;
}

/*
 * log_set for the harvest that is going to take these bits. It must find them: another marker, of
 * another page, may have set the word and not its summary yet, or the summary and not top. So both
 * are said whoever was first; top by the caller, with log_set_top.
 */
static inline uint64_t log_set_found(struct s2_vm *vm, struct dirty_log_chunk *chunk, uint64_t gfn,
                                     uint64_t bits)
{
    /* Release: as in log_set. */
    uint64_t old = port_fetch_or(&chunk->bits[log_word_of(gfn)], bits, memory_order_release);

    log_set_summary(vm, chunk, gfn);
    return bits & ~old;
}

/* Takes the mark that says that the chunk of gfn has any; before log_take_summary. */
static inline void log_take_top(struct s2_vm *vm, uint64_t gfn)
{
    uint64_t chunk = gfn / LOG_CHUNK_PAGES;

    /* Acquire: pairs with the release in log_set_top. */
    port_fetch_clear(&vm->log.top[chunk / 64].marked, UINT64_C(1) << (chunk % 64),
                     memory_order_acquire);
}

/* Takes the marks that say which words in mask are not zero; before log_take_word. */
static inline uint64_t log_take_summary(struct dirty_log_chunk *chunk, unsigned index,
                                        uint64_t mask)
{
    /* Look before writing. Missing a mark that is being set is harmless. */
    if ((atomic_load_explicit(&chunk->summary[index], memory_order_relaxed) & mask) == 0) {
        return 0;
    }
    /* Acquire: pairs with the release in log_set_summary. */
    return port_fetch_clear(&chunk->summary[index], mask, memory_order_acquire) & mask;
}

/* Takes all of a word. */
static inline uint64_t log_take_whole_word(_Atomic uint64_t *word)
{
    /* Acquire: pairs with the release in log_set. */
    return port_exchange(word, 0, memory_order_acquire);
}

/* Takes the bits in mask of gfn's word. */
static inline uint64_t log_take_word(struct s2_vm *vm, struct dirty_log_chunk *chunk, uint64_t gfn,
                                     uint64_t mask)
{
    /* Acquire: as above. */
    uint64_t old = port_fetch_clear(&chunk->bits[log_word_of(gfn)], mask, memory_order_acquire);

    if ((old & ~mask) != 0) {
        log_set_summary(vm, chunk, gfn); /* what stays must be found again */
    }
    return old & mask;
}

/* Marks one page of RAM, which the log covers. False: it was marked already. Either lock. */
static inline bool log_mark(struct s2_vm *vm, uint64_t gfn)
{
    return log_set(vm, log_chunk_of(vm, gfn), gfn, log_bits(log_bit_of(gfn), 1)) != 0;
}

/* dirty_log.sample: no page has ever been left out, and none is any more. Else 1 to 64. */
#define LOG_SAMPLE_NEVER 0u
#define LOG_SAMPLE_NONE  (DIRTY_LOG_SAMPLE_PAGES + 1)
_Static_assert(DIRTY_LOG_SAMPLE_PAGES == LOG_WORD_PAGES, "a page of each word");

/*
 * Which page of gfn's word the session has in the sample; LOG_WORD_PAGES: none. Each one once in 64
 * sessions. One after another they are far apart, so that a few neighbours are met evenly, and
 * words differ, so that pages at equal distances are.
 */
static inline unsigned log_sampled_page(const struct dirty_log *log, uint64_t gfn)
{
    uint64_t turn = log->sample - 1, word = gfn / LOG_WORD_PAGES;

    return turn < LOG_WORD_PAGES ? (turn * 39 + word * 41) % LOG_WORD_PAGES : LOG_WORD_PAGES;
}

/* Writes are noticed by the hardware, in tracked pages, while log_is_marking. Either lock. */
static inline bool log_is_tracking(const struct s2_vm *vm)
{
    return vm->log.options.hardware && log_is_marking(vm);
}

/* The bit of gfn's leaf table in dirty_log_chunk.tracked. */
static inline unsigned log_table_of(uint64_t gfn)
{
    return (unsigned)(gfn % LOG_CHUNK_PAGES) / 512;
}

static inline uint64_t log_tracked(const struct dirty_log_chunk *chunk)
{
    /* Acquire: pairs with log_note_tracked. Who sees the bit finds a table. */
    return atomic_load_explicit(&chunk->tracked, memory_order_acquire);
}

/* A leaf table of those that one summary word stands for may hold tracked pages. */
static inline bool log_run_is_tracked(const struct dirty_log_chunk *chunk, uint64_t gfn)
{
    return (log_tracked(chunk) >> log_table_of(gfn - gfn % LOG_RUN_PAGES) & 0xff) != 0;
}

/* Pages in gfn's leaf table are about to become tracked; the log covers them. Either lock. */
static inline void log_note_tracked(struct s2_vm *vm, uint64_t gfn)
{
    struct dirty_log_chunk *chunk = log_chunk_of(vm, gfn);
    uint64_t bit = UINT64_C(1) << log_table_of(gfn);

    if ((log_tracked(chunk) & bit) == 0) {
        /* Before the first tracked page is visible: s2_entry_swap, which does that, releases it. */
        port_fetch_or(&chunk->tracked, bit, memory_order_release);
        port_fetch_or(&vm->log.top[gfn / LOG_CHUNK_PAGES / 64].tracked,
                      UINT64_C(1) << (gfn / LOG_CHUNK_PAGES % 64), memory_order_release);
    }
}

/* There is no leaf table at gfn any more, only a block. Write lock. */
static inline void log_forget_tracked(struct s2_vm *vm, uint64_t gfn)
{
    port_fetch_clear(&log_chunk_of(vm, gfn)->tracked, UINT64_C(1) << log_table_of(gfn),
                     memory_order_relaxed);
}

/* Most words have one bit or 64. */
static inline unsigned log_bit_count(uint64_t word)
{
    if ((word & (word - 1)) == 0) {
        return word != 0;
    }
    return word == ~UINT64_C(0) ? 64 : (unsigned)__builtin_popcountll(word);
}

/* Adds to this CPU's count. Either lock. */
void log_count_bits(struct s2_vm *vm, enum dirty_log_writer writer, uint64_t bits);

/* The chunk of gfn if it has bitmaps, else NULL. Either lock. */
struct dirty_log_chunk *log_chunk_at(struct s2_vm *vm, uint64_t gfn);

/* The next chunk with bitmaps from *gfn on, which becomes its first gfn; NULL: none. Either lock.
 */
struct dirty_log_chunk *log_next_chunk(struct s2_vm *vm, uint64_t *gfn);

/* end, or where the last word ends that the log covers. Either lock. */
static inline uint64_t log_limit(const struct s2_vm *vm, uint64_t end)
{
    uint64_t covered = (vm->log.limit_gfn + 63) & ~UINT64_C(63);

    return end < covered ? end : covered;
}

/*
 * The first gfn from gfn on and below end whose chunk may have marks: gfn itself or the first of a
 * chunk; end: there is none. end is at most log_limit. Either lock.
 */
uint64_t log_next_marked(const struct s2_vm *vm, uint64_t gfn, uint64_t end);
/* The same, and chunks with tracked pages count as well. */
uint64_t log_next_noted(const struct s2_vm *vm, uint64_t gfn, uint64_t end);

/* Marks all of a range of RAM that the log covers. Either lock. */
void log_mark_range(struct s2_vm *vm, ipa_t ipa, uint64_t bytes, enum dirty_log_writer writer);
/* Forgets a range: it is not RAM any more. Write lock. */
void log_forget_range(struct s2_vm *vm, ipa_t ipa, uint64_t bytes);

/*
 * Makes the bitmaps cover a range of RAM. Write lock. -CORE_ENOMEM: some of it may
 * be covered now, which changes nothing for anybody.
 */
int log_cover(struct s2_vm *vm, ipa_t ipa, uint64_t bytes);

/* Tables that it takes to split the blocks of one type in a range into pages. Either lock. */
uint64_t log_count_tables(struct s2_vm *vm, ipa_t ipa, uint64_t bytes, enum s2_type type);

/* Marks every pinned page that is RAM, in gfns [first, first + pages). Either lock. */
void log_mark_pinned(struct s2_vm *vm, uint64_t first, uint64_t pages);

/* The same for pages whose marks were just taken: pages of them in count words. Either lock. */
void log_mark_pinned_words(struct s2_vm *vm, const struct dirty_log_word *words, unsigned count,
                           uint64_t pages);

/* Stores words where they belong in the bitmap of gfns from first on. */
void log_store_words(uint8_t *bits, uint64_t first, const struct dirty_log_word *words,
                     unsigned count);

/* Marks the page at ipa if it is RAM, through its descriptor. Logging is on; either lock. */
void log_mark_if_ram(struct s2_vm *vm, ipa_t ipa, enum dirty_log_writer writer);

static inline bool s2_type_is_ram(enum s2_type type)
{
    return type == S2_RAM_RW || type == S2_RAM_RO;
}

#endif
