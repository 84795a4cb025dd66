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

    /* The next step's bytes at x1. */
    .macro load_step
    ld1     {v0.16b-v3.16b}, [x1], #64
    ld1     {v4.16b-v7.16b}, [x1], #64
    ld1     {v16.16b-v19.16b}, [x1], #64
    ld1     {v20.16b-v23.16b}, [x1], #64
    .endm

    .macro store_step
    st1     {v0.16b-v3.16b}, [x0], #64
    st1     {v4.16b-v7.16b}, [x0], #64
    st1     {v16.16b-v19.16b}, [x0], #64
    st1     {v20.16b-v23.16b}, [x0], #64
    .endm

    /* The registers of a step. */
    .macro save
    sub     sp, sp, #256
    mov     x2, sp
    st1     {v0.16b-v3.16b}, [x2], #64
    st1     {v4.16b-v7.16b}, [x2], #64
    st1     {v16.16b-v19.16b}, [x2], #64
    st1     {v20.16b-v23.16b}, [x2]
    .endm

    .macro restore
    ld1     {v0.16b-v3.16b}, [sp], #64
    ld1     {v4.16b-v7.16b}, [sp], #64
    ld1     {v16.16b-v19.16b}, [sp], #64
    ld1     {v20.16b-v23.16b}, [sp], #64
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
    sub     sp, sp, #128
    mov     x2, sp
    st1     {v24.16b-v27.16b}, [x2], #64
    st1     {v28.16b-v31.16b}, [x2]
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
6:  ld1     {v24.16b-v27.16b}, [sp], #64
    ld1     {v28.16b-v31.16b}, [sp], #64
    restore
    mov     w0, w4
    ret
    .size   page_copy_contents, . - page_copy_contents
