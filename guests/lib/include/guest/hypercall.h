/* SPDX-License-Identifier: MIT */
/* Xen's hypercall convention on arm64: number in x16, arguments in x0 to x4, result in x0. */
#ifndef GUEST_HYPERCALL_H
#define GUEST_HYPERCALL_H

#include <stdint.h>
#include <xen/xen.h>

static inline int64_t hypercall(uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
                                uint64_t a4)
{
    register uint64_t x16 __asm__("x16") = number;
    register uint64_t x0 __asm__("x0") = a0;
    register uint64_t x1 __asm__("x1") = a1;
    register uint64_t x2 __asm__("x2") = a2;
    register uint64_t x3 __asm__("x3") = a3;
    register uint64_t x4 __asm__("x4") = a4;

    __asm__ volatile("hvc #0xEA1"
                     : "+r"(x16), "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4)
                     :
                     : "memory");
    return (int64_t)x0;
}

#endif
