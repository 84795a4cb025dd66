/* SPDX-License-Identifier: MIT */
/*
 * unsigned s2_pte_closed_runs(const _Atomic uint64_t *pages, unsigned runs, uint64_t *ret_open)
 * (core/port.h).
 *
 * S2AP[1] is the highest bit of a descriptor's lowest byte: so the lowest bytes of 64 descriptors,
 * packed into four registers, tell all. SIMD registers are the guest's: those in use are saved. The
 * upper parts that SVE gives them are nobody's: guests have no SVE. Each element of LD1 is read once
 * and whole.
 */
    .arch   armv8-a+fp+simd
    .text

/* The lowest bytes of the next 16 descriptors at x0. */
    .macro pack to
    ld1     {v0.2d-v3.2d}, [x0], #64
    ld1     {v4.2d-v7.2d}, [x0], #64
    uzp1    v0.4s, v0.4s, v1.4s
    uzp1    v2.4s, v2.4s, v3.4s
    uzp1    v4.4s, v4.4s, v5.4s
    uzp1    v6.4s, v6.4s, v7.4s
    uzp1    v0.8h, v0.8h, v2.8h
    uzp1    v4.8h, v4.8h, v6.8h
    uzp1    \to\().16b, v0.16b, v4.16b
    .endm

/* All ones in bytes that have the highest bit, less all but one bit by the place in eight: v4. */
    .macro single_bits of
    cmlt    \of\().16b, \of\().16b, #0
    and     \of\().16b, \of\().16b, v4.16b
    .endm

    .global s2_pte_closed_runs
    .type   s2_pte_closed_runs, %function
s2_pte_closed_runs:
    stp     q0, q1, [sp, #-192]!
    stp     q2, q3, [sp, #32]
    stp     q4, q5, [sp, #64]
    stp     q6, q7, [sp, #96]
    stp     q16, q17, [sp, #128]
    stp     q18, q19, [sp, #160]
    mov     w3, w1
1:  pack    v16
    pack    v17
    pack    v18
    pack    v19
    orr     v0.16b, v16.16b, v17.16b
    orr     v1.16b, v18.16b, v19.16b
    orr     v0.16b, v0.16b, v1.16b
    umov    x4, v0.d[0]
    umov    x5, v0.d[1]
    orr     x4, x4, x5
    tst     x4, #0x8080808080808080
    b.ne    2f
    subs    w3, w3, #1
    b.ne    1b
    b       3f
2:  mov     x4, #0x0201
    movk    x4, #0x0804, lsl #16
    movk    x4, #0x2010, lsl #32
    movk    x4, #0x8040, lsl #48
    dup     v4.2d, x4
    single_bits v16
    single_bits v17
    single_bits v18
    single_bits v19
    addp    v16.16b, v16.16b, v17.16b
    addp    v18.16b, v18.16b, v19.16b
    addp    v16.16b, v16.16b, v18.16b
    addp    v16.16b, v16.16b, v16.16b
    str     d16, [x2]
3:  sub     w0, w1, w3
    ldp     q2, q3, [sp, #32]
    ldp     q4, q5, [sp, #64]
    ldp     q6, q7, [sp, #96]
    ldp     q16, q17, [sp, #128]
    ldp     q18, q19, [sp, #160]
    ldp     q0, q1, [sp], #192
    ret
    .size   s2_pte_closed_runs, . - s2_pte_closed_runs
