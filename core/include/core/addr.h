/* SPDX-License-Identifier: MIT */
/*
 * Typed addresses. An intermediate physical address (what a guest believes is
 * physical) and a physical address are both 64-bit numbers; mixing them is the
 * classic bug of stage-2 code, so here it does not compile.
 */
#ifndef CORE_ADDR_H
#define CORE_ADDR_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE_SHIFT      12
#define PAGE_SIZE_BYTES (UINT64_C(1) << PAGE_SHIFT)
#define PAGE_MASK       (PAGE_SIZE_BYTES - 1)

typedef struct {
    uint64_t addr;
} ipa_t;

typedef struct {
    uint64_t addr;
} pa_t;

static inline ipa_t ipa_make(uint64_t addr)
{
    return (ipa_t){addr};
}

static inline pa_t pa_make(uint64_t addr)
{
    return (pa_t){addr};
}

static inline ipa_t ipa_add(ipa_t ipa, uint64_t offset_bytes)
{
    return (ipa_t){ipa.addr + offset_bytes};
}

static inline pa_t pa_add(pa_t pa, uint64_t offset_bytes)
{
    return (pa_t){pa.addr + offset_bytes};
}

/* Frame numbers: gfn counts guest pages (from IPA 0), mfn machine frames (from PA 0). */
/*@ assigns \nothing;
    ensures \result == ipa.addr / 4096; */
static inline uint64_t ipa_gfn(ipa_t ipa)
{
    return ipa.addr / PAGE_SIZE_BYTES;
}

/*@ requires gfn < 0x10000000000000;
    assigns \nothing;
    ensures \result.addr == gfn * 4096; */
static inline ipa_t ipa_from_gfn(uint64_t gfn)
{
    return (ipa_t){gfn * PAGE_SIZE_BYTES};
}

static inline uint64_t pa_mfn(pa_t pa)
{
    return pa.addr >> PAGE_SHIFT;
}

static inline pa_t pa_from_mfn(uint64_t mfn)
{
    return (pa_t){mfn << PAGE_SHIFT};
}

#endif
