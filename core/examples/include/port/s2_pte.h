/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of the toy machine (docs/porting.md): bits 1:0 say what it is, bit 2 permits writing,
 * bits 5:3 belong to software, bits 63:12 are the address. Its MMU reads the same format at all
 * levels.
 */
#ifndef PORT_S2_PTE_H
#define PORT_S2_PTE_H

#include <core/addr.h>
#include <core/no_hardware_dirty.h>
#include <core/s2.h>
#include <stdatomic.h>

#define TOY_TABLE      UINT64_C(1)
#define TOY_LEAF       UINT64_C(2)
#define TOY_BUSY       UINT64_C(3) /* the MMU takes it for nothing, as it does 0 */
#define TOY_KIND_MASK  UINT64_C(3)
#define TOY_WRITABLE   (UINT64_C(1) << 2)
#define TOY_TYPE_SHIFT 3
#define TOY_TYPE_MASK  UINT64_C(7)

static inline uint64_t s2_pte_leaf(pa_t pa, unsigned level, enum s2_type type, bool writable)
{
    return pa.addr | (uint64_t)type << TOY_TYPE_SHIFT | (writable ? TOY_WRITABLE : 0) | TOY_LEAF;
}

static inline uint64_t s2_pte_table(pa_t table, unsigned level)
{
    return table.addr | TOY_TABLE;
}

static inline uint64_t s2_pte_locked(void)
{
    return TOY_BUSY;
}

static inline bool s2_pte_is_table(uint64_t pte, unsigned level)
{
    return (pte & TOY_KIND_MASK) == TOY_TABLE;
}

static inline bool s2_pte_is_leaf(uint64_t pte, unsigned level)
{
    return (pte & TOY_KIND_MASK) == TOY_LEAF;
}

static inline pa_t s2_pte_pa(uint64_t pte, unsigned level)
{
    return pa_make(pte & ~PAGE_MASK);
}

static inline enum s2_type s2_pte_type(uint64_t pte, unsigned level)
{
    return (enum s2_type)(pte >> TOY_TYPE_SHIFT & TOY_TYPE_MASK);
}

static inline bool s2_pte_is_writable(uint64_t pte, unsigned level)
{
    return (pte & TOY_WRITABLE) != 0;
}

/* A page of that type and permission. */
static inline bool s2_pte_is_page(uint64_t pte, enum s2_type type, bool writable)
{
    return s2_pte_is_leaf(pte, 3) && s2_pte_type(pte, 3) == type &&
           s2_pte_is_writable(pte, 3) == writable;
}

static inline uint64_t s2_pte_opened(uint64_t pte, unsigned level)
{
    return pte | TOY_WRITABLE;
}

static inline uint64_t s2_pte_closed(uint64_t pte, unsigned level)
{
    return pte & ~TOY_WRITABLE;
}

static inline uint64_t s2_pte_next(uint64_t pte, unsigned level)
{
    return pte + (PAGE_SIZE_BYTES << 9 * (3 - level));
}

static inline void s2_pte_fill(_Atomic uint64_t *table, uint64_t pte, unsigned level)
{
    for (unsigned i = 0; i < 512; i++, pte = s2_pte_next(pte, level)) {
        atomic_store_explicit(&table[i], pte, memory_order_relaxed);
    }
}

static inline uint64_t s2_pte_open(_Atomic uint64_t *entry, unsigned level)
{
    return atomic_fetch_or(entry, TOY_WRITABLE);
}

static inline uint64_t s2_pte_close(_Atomic uint64_t *entry, unsigned level)
{
    return atomic_fetch_and(entry, ~TOY_WRITABLE);
}

/* One by one is fast enough for a toy. */
static inline bool s2_pte_are_empty(const _Atomic uint64_t *entries)
{
    return false;
}

static inline bool s2_pte_pages_follow(const _Atomic uint64_t *pages, uint64_t pte)
{
    return false;
}

static inline bool s2_pte_close_pages(_Atomic uint64_t *pages, uint64_t *ret_old)
{
    return false;
}

static inline bool s2_pte_open_pages(_Atomic uint64_t *pages, uint64_t *ret_old)
{
    return false;
}

#endif
