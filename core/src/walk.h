/* SPDX-License-Identifier: MIT */
/*
 * Finding descriptors: s2_find goes from the root to the descriptor that decides
 * about an address, s2_step to the one behind it. Loops over a range belong to
 * the callers; the address is their only loop variable.
 *
 * The caller holds the VM's lock, for reading at least, so no table goes away.
 */
#ifndef CORE_SRC_WALK_H
#define CORE_SRC_WALK_H

#include <core/port.h>
#include <port/s2_pte.h>

#define S2_ENTRIES     512u
#define S2_LEVEL_PAGE  3u
#define S2_LEVEL_2M    2u
#define S2_LEVEL_1G    1u
#define S2_INDEX_SHIFT 9u

typedef _Atomic uint64_t s2_entry_t;

struct s2_pos {
    s2_entry_t *entry;
    uint64_t old; /* what the entry held when it was read, once */
    ipa_t base;   /* first address that the entry decides about */
    unsigned level;
};

static inline unsigned s2_level_shift(unsigned level)
{
    return PAGE_SHIFT + S2_INDEX_SHIFT * (S2_LEVEL_PAGE - level);
}

static inline uint64_t s2_level_bytes(unsigned level)
{
    return UINT64_C(1) << s2_level_shift(level);
}

static inline ipa_t s2_align_down(ipa_t ipa, unsigned level)
{
    return ipa_make(ipa.addr & ~(s2_level_bytes(level) - 1));
}

static inline ipa_t s2_end(const struct s2_vm *vm)
{
    return ipa_make(UINT64_C(1) << vm->ipa_bits);
}

static inline uint64_t s2_entry_load(const s2_entry_t *entry)
{
    /*
     * Pairs with the release in s2_entry_swap: whoever reads a table descriptor
     * sees the table's contents.
     */
    return atomic_load_explicit(entry, memory_order_acquire);
}

static inline s2_entry_t *s2_table_of(uint64_t pte, unsigned level)
{
    return port_pa_to_va(s2_pte_pa(pte, level));
}

static inline bool s2_is_in_transit(uint64_t pte)
{
    return pte == s2_pte_locked();
}

/* The descriptor that decides about ipa, at deepest at that level. ipa is below s2_end. */
static inline struct s2_pos s2_find_at(const struct s2_vm *vm, ipa_t ipa, unsigned deepest)
{
    unsigned level = vm->root_level;
    unsigned shift = s2_level_shift(level);
    s2_entry_t *table = port_pa_to_va(vm->root);
    /* The root may be several concatenated tables: its index is not cut to 9 bits. */
    s2_entry_t *entry = table + (ipa.addr >> shift);
    uint64_t old = s2_entry_load(entry);

    while (level < deepest && s2_pte_is_table(old, level)) {
        table = s2_table_of(old, level);
        level++;
        shift -= S2_INDEX_SHIFT;
        entry = table + ((ipa.addr >> shift) & (S2_ENTRIES - 1));
        old = s2_entry_load(entry);
    }
    return (struct s2_pos){entry, old, s2_align_down(ipa, level), level};
}

static inline struct s2_pos s2_find(const struct s2_vm *vm, ipa_t ipa)
{
    return s2_find_at(vm, ipa, S2_LEVEL_PAGE);
}

/* The same when nobody is replacing it. Read lock: who replaces is a reader too. */
static inline struct s2_pos s2_find_settled(const struct s2_vm *vm, ipa_t ipa)
{
    struct s2_pos pos = s2_find(vm, ipa);

    while (s2_is_in_transit(pos.old)) {
        port_cpu_relax();
        pos = s2_find(vm, ipa);
    }
    return pos;
}

/* First address behind pos. */
static inline ipa_t s2_pos_end(const struct s2_pos *pos)
{
    return ipa_add(pos->base, s2_level_bytes(pos->level));
}

static inline bool s2_pos_is_leaf(const struct s2_pos *pos)
{
    return s2_pte_is_leaf(pos->old, pos->level);
}

/* A page that was written to, as the hardware has noted in its descriptor. */
static inline bool s2_is_dirty(uint64_t pte, unsigned level)
{
    /* The permission first: while nothing is written it alone decides. */
    return level == S2_LEVEL_PAGE && s2_pte_is_writable(pte, level) && s2_pte_is_tracked(pte);
}

