/* SPDX-License-Identifier: MIT */
/* For vectors.S: what the window on leaf tables changes there. */
#ifndef FIND_ENTRY_H
#define FIND_ENTRY_H

/* clang-format off */

/*
 * Only permission faults of level 3 take the short way: there was a leaf table a moment ago, so the
 * window shows it, but for a race.
 */
#define FIND_FAST_MASK   0x3f
#define FIND_FAST_STATUS 0x0f

/* Synchronous exception of EL2 itself: a load through the window that found no table, or the end. */
    .macro find_el2_sync
    b       window_fault
    .endm

/* The short way may lose ELR and SPSR to such an exception. x0: the vcpu; x1 and x2 change. */
    .macro find_save_return_early
    mrs     x1, elr_el2
    mrs     x2, spsr_el2
    stp     x1, x2, [x0, #REGS_PC]
    .endm
    .macro find_save_return
    .endm

#endif
