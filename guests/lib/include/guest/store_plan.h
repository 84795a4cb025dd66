/* SPDX-License-Identifier: MIT */
/*
 * What a storing guest and its control domain agree on: a mailbox page with a slot per vCPU, and
 * which pages a round writes. Both sides compute the same list from the seed.
 */
#ifndef GUEST_STORE_PLAN_H
#define GUEST_STORE_PLAN_H

#include <guest/layout.h>
#include <stdatomic.h>
#include <stdint.h>
#include <xen/xen.h>

#define MAILBOX_IPA  (GUEST_RAM0_BASE + GUEST_MAILBOX_OFFSET)
#define REGION_IPA   (GUEST_RAM0_BASE + 0x800000)
#define REGION_PAGES 4096u

enum store_kind {
    STORE_8,     /* str */
    STORE_1,     /* strb */
    STORE_PAIR,  /* stp */
    STORE_CROSS, /* one unaligned store over a page boundary: two pages */
    STORE_ZVA,   /* dc zva */
    STORE_EXCL,  /* ldxr, stxr */
    STORE_SIMD,  /* stp of q registers */
    STORE_LDADD, /* LSE */
    STORE_CAS,   /* LSE, succeeding */
    STORE_SWP,   /* LSE */
    STORE_KINDS,
    STORE_READ = STORE_KINDS, /* only reads */
    STORE_STREAM,             /* counters into random pages until told to stop */
    STORE_READ_STREAM,        /* the same, only reads */
    STORE_NAP_STREAM,         /* as STORE_STREAM, but sleeps for 4 ms after every 40 stores */
};

struct store_slot {
    _Atomic uint32_t
        round; /* control: which round to do; release, pairs with the guest's acquire */
    _Atomic uint32_t
        done; /* guest: the round it has finished; release, pairs with control's acquire */
    uint32_t kind;
    uint32_t pages;
    uint64_t seed;
    _Atomic uint32_t stop; /* ends a stream; relaxed, carries no data */
    uint32_t has_lse;      /* guest: LDADD and friends exist; written before its first done */
    uint64_t stores;       /* guest: stores of the last round */
    uint64_t ticks;        /* guest: counter ticks that the last round took */
};

struct store_mailbox {
    struct store_slot slots[16];
};

/* The i-th page of a round, as an index into the region (the last page is left for STORE_CROSS). */
static inline uint32_t store_plan_page(uint64_t seed, uint32_t i)
{
    uint64_t x = (seed + i + 1) * UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((x ^ x >> 31) % (REGION_PAGES - 1));
}

#endif