/* Goes to the descriptor behind pos; the caller has checked that s2_pos_end is below s2_end. */
static inline void s2_step(const struct s2_vm *vm, struct s2_pos *pos)
{
    ipa_t next = s2_pos_end(pos);

    if (((next.addr >> s2_level_shift(pos->level)) & (S2_ENTRIES - 1)) == 0) {
        *pos = s2_find(vm, next);
        return;
    }
    pos->entry++;
    pos->base = next;
    pos->old = s2_entry_load(pos->entry);
    if (s2_pte_is_table(pos->old, pos->level)) {
        *pos = s2_find(vm, next);
    }
}

/* Descriptors that are looked at together for being empty. */
#define S2_EMPTY_GROUP 8u

static inline bool s2_are_empty(const s2_entry_t *entries)
{
    uint64_t any = 0;

#pragma GCC unroll 8
    for (unsigned i = 0; i < S2_EMPTY_GROUP; i++) {
        /* Relaxed: nothing is read through them. */
        any |= atomic_load_explicit(&entries[i], memory_order_relaxed);
    }
    return any == 0;
}

/* How many of count descriptors from the first on are empty, in steps of S2_EMPTY_AT_ONCE. */
static inline uint64_t s2_empty_run(const s2_entry_t *entries, uint64_t count)
{
    uint64_t run = 0;

    /* Relaxed: nothing is read through it. */
    while (count - run >= S2_EMPTY_AT_ONCE &&
           atomic_load_explicit(&entries[run], memory_order_relaxed) == 0 &&
           s2_pte_are_empty(&entries[run])) {
        run += S2_EMPTY_AT_ONCE;
    }
    return run;
}

/* pos is empty, and so is everything in its table from pos up to the address returned. */
static inline ipa_t s2_empty_end(const struct s2_pos *pos)
{
    unsigned shift = s2_level_shift(pos->level);
    uint64_t at = pos->base.addr >> shift, first = at;

    for (at++; at % S2_ENTRIES != 0;) {
        const s2_entry_t *entry = pos->entry + (at - first);

        if (at % S2_EMPTY_AT_ONCE == 0 && s2_pte_are_empty(entry)) {
            at += S2_EMPTY_AT_ONCE;
        } else if (at % S2_EMPTY_GROUP == 0 && s2_are_empty(entry)) {
            at += S2_EMPTY_GROUP;
        } else if (s2_entry_load(entry) == 0) {
            at++;
        } else {
            break;
        }
    }
    return ipa_make(at << shift);
}

/* The same downwards: from the address returned up to the end of pos. */
static inline ipa_t s2_empty_begin(const struct s2_pos *pos)
{
    unsigned shift = s2_level_shift(pos->level);
    uint64_t at = pos->base.addr >> shift, first = at;

    while (at % S2_ENTRIES != 0) {
        const s2_entry_t *entry = pos->entry - (first - at);

        if (at % S2_EMPTY_AT_ONCE == 0 && s2_pte_are_empty(entry - S2_EMPTY_AT_ONCE)) {
            at -= S2_EMPTY_AT_ONCE;
        } else if (at % S2_EMPTY_GROUP == 0 && s2_are_empty(entry - S2_EMPTY_GROUP)) {
            at -= S2_EMPTY_GROUP;
        } else if (s2_entry_load(entry - 1) == 0) {
            at--;
        } else {
            break;
        }
    }
    return ipa_make(at << shift);
}

/* Where ipa translates to under the leaf at pos. */
static inline pa_t s2_pos_pa(const struct s2_pos *pos, ipa_t ipa)
{
    return pa_add(s2_pte_pa(pos->old, pos->level), ipa.addr - pos->base.addr);
}

/* [ipa, ipa + bytes) is not empty, page aligned, and inside the address space. */
static inline bool s2_range_is_valid(const struct s2_vm *vm, ipa_t ipa, uint64_t bytes)
{
    uint64_t end = s2_end(vm).addr;

    return bytes != 0 && ((ipa.addr | bytes) & PAGE_MASK) == 0 && ipa.addr < end &&
           bytes <= end - ipa.addr;
}

#endif
