/* SPDX-License-Identifier: MIT */
/*
 * A synchronous exception taken from EL2. A load through a window may meet an address where there is
 * no leaf table: it gives 0, and EL2 goes on behind it. Everything else is the end.
 */
#include "entry_offsets.h"
#include "fatal_entry.h"

#define EC_DABT_SAME 0x25
/* WnR and the kind of fault: a translation fault of a read, at any level. */
#define ISS_MASK     0x7c
#define ISS_MISS     0x04

    .section .text, "ax"
    .global window_fault
window_fault:
    /* As in el2_fatal: no use of the stack before it is known to be good. */
    sub     sp, sp, #32
    add     sp, sp, x0              /* sp + x0, to look at sp without a free register */
    sub     x0, sp, x0
    tbz     x0, #STACK_SHIFT, 3f
    sub     x0, sp, x0
    sub     sp, sp, x0
    stp     x0, x1, [sp]
    stp     x2, x3, [sp, #16]

    mrs     x0, esr_el2
    ubfx    x1, x0, #26, #6
    cmp     x1, #EC_DABT_SAME
    b.ne    2f
    and     x1, x0, #ISS_MASK
    cmp     x1, #ISS_MISS
    b.ne    2f

    mrs     x0, elr_el2
    ldr     x1, =_window_loads
    ldr     x2, =_window_loads_end
1:  cmp     x1, x2
    b.eq    2f
    ldr     x3, [x1], #8
    cmp     x3, x0
    b.ne    1b
    add     x0, x0, #4              /* behind the load, whose result was 0 before it */
    msr     elr_el2, x0
    ldp     x2, x3, [sp, #16]
    ldp     x0, x1, [sp], #32
    eret
    dsb     nsh                     /* stops speculation past the eret */
    isb

2:  ldp     x2, x3, [sp, #16]
    ldp     x0, x1, [sp], #32
    el2_fatal 4
3:  sub     x0, sp, x0
    sub     sp, sp, x0
    add     sp, sp, #32
    el2_fatal 4

    .ltorg
