/* SPDX-License-Identifier: MIT */
#include "cache.h"

#include "barrier.h"
#include "sysreg.h"

#include <hv/frame.h>
#include <port/s2_pte.h>

#include <stdbool.h>
#include <string.h>

#define DCZID_DZP (1u << 4)
#define CTR_IDC   (UINT64_C(1) << 28)

static size_t data_line_bytes(void)
{
    return (size_t)4 << ((READ_SYSREG(ctr_el0) >> 16) & 0xf);
}

#define LINES_AT_ONCE 16u

/* A function that does an operation on that many lines, and returns the address behind them. */
#define ON_LINES(name, operation)                                                                  \
    static uintptr_t name(uintptr_t at, uintptr_t line)                                            \
    {                                                                                              \
        __asm__ volatile(".rept %c2\n " operation ", %0\n add %0, %0, %1\n .endr"                  \
                         : "+r"(at)                                                                \
                         : "r"(line), "i"(LINES_AT_ONCE)                                           \
                         : "memory");                                                              \
        return at;                                                                                 \
    }

ON_LINES(zero_next, "dc zva")
ON_LINES(clean_next, "dc cvac")
ON_LINES(clean_invalidate_next, "dc civac")

void cache_zero(void *va, size_t bytes)
{
    uint64_t dczid = READ_SYSREG(dczid_el0);
    size_t step = (size_t)4 << (dczid & 0xf);

    if ((dczid & DCZID_DZP) != 0 || step > PAGE_SIZE_BYTES / LINES_AT_ONCE) {
        memset(va, 0, bytes);
        return;
    }
    for (uintptr_t at = (uintptr_t)va, end = at + bytes; at < end;) {
        at = zero_next(at, step);
    }
}

/* So many of them are a page at most: of longer lines each is met twice or more. */
static size_t line_step(void)
{
    size_t line = data_line_bytes();

    return line < PAGE_SIZE_BYTES / LINES_AT_ONCE ? line : PAGE_SIZE_BYTES / LINES_AT_ONCE;
}

/* What a loop below has begun is done before whatever follows, also for observers outside. */
static void lines_done(void)
{
    dsb(sy);
}

static void clean_lines(const void *va, size_t bytes, size_t step)
{
    uintptr_t at = (uintptr_t)va & ~(step - 1), end = (uintptr_t)va + bytes;

    while (at + LINES_AT_ONCE * step <= end) {
        at = clean_next(at, step);
    }
    for (; at < end; at += step) {
        __asm__ volatile("dc cvac, %0" ::"r"(at) : "memory");
    }
}

static void clean_invalidate_lines(const void *va, size_t bytes, size_t step)
{
    uintptr_t at = (uintptr_t)va & ~(step - 1), end = (uintptr_t)va + bytes;

    while (at + LINES_AT_ONCE * step <= end) {
        at = clean_invalidate_next(at, step);
    }
    for (; at < end; at += step) {
        __asm__ volatile("dc civac, %0" ::"r"(at) : "memory");
    }
}

void cache_clean(const void *va, size_t bytes)
{
    clean_lines(va, bytes, line_step());
    lines_done();
}

void cache_clean_invalidate(const void *va, size_t bytes)
{
    clean_invalidate_lines(va, bytes, line_step());
    lines_done();
}

void cache_before_reading(const pa_t *pages, unsigned n)
{
    size_t step = line_step();

    if (n == 0 || port_has_fwb) {
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        clean_invalidate_lines(pa_to_va(pages[i]), PAGE_SIZE_BYTES, step);
    }
    lines_done();
}

void cache_after_writing(const pa_t *pages, unsigned n)
{
    size_t step = line_step();

    if (n == 0 || (port_has_fwb && (READ_SYSREG(ctr_el0) & CTR_IDC) != 0)) {
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        clean_lines(pa_to_va(pages[i]), PAGE_SIZE_BYTES, step);
    }
    lines_done();
}

void cache_invalidate_instructions(void)
{
    __asm__ volatile("ic ialluis" ::: "memory");
    dsb(ish);
    isb();
}
