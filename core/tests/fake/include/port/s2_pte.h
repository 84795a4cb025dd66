/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of a machine that does not exist: the fields are multiplied by an odd number and
 * rotated by an amount that depends on the level. Code that knows a bit, or uses the wrong level,
 * reads nonsense at once.
 */
#ifndef PORT_S2_PTE_H
#define PORT_S2_PTE_H

#include <core/addr.h>
#include <core/s2.h>
#include <port/inline.h>
#include <stdatomic.h>

#define FAKE_MULTIPLIER UINT64_C(0xc2b2ae3d27d4eb4f)
#define FAKE_INVERSE    UINT64_C(0xba79078168d4baf)

#define FAKE_KIND_TABLE  UINT64_C(1)
#define FAKE_KIND_LEAF   UINT64_C(2)
#define FAKE_KIND_MASK   UINT64_C(3)
#define FAKE_CLOSED      (UINT64_C(1) << 2) /* the other way round than on arm64 */
#define FAKE_TYPE_SHIFT  3
#define FAKE_TRACKED     (UINT64_C(1) << 6) /* the hardware opens it on the first write */
#define FAKE_FRAME_SHIFT 8

static inline uint64_t fake_encode(uint64_t fields, unsigned level)
{
    uint64_t value = fields * FAKE_MULTIPLIER;
    unsigned by = 5 + 11 * level;

    return value << by | value >> (64 - by);
}

static inline uint64_t fake_fields(uint64_t pte, unsigned level)
{
    unsigned by = 5 + 11 * level;

    return (pte >> by | pte << (64 - by)) * FAKE_INVERSE;
}

static inline uint64_t fake_decode(uint64_t pte, unsigned level)
{
    fake_point();
    return fake_fields(pte, level);
}

static inline uint64_t s2_pte_leaf(pa_t pa, unsigned level, enum s2_type type, bool writable)
{
    return fake_encode(FAKE_KIND_LEAF | (writable ? 0 : FAKE_CLOSED) |
                           (uint64_t)type << FAKE_TYPE_SHIFT | pa_mfn(pa) << FAKE_FRAME_SHIFT,
                       level);
}

static inline uint64_t s2_pte_table(pa_t table, unsigned level)
{
    return fake_encode(FAKE_KIND_TABLE | pa_mfn(table) << FAKE_FRAME_SHIFT, level);
}

static inline uint64_t s2_pte_locked(void)
{
    return UINT64_C(0x5ca1ab1e0ddba115);
}

static inline bool fake_is_kind(uint64_t pte, unsigned level, uint64_t kind)
{
    return pte != 0 && pte != s2_pte_locked() && (fake_decode(pte, level) & FAKE_KIND_MASK) == kind;
}

static inline bool s2_pte_is_table(uint64_t pte, unsigned level)
{
    return level < 3 && fake_is_kind(pte, level, FAKE_KIND_TABLE);
}

static inline bool s2_pte_is_leaf(uint64_t pte, unsigned level)
{
    return fake_is_kind(pte, level, FAKE_KIND_LEAF);
}

static inline pa_t s2_pte_pa(uint64_t pte, unsigned level)
{
    return pa_from_mfn(fake_decode(pte, level) >> FAKE_FRAME_SHIFT);
}

static inline enum s2_type s2_pte_type(uint64_t pte, unsigned level)
{
    return (enum s2_type)(fake_decode(pte, level) >> FAKE_TYPE_SHIFT & 7);
}

static inline bool s2_pte_is_writable(uint64_t pte, unsigned level)
{
    return (fake_decode(pte, level) & FAKE_CLOSED) == 0;
}

/* A page of that type and permission. */
static inline bool s2_pte_is_page(uint64_t pte, enum s2_type type, bool writable)
{
    return s2_pte_is_leaf(pte, 3) && s2_pte_type(pte, 3) == type &&
           s2_pte_is_writable(pte, 3) == writable;
}

static inline uint64_t s2_pte_opened(uint64_t pte, unsigned level)
{
    return fake_encode(fake_decode(pte, level) & ~FAKE_CLOSED, level);
}

static inline uint64_t s2_pte_closed(uint64_t pte, unsigned level)
{
    return fake_encode(fake_decode(pte, level) | FAKE_CLOSED, level);
}

static inline uint64_t s2_pte_next(uint64_t pte, unsigned level)
{
    return fake_encode(
        fake_fields(pte, level) + (UINT64_C(1) << (FAKE_FRAME_SHIFT + 9 * (3 - level))), level);
}

static inline uint64_t s2_pte_open(_Atomic uint64_t *entry, unsigned level)
{
    uint64_t old = atomic_load(entry);

    while (!atomic_compare_exchange_weak(entry, &old, s2_pte_opened(old, level))) {
    }
    return old;
}

static inline uint64_t s2_pte_close(_Atomic uint64_t *entry, unsigned level)
{
    uint64_t old = atomic_load(entry);

    while (!atomic_compare_exchange_weak(entry, &old, s2_pte_closed(old, level))) {
    }
    return old;
}

