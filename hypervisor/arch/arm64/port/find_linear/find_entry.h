/* SPDX-License-Identifier: MIT */
/* For vectors.S: what the window on leaf tables changes there. */
#ifndef FIND_ENTRY_H
#define FIND_ENTRY_H

/* clang-format off */

/* Synchronous exception of EL2 itself: a load through the window that found no table, or the end. */
    .macro find_el2_sync
    b       window_fault
    .endm

/*
 * The short way of a write fault may meet such an exception, which replaces ELR, SPSR, ESR and FAR:
 * they are kept on the stack, from there on, and put back if the long way has to follow. Only faults
 * of level 3 come here: there was a leaf table a moment ago, so that takes a race. x2 and x3 change.
 */
#define FIND_FAST_BYTES 32
    .macro find_fast_save offset
    mrs     x2, elr_el2
    mrs     x3, spsr_el2
    stp     x2, x3, [sp, #\offset]
    mrs     x2, esr_el2
    mrs     x3, far_el2
    stp     x2, x3, [sp, #(\offset + 16)]
    .endm
    .macro find_fast_restore offset
    ldp     x2, x3, [sp, #\offset]
    msr     elr_el2, x2
    msr     spsr_el2, x3
    ldp     x2, x3, [sp, #(\offset + 16)]
    msr     esr_el2, x2
    msr     far_el2, x3
    .endm

#endif
