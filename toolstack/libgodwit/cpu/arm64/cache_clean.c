/* SPDX-License-Identifier: MIT */
/* Linux lets user space clean by address, and read CTR_EL0, on every arm64 CPU. */
#include "../../cache_clean.h"

#include <stdint.h>

#define DMIN_LINE_SHIFT 16 /* log2 of the words of the smallest data cache line */

static size_t line_bytes(void)
{
    uint64_t ctr;

    __asm__("mrs %0, ctr_el0" : "=r"(ctr));
    return (size_t)4 << (ctr >> DMIN_LINE_SHIFT & 15);
}

void cache_clean(const void *memory, size_t bytes)
{
    size_t line = line_bytes();
    uintptr_t end = (uintptr_t)memory + bytes;

    for (uintptr_t at = (uintptr_t)memory & ~(line - 1); at < end; at += line)
        __asm__ volatile("dc cvac, %0" ::"r"(at) : "memory");
    __asm__ volatile("dsb sy" ::: "memory"); /* done before the guest may run, on any CPU */
}
