/* SPDX-License-Identifier: MIT */
/* The bitmaps of a dirty log: which exist, and marks on ranges. */
#include "log.h"

#include "lock.h"
#include "log_memory.h"
#include "track.h"
#include "walk.h"

/* bits and taken of one chunk lie together. */
#define CHUNK_BITMAPS_ORDER 1u

bool dirty_log_is_on(const struct s2_vm *vm)
{
    return log_has_chunks(vm);
}

struct dirty_log_chunk *log_chunk_at(struct s2_vm *vm, uint64_t gfn)
{
    uint64_t group = log_group_of(gfn);
    struct dirty_log_chunk *chunk;

    if (group >= vm->log.group_count || vm->log.groups[group] == NULL) {
        return NULL;
    }
    chunk = log_chunk_of(vm, gfn);
    return chunk->bits == NULL ? NULL : chunk;
}

struct dirty_log_chunk *log_next_chunk(struct s2_vm *vm, uint64_t *gfn)
{
    const uint64_t end = vm->log.group_count * LOG_GROUP_PAGES;
    uint64_t at = log_chunk_begin(*gfn);

    while (at < end) {
        struct dirty_log_chunk *chunk = log_chunk_at(vm, at);

        if (chunk != NULL) {
            *gfn = at;
            return chunk;
        }
        at = vm->log.groups[log_group_of(at)] == NULL ? log_group_end(at) : log_chunk_end(at);
    }
    return NULL;
}

/* The first chunk from gfn on with its bit set in top, marked or also tracked. */
static inline uint64_t next_chunk(const struct s2_vm *vm, uint64_t gfn, uint64_t end, bool tracked)
{
    while (gfn < end) {
        uint64_t chunk = gfn / LOG_CHUNK_PAGES;
        const struct dirty_log_top *top = &vm->log.top[chunk / 64];
        /* Relaxed: a mark that is being set may be missed; log_take_top orders what is found. */
        uint64_t bits = atomic_load_explicit(&top->marked, memory_order_relaxed);

        if (tracked) {
            bits |= atomic_load_explicit(&top->tracked, memory_order_relaxed);
        }
        bits >>= chunk % 64;
        if ((bits & 1) != 0) {
            return gfn;
        }
        chunk = bits == 0 ? (chunk | 63) + 1 : chunk + (unsigned)__builtin_ctzll(bits);
        gfn = chunk * LOG_CHUNK_PAGES;
    }
    return end;
}

uint64_t log_next_marked(const struct s2_vm *vm, uint64_t gfn, uint64_t end)
{
    return next_chunk(vm, gfn, end, false);
}

uint64_t log_next_noted(const struct s2_vm *vm, uint64_t gfn, uint64_t end)
{
    return next_chunk(vm, gfn, end, true);
}

void log_count_bits(struct s2_vm *vm, enum dirty_log_writer writer, uint64_t bits)
{
    s2_count_by(&vm->lock.cpu[port_cpu_id()].bits_set[writer], bits);
}

void log_mark_range(struct s2_vm *vm, ipa_t ipa, uint64_t bytes, enum dirty_log_writer writer)
{
    uint64_t end = ipa_gfn(ipa_add(ipa, bytes));
    uint64_t set = 0;
    unsigned pages;

    for (uint64_t gfn = ipa_gfn(ipa); gfn < end; gfn += pages) {
        pages = log_word_pages(gfn, end);
        set += (unsigned)__builtin_popcountll(
            log_set(vm, log_chunk_of(vm, gfn), gfn, log_bits(log_bit_of(gfn), pages)));
    }
    log_count_bits(vm, writer, set);
}

void log_forget_range(struct s2_vm *vm, ipa_t ipa, uint64_t bytes)
{
    uint64_t end = ipa_gfn(ipa_add(ipa, bytes));

    for (uint64_t gfn = ipa_gfn(ipa); gfn < end;) {
        struct dirty_log_chunk *chunk = log_chunk_at(vm, gfn);
        unsigned pages = log_word_pages(gfn, end);
        uint64_t keep = ~log_bits(log_bit_of(gfn), pages);

        if (chunk == NULL) {
            gfn = log_chunk_end(gfn);
            continue;
        }
        /* Write lock: nobody else is at the bitmaps, so these order nothing. */
        atomic_fetch_and_explicit(&chunk->bits[log_word_of(gfn)], keep, memory_order_relaxed);
        atomic_fetch_and_explicit(&chunk->taken[log_word_of(gfn)], keep, memory_order_relaxed);
        gfn += pages;
    }
}

void log_mark_if_ram(struct s2_vm *vm, ipa_t ipa, enum dirty_log_writer writer)
{
    struct s2_pos pos = s2_find_settled(vm, ipa);

    if (s2_pos_is_leaf(&pos) && s2_type_is_ram(s2_pte_type(pos.old, pos.level)) &&
        log_mark(vm, ipa_gfn(ipa))) {
        log_count_bits(vm, writer, 1);
    }
}

void dirty_log_mark(struct s2_vm *vm, ipa_t ipa, enum dirty_log_writer writer)
{
    struct s2_cpu_line *line;

    if (ipa.addr >= s2_end(vm).addr) {
        return;
    }
    line = s2_read_lock(vm);
    if (log_is_marking(vm)) {
        log_mark_if_ram(vm, ipa, writer);
    }
    if (writer != DIRTY_WRITER_FOREIGN && writer != DIRTY_WRITER_MODEL) {
        track_range(vm, ipa_gfn(ipa), 1); /* those two know themselves what they write */
    }
    s2_read_unlock(line);
}

