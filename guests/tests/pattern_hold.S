/* SPDX-License-Identifier: MIT */
#include <guest/pattern_plan.h>

/*
 * uint64_t pattern_hold(void *mailbox, uint64_t nzcv, const uint64_t fill[64], uint64_t ret_found[29])
 * Fills V0..V31 from fill and X2..X30 with n * 0x0101010101010101, says in the mailbox that it is
 * ready, waits until it may go on, and stores X2..X30. Returns NZCV.
 */
    .arch_extension fp
    .arch_extension simd
    .text
    .global pattern_hold
pattern_hold:
    stp     x29, x30, [sp, #-128]!
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    stp     x2, x3, [sp, #96]
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ldr     q\n, [x2, #\n * 16]
    .endr
    msr     nzcv, x1
    mov     x1, #0x0101
    movk    x1, #0x0101, lsl #16
    movk    x1, #0x0101, lsl #32
    movk    x1, #0x0101, lsl #48
    add     x2, x1, x1
    add     x3, x2, x1
    add     x4, x3, x1
    add     x5, x4, x1
    add     x6, x5, x1
    add     x7, x6, x1
    add     x8, x7, x1
    add     x9, x8, x1
    add     x10, x9, x1
    add     x11, x10, x1
    add     x12, x11, x1
    add     x13, x12, x1
    add     x14, x13, x1
    add     x15, x14, x1
    add     x16, x15, x1
    add     x17, x16, x1
    add     x18, x17, x1
    add     x19, x18, x1
    add     x20, x19, x1
    add     x21, x20, x1
    add     x22, x21, x1
    add     x23, x22, x1
    add     x24, x23, x1
    add     x25, x24, x1
    add     x26, x25, x1
    add     x27, x26, x1
    add     x28, x27, x1
    add     x29, x28, x1
    add     x30, x29, x1
    mov     w1, #1
    str     w1, [x0, #PATTERN_READY]
1:  ldr     w1, [x0, #PATTERN_GO]
    cbz     w1, 1b
    ldr     x1, [sp, #104]
    stp     x2, x3, [x1, #0]
    stp     x4, x5, [x1, #16]
    stp     x6, x7, [x1, #32]
    stp     x8, x9, [x1, #48]
    stp     x10, x11, [x1, #64]
    stp     x12, x13, [x1, #80]
    stp     x14, x15, [x1, #96]
    stp     x16, x17, [x1, #112]
    stp     x18, x19, [x1, #128]
    stp     x20, x21, [x1, #144]
    stp     x22, x23, [x1, #160]
    stp     x24, x25, [x1, #176]
    stp     x26, x27, [x1, #192]
    stp     x28, x29, [x1, #208]
    str     x30, [x1, #224]
    mrs     x0, nzcv
    ldp     x19, x20, [sp, #16]
    ldp     x21, x22, [sp, #32]
    ldp     x23, x24, [sp, #48]
    ldp     x25, x26, [sp, #64]
    ldp     x27, x28, [sp, #80]
    ldp     x29, x30, [sp], #128
    ret

/* void pattern_read_simd(uint64_t ret_found[64]) */
    .global pattern_read_simd
pattern_read_simd:
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    str     q\n, [x0, #\n * 16]
    .endr
    ret
