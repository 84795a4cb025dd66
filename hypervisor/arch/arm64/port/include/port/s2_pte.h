/* SPDX-License-Identifier: MIT */
/*
 * Stage-2 descriptors of VMSAv8-64 with 4 KiB pages: the only place with their bits.
 * Contract: core/port.h.
 */
#ifndef PORT_S2_PTE_H
#define PORT_S2_PTE_H

#include <core/addr.h>
#include <core/s2.h>
#include <port/atomic.h>
#include <port/find.h>
#include <stdatomic.h>

#define S2_PTE_VALID      (UINT64_C(1) << 0)
#define S2_PTE_TABLE      (UINT64_C(1) << 1) /* a table above level 3, a page at level 3 */
#define S2_PTE_MEMATTR(n) ((uint64_t)(n) << 2)
#define S2_PTE_S2AP_R     (UINT64_C(1) << 6)
#define S2_PTE_S2AP_W     (UINT64_C(1) << 7) /* hardware mode sets it when DBM is set */
#define S2_PTE_SH_INNER   (UINT64_C(3) << 8)
#define S2_PTE_AF         (UINT64_C(1) << 10)
#define S2_PTE_ADDR       UINT64_C(0x0000fffffffff000)
#define S2_PTE_DBM        (UINT64_C(1) << 51) /* in tracked pages, which have S2AP[0] set */
#define S2_PTE_XN         (UINT64_C(1) << 54)
#define S2_PTE_TYPE_SHIFT 55 /* software bits 55 to 58: enum s2_type */
#define S2_PTE_TYPE_MASK  UINT64_C(15)

/* MemAttr[3:0]: Device-nGnRE reads the same with and without FEAT_S2FWB, Normal Write-Back does
 * not. */
#define S2_PTE_DEVICE     S2_PTE_MEMATTR(0x1)
#define S2_PTE_NORMAL     S2_PTE_MEMATTR(0xf)
#define S2_PTE_NORMAL_FWB S2_PTE_MEMATTR(0x6)

/* Invalid, and unlike the all-zero descriptor. */
#define S2_PTE_LOCKED (UINT64_C(1) << 2)

/* HCR_EL2.FWB is set on every CPU; fixed at boot before the first table is made (port_init). */
extern bool port_has_fwb;

static inline uint64_t s2_pte_leaf(pa_t pa, unsigned level, enum s2_type type, bool writable)
{
    uint64_t pte = pa.addr | (uint64_t)type << S2_PTE_TYPE_SHIFT | S2_PTE_AF | S2_PTE_SH_INNER |
                   S2_PTE_S2AP_R | S2_PTE_VALID;

    if (type == S2_DEVICE) {
        pte |= S2_PTE_DEVICE;
    } else {
        pte |= port_has_fwb ? S2_PTE_NORMAL_FWB : S2_PTE_NORMAL;
    }
    if (type != S2_RAM_RW && type != S2_RAM_RO) {
        pte |= S2_PTE_XN;
    }
    if (writable) {
        pte |= S2_PTE_S2AP_W;
    }
    if (level == 3) {
        pte |= S2_PTE_TABLE;
    }
    return pte;
}

static inline uint64_t s2_pte_table(pa_t table, unsigned level)
{
    (void)level;
    return table.addr | PORT_FIND_TABLE_BITS | S2_PTE_TABLE | S2_PTE_VALID;
}

static inline uint64_t s2_pte_locked(void)
{
    return S2_PTE_LOCKED;
}

static inline bool s2_pte_is_table(uint64_t pte, unsigned level)
{
    return level < 3 && (pte & (S2_PTE_TABLE | S2_PTE_VALID)) == (S2_PTE_TABLE | S2_PTE_VALID);
}

static inline bool s2_pte_is_leaf(uint64_t pte, unsigned level)
{
    uint64_t table = level == 3 ? S2_PTE_TABLE : 0;

    return (pte & (S2_PTE_TABLE | S2_PTE_VALID)) == (table | S2_PTE_VALID);
}

static inline pa_t s2_pte_pa(uint64_t pte, unsigned level)
{
    (void)level;
    return pa_make(pte & S2_PTE_ADDR);
}

static inline enum s2_type s2_pte_type(uint64_t pte, unsigned level)
{
    (void)level;
    return (enum s2_type)(pte >> S2_PTE_TYPE_SHIFT & S2_PTE_TYPE_MASK);
}

static inline bool s2_pte_is_writable(uint64_t pte, unsigned level)
{
    (void)level;
    return (pte & S2_PTE_S2AP_W) != 0;
}

