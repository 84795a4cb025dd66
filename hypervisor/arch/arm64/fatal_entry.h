/* SPDX-License-Identifier: MIT */
/*
 * For assembly: entry of an exception at EL2 that nobody expects. Works after a stack overflow as
 * well: the stack pointer is tested before it is used, and the top of the stack is taken again.
 */
#ifndef ARCH_FATAL_ENTRY_H
#define ARCH_FATAL_ENTRY_H

/* clang-format off */

#include <hv/layout.h>

/* struct el2_frame in hv/panic.h. */
#define EL2_FRAME_SP    (31 * 8)
#define EL2_FRAME_PC    (32 * 8)
#define EL2_FRAME_ESR   (34 * 8)
#define EL2_FRAME_BYTES (36 * 8)

/* Fits in a vector slot. The guest's thread registers are lost after an overflow: we end anyway. */
    .macro el2_fatal vector
    sub     sp, sp, #EL2_FRAME_BYTES
    add     sp, sp, x0              /* sp + x0, to look at sp without a free register */
    sub     x0, sp, x0
    tbz     x0, #STACK_SHIFT, 1f
    sub     x0, sp, x0
    sub     sp, sp, x0
    stp     x0, x1, [sp]
    add     x1, sp, #EL2_FRAME_BYTES
    mov     x0, #\vector
    b       el2_fatal_entry
1:  sub     x0, sp, x0
    sub     sp, sp, x0
    msr     tpidr_el0, x0
    mov     x0, sp
    msr     tpidrro_el0, x0
    mrs     x0, tpidr_el2
    ldr     x0, [x0, #8]            /* cpu.stack_top */
    sub     x0, x0, #EL2_FRAME_BYTES
    mov     sp, x0
    mrs     x0, tpidr_el0
    stp     x0, x1, [sp]
    mrs     x1, tpidrro_el0
    add     x1, x1, #EL2_FRAME_BYTES
    mov     x0, #\vector
    b       el2_fatal_entry
    .endm

#endif
