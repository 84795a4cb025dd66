/* SPDX-License-Identifier: MIT */
/* Vectors of a CPU until it is ready to run guests: every exception is fatal. */
#include "fatal_entry.h"

    .section .text, "ax"
    .balign 2048
    .global boot_vectors
boot_vectors:
    .irp vector, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    .balign 128
    el2_fatal \vector
    .endr

/* sp: struct el2_frame with x0 and x1 saved, x0: vector, x1: sp before the exception. */
    .global el2_fatal_entry
el2_fatal_entry:
    str     x1, [sp, #EL2_FRAME_SP]
    stp     x2, x3, [sp, #(2 * 8)]
    stp     x4, x5, [sp, #(4 * 8)]
    stp     x6, x7, [sp, #(6 * 8)]
    stp     x8, x9, [sp, #(8 * 8)]
    stp     x10, x11, [sp, #(10 * 8)]
    stp     x12, x13, [sp, #(12 * 8)]
    stp     x14, x15, [sp, #(14 * 8)]
    stp     x16, x17, [sp, #(16 * 8)]
    stp     x18, x19, [sp, #(18 * 8)]
    stp     x20, x21, [sp, #(20 * 8)]
    stp     x22, x23, [sp, #(22 * 8)]
    stp     x24, x25, [sp, #(24 * 8)]
    stp     x26, x27, [sp, #(26 * 8)]
    stp     x28, x29, [sp, #(28 * 8)]
    str     x30, [sp, #(30 * 8)]
    mrs     x2, elr_el2
    mrs     x3, spsr_el2
    stp     x2, x3, [sp, #EL2_FRAME_PC]
    mrs     x2, esr_el2
    mrs     x3, far_el2
    stp     x2, x3, [sp, #EL2_FRAME_ESR]
    mov     x1, x0
    mov     x0, sp
    mov     x29, xzr
    mov     x30, xzr
    b       panic_exception