/* In one comparison. */
static inline bool s2_pte_is_page(uint64_t pte, enum s2_type type, bool writable)
{
    uint64_t mask =
        S2_PTE_VALID | S2_PTE_TABLE | S2_PTE_S2AP_W | S2_PTE_TYPE_MASK << S2_PTE_TYPE_SHIFT;

    return (pte & mask) == (S2_PTE_VALID | S2_PTE_TABLE | (writable ? S2_PTE_S2AP_W : 0) |
                            (uint64_t)type << S2_PTE_TYPE_SHIFT);
}

static inline uint64_t s2_pte_opened(uint64_t pte, unsigned level)
{
    (void)level;
    return pte | S2_PTE_S2AP_W;
}

static inline uint64_t s2_pte_closed(uint64_t pte, unsigned level)
{
    (void)level;
    return pte & ~S2_PTE_S2AP_W;
}

static inline uint64_t s2_pte_next(uint64_t pte, unsigned level)
{
    return pte + (PAGE_SIZE_BYTES << 9 * ((3 - level) & 3));
}

static inline uint64_t s2_pte_open(_Atomic uint64_t *entry, unsigned level)
{
    (void)level;
    /* Pairs as s2_entry_swap does (core/src/entry.h). */
    return port_fetch_or(entry, S2_PTE_S2AP_W, memory_order_acq_rel);
}

static inline uint64_t s2_pte_close(_Atomic uint64_t *entry, unsigned level)
{
    (void)level;
    /* As in s2_pte_open. */
    return port_fetch_clear(entry, S2_PTE_S2AP_W, memory_order_acq_rel);
}

/* Tracked: the MMU sets S2AP[1] on the first write (FEAT_HAFDBS, VTCR_EL2.HD). */
static inline bool s2_pte_is_tracked(uint64_t pte)
{
    return (pte & S2_PTE_DBM) != 0;
}

static inline uint64_t s2_pte_tracked(uint64_t pte)
{
    return (pte & ~S2_PTE_S2AP_W) | S2_PTE_DBM;
}

static inline uint64_t s2_pte_untracked(uint64_t pte)
{
    return pte & ~S2_PTE_DBM;
}

/* Eight descriptors, each read and stored whole, as LDP and STP promise. */
#define PORT_LOAD_GROUP(pages, pte)                                                                \
    __asm__ volatile("ldp %0, %1, [%8]\n\tldp %2, %3, [%8, #16]\n\tldp %4, %5, [%8, #32]\n\t"      \
                     "ldp %6, %7, [%8, #48]"                                                       \
                     : "=&r"((pte)[0]), "=&r"((pte)[1]), "=&r"((pte)[2]), "=&r"((pte)[3]),         \
                       "=&r"((pte)[4]), "=&r"((pte)[5]), "=&r"((pte)[6]), "=&r"((pte)[7])          \
                     : "r"(pages), "m"(*(const _Atomic uint64_t(*)[8])(pages)))
#define PORT_STORE_GROUP(pages, pte)                                                               \
    __asm__ volatile("stp %1, %2, [%9]\n\tstp %3, %4, [%9, #16]\n\tstp %5, %6, [%9, #32]\n\t"      \
                     "stp %7, %8, [%9, #48]"                                                       \
                     : "=m"(*(_Atomic uint64_t(*)[8])(pages))                                      \
                     : "r"((pte)[0]), "r"((pte)[1]), "r"((pte)[2]), "r"((pte)[3]), "r"((pte)[4]),  \
                       "r"((pte)[5]), "r"((pte)[6]), "r"((pte)[7]), "r"(pages))

/* All of eight descriptors are pages of S2_RAM_RW and have these bits of mask. */
static inline bool port_group_has(const uint64_t *pte, uint64_t mask, uint64_t bits)
{
    uint64_t all = ~UINT64_C(0), any = 0;

    mask |= S2_PTE_VALID | S2_PTE_TABLE | S2_PTE_TYPE_MASK << S2_PTE_TYPE_SHIFT;
    bits |= S2_PTE_VALID | S2_PTE_TABLE | (uint64_t)S2_RAM_RW << S2_PTE_TYPE_SHIFT;
#pragma GCC unroll 8
    for (unsigned i = 0; i < 8; i++) {
        all &= pte[i];
        any |= pte[i];
    }
    return (((all ^ bits) | (any ^ bits)) & mask) == 0;
}

/* Sets bits in eight descriptors that were read, then flips others. */
static inline void port_change_group(_Atomic uint64_t *pages, uint64_t *pte, uint64_t set,
                                     uint64_t flip, uint64_t *ret_old)
{
#pragma GCC unroll 8
    for (unsigned i = 0; i < 8; i++) {
        ret_old[i] = pte[i];
        pte[i] = (pte[i] | set) ^ flip;
    }
    PORT_STORE_GROUP(pages, pte);
}