static inline bool fake_is_tracked(uint64_t pte, unsigned level)
{
    return (fake_decode(pte, level) & FAKE_TRACKED) != 0;
}

static inline bool s2_pte_is_tracked(uint64_t pte)
{
    return fake_is_kind(pte, 3, FAKE_KIND_LEAF) && fake_is_tracked(pte, 3);
}

static inline uint64_t s2_pte_tracked(uint64_t pte)
{
    return fake_encode(fake_decode(pte, 3) | FAKE_CLOSED | FAKE_TRACKED, 3);
}

static inline uint64_t s2_pte_untracked(uint64_t pte)
{
    return fake_encode(fake_decode(pte, 3) & ~FAKE_TRACKED, 3);
}

/* Which of count descriptors are open. */
static inline uint64_t fake_open_pages(const _Atomic uint64_t *pages, unsigned count)
{
    uint64_t open = 0;

    /* One point for all of them, or the tests that act at each point would not end. */
    fake_point();
    for (unsigned i = 0; i < count; i++) {
        uint64_t pte = atomic_load_explicit(&pages[i], memory_order_relaxed);

        if (pte != 0 && pte != s2_pte_locked()) {
            open |= (uint64_t)((fake_fields(pte, 3) & FAKE_CLOSED) == 0) << i;
        }
    }
    return open;
}

static inline bool s2_pte_pages_are_closed(const _Atomic uint64_t *pages)
{
    return fake_open_pages(pages, 8) == 0;
}

static inline unsigned s2_pte_closed_runs(const _Atomic uint64_t *pages, unsigned runs,
                                          uint64_t *ret_open)
{
    unsigned run = 0;

    while (run < runs && (*ret_open = fake_open_pages(pages + (size_t)run * 64, 64)) == 0) {
        run++;
    }
    return run;
}

static inline void s2_pte_fill(_Atomic uint64_t *table, uint64_t pte, unsigned level)
{
    for (unsigned i = 0; i < 512; i++, pte = s2_pte_next(pte, level)) {
        atomic_store_explicit(&table[i], pte, memory_order_relaxed);
    }
}

static inline bool s2_pte_are_empty(const _Atomic uint64_t *entries)
{
    uint64_t any = 0;

    fake_point();
    for (unsigned i = 0; i < 32; i++) {
        any |= atomic_load_explicit(&entries[i], memory_order_relaxed);
    }
    return any == 0;
}

static inline bool s2_pte_pages_follow(const _Atomic uint64_t *pages, uint64_t pte)
{
    const uint64_t ignored = FAKE_CLOSED | FAKE_TRACKED;
    bool follow = true;

    fake_point();
    for (unsigned i = 0; i < 8; i++, pte = s2_pte_next(pte, 3)) {
        uint64_t found = fake_fields(atomic_load_explicit(&pages[i], memory_order_relaxed), 3);

        follow &= (found | ignored) == (fake_fields(pte, 3) | ignored);
    }
    return follow;
}

/* Eight descriptors change if they are S2_RAM_RW and have these bits of mask. */
static inline bool fake_change_pages(_Atomic uint64_t *pages, uint64_t mask, uint64_t bits,
                                     uint64_t clear, uint64_t set, uint64_t *ret_old)
{
    bool fit = true;

    mask |= FAKE_KIND_MASK | UINT64_C(7) << FAKE_TYPE_SHIFT;
    bits |= FAKE_KIND_LEAF | (uint64_t)S2_RAM_RW << FAKE_TYPE_SHIFT;
    fake_point();
    for (unsigned i = 0; i < 8; i++) {
        ret_old[i] = atomic_load_explicit(&pages[i], memory_order_relaxed);
        fit &= ret_old[i] != 0 && ret_old[i] != s2_pte_locked() &&
               (fake_fields(ret_old[i], 3) & mask) == bits;
    }
    fake_point(); /* as far as the stores may be behind the loads */
    for (unsigned i = 0; fit && i < 8; i++) {
        atomic_store_explicit(&pages[i],
                              fake_encode((fake_fields(ret_old[i], 3) & ~clear) | set, 3),
                              memory_order_relaxed);
    }
    return fit;
}

static inline bool s2_pte_close_pages(_Atomic uint64_t *pages, uint64_t *ret_old)
{
    return fake_change_pages(pages, FAKE_CLOSED | FAKE_TRACKED, 0, 0, FAKE_CLOSED, ret_old);
}

static inline bool s2_pte_track_pages(_Atomic uint64_t *pages, uint64_t *ret_old)
{
    return fake_change_pages(pages, FAKE_CLOSED | FAKE_TRACKED, 0, 0, FAKE_CLOSED | FAKE_TRACKED,
                             ret_old);
}

static inline bool s2_pte_open_pages(_Atomic uint64_t *pages, uint64_t *ret_old)
{
    return fake_change_pages(pages, 0, 0, FAKE_CLOSED | FAKE_TRACKED, 0, ret_old);
}

#endif
