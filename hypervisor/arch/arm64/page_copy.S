/* SPDX-License-Identifier: MIT */
/*
 * void page_copy(void *to, const void *from)
 * bool page_copy_contents(void *to, const void *from)     (hv/frame.h)
 *
 * 256 bytes at a time. Only the second one looks for zeros: as long as it finds nothing else it
 * stores nothing, and from the first other byte on it is the first one, so that each byte is read
 * once. SIMD registers are the guest's: those in use are saved. The upper parts that SVE gives them
 * are nobody's: guests have no SVE.
 */
    .arch   armv8-a+fp+simd
    .text

#define PAGE_BYTES 4096
#define STEP_BYTES 256
#define SAVED_BYTES 384

    /* The next step's bytes at x1. */
    .macro load_step
    ldp     q0, q1, [x1], #STEP_BYTES
    ldp     q2, q3, [x1, #32 - STEP_BYTES]
    ldp     q4, q5, [x1, #64 - STEP_BYTES]
    ldp     q6, q7, [x1, #96 - STEP_BYTES]
    ldp     q16, q17, [x1, #128 - STEP_BYTES]
    ldp     q18, q19, [x1, #160 - STEP_BYTES]
    ldp     q20, q21, [x1, #192 - STEP_BYTES]
    ldp     q22, q23, [x1, #224 - STEP_BYTES]
    .endm

    .macro store_step
    stp     q0, q1, [x0], #STEP_BYTES
    stp     q2, q3, [x0, #32 - STEP_BYTES]
    stp     q4, q5, [x0, #64 - STEP_BYTES]
    stp     q6, q7, [x0, #96 - STEP_BYTES]
    stp     q16, q17, [x0, #128 - STEP_BYTES]
    stp     q18, q19, [x0, #160 - STEP_BYTES]
    stp     q20, q21, [x0, #192 - STEP_BYTES]
    stp     q22, q23, [x0, #224 - STEP_BYTES]
    .endm

    .macro save
    stp     q0, q1, [sp, #-SAVED_BYTES]!
    stp     q2, q3, [sp, #32]
    stp     q4, q5, [sp, #64]
    stp     q6, q7, [sp, #96]
    stp     q16, q17, [sp, #128]
    stp     q18, q19, [sp, #160]
    stp     q20, q21, [sp, #192]
    stp     q22, q23, [sp, #224]
    .endm

    .macro restore
    ldp     q2, q3, [sp, #32]
    ldp     q4, q5, [sp, #64]
    ldp     q6, q7, [sp, #96]
    ldp     q16, q17, [sp, #128]
    ldp     q18, q19, [sp, #160]
    ldp     q20, q21, [sp, #192]
    ldp     q22, q23, [sp, #224]
    ldp     q0, q1, [sp], #SAVED_BYTES
    .endm

    .global page_copy
    .type   page_copy, %function
page_copy:
    save
1:  load_step
    store_step
    tst     x1, #(PAGE_BYTES - 1)
    b.ne    1b
    restore
    ret
    .size   page_copy, . - page_copy

    .global page_copy_contents
    .type   page_copy_contents, %function
page_copy_contents:
    save
    stp     q24, q25, [sp, #256]
    stp     q26, q27, [sp, #288]
    stp     q28, q29, [sp, #320]
    stp     q30, q31, [sp, #352]
    add     x2, x1, #STEP_BYTES
1:  load_step
    orr     v24.16b, v0.16b, v1.16b
    orr     v25.16b, v2.16b, v3.16b
    orr     v26.16b, v4.16b, v5.16b
    orr     v27.16b, v6.16b, v7.16b
    orr     v28.16b, v16.16b, v17.16b
    orr     v29.16b, v18.16b, v19.16b
    orr     v30.16b, v20.16b, v21.16b
    orr     v31.16b, v22.16b, v23.16b
    orr     v24.16b, v24.16b, v25.16b
    orr     v26.16b, v26.16b, v27.16b
    orr     v28.16b, v28.16b, v29.16b
    orr     v30.16b, v30.16b, v31.16b
    orr     v24.16b, v24.16b, v26.16b
    orr     v28.16b, v28.16b, v30.16b
    orr     v24.16b, v24.16b, v28.16b
    umaxp   v24.4s, v24.4s, v24.4s
    umov    x3, v24.d[0]
    cbnz    x3, 2f
    tst     x1, #(PAGE_BYTES - 1)
    b.ne    1b
    mov     w4, #0
    b       6f
    /* Contents: the zeros in front of them first. */
2:  subs    x2, x1, x2
    b.eq    4f
    movi    v24.2d, #0
3:  stp     q24, q24, [x0], #STEP_BYTES
    stp     q24, q24, [x0, #32 - STEP_BYTES]
    stp     q24, q24, [x0, #64 - STEP_BYTES]
    stp     q24, q24, [x0, #96 - STEP_BYTES]
    stp     q24, q24, [x0, #128 - STEP_BYTES]
    stp     q24, q24, [x0, #160 - STEP_BYTES]
    stp     q24, q24, [x0, #192 - STEP_BYTES]
    stp     q24, q24, [x0, #224 - STEP_BYTES]
    subs    x2, x2, #STEP_BYTES
    b.ne    3b
4:  store_step
    tst     x1, #(PAGE_BYTES - 1)
    b.eq    5f
    load_step
    b       4b
5:  mov     w4, #1
6:  ldp     q24, q25, [sp, #256]
    ldp     q26, q27, [sp, #288]
    ldp     q28, q29, [sp, #320]
    ldp     q30, q31, [sp, #352]
    restore
    mov     w0, w4
    ret
    .size   page_copy_contents, . - page_copy_contents
