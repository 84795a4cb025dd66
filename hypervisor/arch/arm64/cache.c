/* SPDX-License-Identifier: MIT */
#include "cache.h"

#include "barrier.h"
#include "sysreg.h"

#include <port/s2_pte.h>

#include <stdbool.h>
#include <string.h>

#define DCZID_DZP (1u << 4)

static size_t data_line_bytes(void)
{
    return (size_t)4 << ((READ_SYSREG(ctr_el0) >> 16) & 0xf);
}

void cache_zero(void *va, size_t bytes)
{
    uint64_t dczid = READ_SYSREG(dczid_el0);
    size_t step = (size_t)4 << (dczid & 0xf);

    if ((dczid & DCZID_DZP) != 0 || step > 1024) {
        memset(va, 0, bytes);
        return;
    }
    for (char *at = va, *end = at + bytes; at < end; at += 4 * step) {
        __asm__ volatile("dc zva, %0\n dc zva, %1\n dc zva, %2\n dc zva, %3" ::"r"(at),
                         "r"(at + step), "r"(at + 2 * step), "r"(at + 3 * step)
                         : "memory");
    }
}

void cache_clean(const void *va, size_t bytes)
{
    size_t line = data_line_bytes();
    uintptr_t end = (uintptr_t)va + bytes;

    for (uintptr_t at = (uintptr_t)va & ~(line - 1); at < end; at += line) {
        __asm__ volatile("dc cvac, %0" ::"r"(at) : "memory");
    }
    dsb(sy); /* done before whatever follows, also for observers outside the domain */
}

void cache_clean_invalidate(const void *va, size_t bytes)
{
    size_t line = data_line_bytes();
    uintptr_t end = (uintptr_t)va + bytes;

    for (uintptr_t at = (uintptr_t)va & ~(line - 1); at < end; at += line) {
        __asm__ volatile("dc civac, %0" ::"r"(at) : "memory");
    }
    dsb(sy); /* as in cache_clean */
}

void cache_catch_up(const void *va, size_t bytes)
{
    if (!port_has_fwb) {
        cache_clean_invalidate(va, bytes);
    }
}

void cache_invalidate_instructions(void)
{
    __asm__ volatile("ic ialluis" ::: "memory");
    dsb(ish);
    isb();
}
