/* SPDX-License-Identifier: MIT */
#include <guest/layout.h>

.macro vector handler
    .balign 128
    sub     sp, sp, #EXCEPTION_FRAME_BYTES
    stp     x0, x1, [sp, #0]
    mov     x0, #\handler
    b       exception_common
.endm

    .section .text.vectors, "ax"
    .balign 2048
    .global vectors
vectors:
    /* SP_EL0: never used. */
    vector 2
    vector 2
    vector 2
    vector 2
    /* SP_EL1: synchronous, IRQ, FIQ, SError. */
    vector 0
    vector 1
    vector 2
    vector 2
    /* EL0, 64 and 32 bit: never used. */
    vector 2
    vector 2
    vector 2
    vector 2
    vector 2
    vector 2
    vector 2
    vector 2

/* x0 = kind, x0 and x1 are in the frame. */
exception_common:
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
    mrs     x2, elr_el1
    mrs     x3, spsr_el1
    stp     x30, x2, [sp, #240]
    str     x3, [sp, #256]
    mov     x1, sp
    bl      exception_handle
    ldr     x3, [sp, #256]
    ldp     x30, x2, [sp, #240]
    msr     elr_el1, x2
    msr     spsr_el1, x3
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    ldp     x18, x19, [sp, #144]
    ldp     x20, x21, [sp, #160]
    ldp     x22, x23, [sp, #176]
    ldp     x24, x25, [sp, #192]
    ldp     x26, x27, [sp, #208]
    ldp     x28, x29, [sp, #224]
    ldp     x0, x1, [sp, #0]
    add     sp, sp, #EXCEPTION_FRAME_BYTES
    eret
