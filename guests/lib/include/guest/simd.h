/* SPDX-License-Identifier: MIT */
/* All 32 FP/SIMD registers by hand: guests are compiled without them, so nothing else uses them. */
#ifndef GUEST_SIMD_H
#define GUEST_SIMD_H

#include <stdint.h>

#define SIMD_ALL_REGISTERS                                                                         \
    "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"

/* Both halves of v0..v31 become value + n. */
static inline void simd_fill(uint64_t value)
{
    uint64_t scratch;

    __asm__ volatile(".arch_extension simd\n"
                     ".irp n," SIMD_ALL_REGISTERS "\n"
                     "add %0, %1, #\\n\n dup v\\n\\().2d, %0\n"
                     ".endr\n"
                     : "=&r"(scratch)
                     : "r"(value)
                     : "memory");
}

/* How many halves are not what simd_fill(value) put there. */
static inline unsigned simd_count_wrong(uint64_t value)
{
    uint64_t bad = 0, wanted, found;

    __asm__ volatile(".arch_extension simd\n"
                     ".irp n," SIMD_ALL_REGISTERS "\n"
                     "add %1, %3, #\\n\n"
                     "mov %2, v\\n\\().d[0]\n cmp %1, %2\n cinc %0, %0, ne\n"
                     "mov %2, v\\n\\().d[1]\n cmp %1, %2\n cinc %0, %0, ne\n"
                     ".endr\n"
                     : "+r"(bad), "=&r"(wanted), "=&r"(found)
                     : "r"(value)
                     : "cc", "memory");
    return (unsigned)bad;
}

#endif