void dirty_log_mark_list(struct s2_vm *vm, const uint64_t *gfns, unsigned n,
                         enum dirty_log_writer writer)
{
    struct s2_cpu_line *line = s2_read_lock(vm);
    bool marking = log_is_marking(vm);

    for (unsigned i = 0; (marking || track_is_on(vm)) && i < n; i++) {
        if (gfns[i] >> (vm->ipa_bits - PAGE_SHIFT) != 0) {
            continue;
        }
        if (marking) {
            log_mark_if_ram(vm, ipa_from_gfn(gfns[i]), writer);
        }
        track_range(vm, gfns[i], 1);
    }
    s2_read_unlock(line);
}

uint64_t dirty_log_limit_gfn(struct s2_vm *vm)
{
    struct s2_cpu_line *line = s2_read_lock(vm);
    uint64_t limit = log_has_chunks(vm) ? vm->log.limit_gfn : 0;

    s2_read_unlock(line);
    return limit;
}

/* Four groups have 64 chunks, which share an element of top. */
#define GROUPS_PER_TOP (64u / DIRTY_LOG_GROUP_CHUNKS)

/* Groups whose pointers and bits of top fit in that many pages. */
static uint64_t groups_in(unsigned order)
{
    const uint64_t unit =
        GROUPS_PER_TOP * sizeof(struct dirty_log_group *) + sizeof(struct dirty_log_top);

    return (PAGE_SIZE_BYTES << order) / unit * GROUPS_PER_TOP;
}

int log_grow(struct s2_vm *vm, uint64_t end_gfn)
{
    struct dirty_log *log = &vm->log;
    uint64_t needed = log_groups_for(end_gfn);
    struct dirty_log_group **grown;
    struct dirty_log_top *top;
    unsigned order = 0;

    if (needed <= log->group_count) {
        return 0;
    }
    while (groups_in(order) < needed) {
        order++;
    }
    grown = port_pages_alloc(order);
    if (grown == NULL) {
        return -CORE_ENOMEM;
    }
    top = (struct dirty_log_top *)(void *)(grown + groups_in(order));
    for (uint64_t i = 0; i < log->group_count; i++) {
        grown[i] = log->groups[i];
    }
    for (uint64_t i = 0; i < log->group_count / GROUPS_PER_TOP; i++) {
        /* Write lock: nobody else is at the bitmaps, so these order nothing. */
        uint64_t marked = atomic_load_explicit(&log->top[i].marked, memory_order_relaxed);
        uint64_t tracked = atomic_load_explicit(&log->top[i].tracked, memory_order_relaxed);

        atomic_store_explicit(&top[i].marked, marked, memory_order_relaxed);
        atomic_store_explicit(&top[i].tracked, tracked, memory_order_relaxed);
    }
    if (log->groups != NULL) {
        port_pages_free((void *)log->groups, log->groups_order);
    }
    log->groups = grown;
    log->top = top;
    log->groups_order = order;
    log->group_count = groups_in(order);
    return 0;
}

int log_add_bitmaps(struct s2_vm *vm, uint64_t gfn)
{
    struct dirty_log_group **group = &vm->log.groups[log_group_of(gfn)];
    struct dirty_log_chunk *chunk;
    _Atomic uint64_t *bitmaps;

    if (*group == NULL) {
        *group = port_pages_alloc(0);
    }
    if (*group == NULL) {
        return -CORE_ENOMEM;
    }
    chunk = log_chunk_of(vm, gfn);
    if (chunk->bits != NULL) {
        return 0;
    }
    bitmaps = port_pages_alloc(CHUNK_BITMAPS_ORDER);
    if (bitmaps == NULL) {
        return -CORE_ENOMEM;
    }
    chunk->bits = bitmaps;
    chunk->taken = bitmaps + DIRTY_LOG_CHUNK_WORDS; /* take_words relies on that */
    return 0;
}

int log_cover(struct s2_vm *vm, ipa_t ipa, uint64_t bytes)
{
    uint64_t end = ipa_gfn(ipa_add(ipa, bytes));
    int error = log_grow(vm, end);

    for (uint64_t gfn = ipa_gfn(ipa); error == 0 && gfn < end; gfn = log_chunk_end(gfn)) {
        error = log_add_bitmaps(vm, gfn);
    }
    if (error == 0 && ipa_gfn(ipa) < vm->log.first_gfn) {
        vm->log.first_gfn = ipa_gfn(ipa);
    }
    if (error == 0 && end > vm->log.limit_gfn) {
        vm->log.limit_gfn = end;
    }
    return error;
}

static void free_group(struct dirty_log_group *group)
{
    for (unsigned i = 0; i < DIRTY_LOG_GROUP_CHUNKS; i++) {
        if (group->chunks[i].bits != NULL) {
            port_pages_free((void *)group->chunks[i].bits, CHUNK_BITMAPS_ORDER);
        }
    }
    port_pages_free(group, 0);
}

bool log_free(struct s2_vm *vm, unsigned groups)
{
    struct dirty_log *log = &vm->log;

    for (; log->group_count != 0; log->group_count--) {
        struct dirty_log_group *last = log->groups[log->group_count - 1];

        if (last != NULL) {
            if (groups-- == 0) {
                return false;
            }
            free_group(last);
        }
    }
    if (log->groups != NULL) {
        port_pages_free((void *)log->groups, log->groups_order);
        log->groups = NULL;
        log->top = NULL;
    }
    log->limit_gfn = 0;
    return true;
}