/* Eight open pages of S2_RAM_RW without tracking. */
static inline bool port_flip_open_pages(_Atomic uint64_t *pages, uint64_t flip, uint64_t *ret_old)
{
    uint64_t pte[8];

    PORT_LOAD_GROUP(pages, pte);
    if (!port_group_has(pte, S2_PTE_S2AP_W | S2_PTE_DBM, S2_PTE_S2AP_W)) {
        return false;
    }
    port_change_group(pages, pte, 0, flip, ret_old);
    return true;
}

static inline bool s2_pte_close_pages(_Atomic uint64_t *pages, uint64_t *ret_old)
{
    return port_flip_open_pages(pages, S2_PTE_S2AP_W, ret_old);
}

static inline bool s2_pte_track_pages(_Atomic uint64_t *pages, uint64_t *ret_old)
{
    return port_flip_open_pages(pages, S2_PTE_S2AP_W | S2_PTE_DBM, ret_old);
}

static inline bool s2_pte_open_pages(_Atomic uint64_t *pages, uint64_t *ret_old)
{
    uint64_t pte[8];

    PORT_LOAD_GROUP(pages, pte);
    if (!port_group_has(pte, 0, 0)) {
        return false;
    }
    port_change_group(pages, pte, S2_PTE_S2AP_W | S2_PTE_DBM, S2_PTE_DBM, ret_old);
    return true;
}

static inline bool s2_pte_pages_follow(const _Atomic uint64_t *pages, uint64_t pte)
{
    uint64_t differ = 0, found[8];

    PORT_LOAD_GROUP(pages, found);
#pragma GCC unroll 8
    for (unsigned i = 0; i < 8; i++) {
        differ |= (found[i] - i * PAGE_SIZE_BYTES) ^ pte;
    }
    return (differ & ~(S2_PTE_S2AP_W | S2_PTE_DBM)) == 0;
}

static inline void s2_pte_fill(_Atomic uint64_t *table, uint64_t pte, unsigned level)
{
    uint64_t group[8];

#pragma GCC unroll 4
    for (unsigned i = 0; i < 512; i += 8) {
#pragma GCC unroll 8
        for (unsigned k = 0; k < 8; k++) {
            group[k] = pte;
            pte = s2_pte_next(pte, level);
        }
        PORT_STORE_GROUP(table + i, group);
    }
}

/* Two descriptors, each read once and whole, as LDP promises. */
#define PORT_OR_PAIR(offset)                                                                       \
    "ldp %2, %3, [%4, #" #offset "]\n\torr %0, %0, %2\n\torr %1, %1, %3\n\t"

/*
 * S2_PAGES_AT_ONCE of them. What is no page counts if it has the bit: seldom, and only dearer. One
 * piece of assembly: a compiler that sees the reads one by one keeps all of them in registers, and
 * then on the stack.
 */
static inline bool s2_pte_pages_are_closed(const _Atomic uint64_t *pages)
{
    uint64_t any_even, any_odd, even, odd;

    __asm__ volatile("ldp %0, %1, [%4]\n\t" PORT_OR_PAIR(16) PORT_OR_PAIR(32) PORT_OR_PAIR(48)
                     : "=&r"(any_even), "=&r"(any_odd), "=&r"(even), "=&r"(odd)
                     : "r"(pages), "m"(*(const _Atomic uint64_t(*)[8])pages));
    return ((any_even | any_odd) & S2_PTE_S2AP_W) == 0;
}

/* S2_EMPTY_AT_ONCE of them. */
static inline bool s2_pte_are_empty(const _Atomic uint64_t *entries)
{
    uint64_t any_even, any_odd, even, odd;

    __asm__ volatile("ldp %0, %1, [%4]\n\t" PORT_OR_PAIR(16) PORT_OR_PAIR(32) PORT_OR_PAIR(48)
                         PORT_OR_PAIR(64) PORT_OR_PAIR(80) PORT_OR_PAIR(96) PORT_OR_PAIR(112)
                             PORT_OR_PAIR(128) PORT_OR_PAIR(144) PORT_OR_PAIR(160) PORT_OR_PAIR(176)
                                 PORT_OR_PAIR(192) PORT_OR_PAIR(208) PORT_OR_PAIR(224)
                                     PORT_OR_PAIR(240)
                     : "=&r"(any_even), "=&r"(any_odd), "=&r"(even), "=&r"(odd)
                     : "r"(entries), "m"(*(const _Atomic uint64_t(*)[32])entries));
    return (any_even | any_odd) == 0;
}

/* In closed_runs.S, with SIMD registers, which it leaves as they were. */
unsigned s2_pte_closed_runs(const _Atomic uint64_t *pages, unsigned runs, uint64_t *ret_open);

#endif
