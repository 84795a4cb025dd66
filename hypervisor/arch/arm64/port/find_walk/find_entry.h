/* SPDX-License-Identifier: MIT */
/* For vectors.S: what the way of finding pages changes there. Walking changes nothing. */
#ifndef FIND_ENTRY_H
#define FIND_ENTRY_H

/* clang-format off */

/* Permission faults of any level take the short way. */
#define FIND_FAST_MASK   0x3c
#define FIND_FAST_STATUS 0x0c

/* Synchronous exception of EL2 itself: nobody expects one. */
    .macro find_el2_sync
    el2_fatal 4
    .endm

/* ELR and SPSR stay where they are on the short way. x0: the vcpu; x1 and x2 change. */
    .macro find_save_return_early
    .endm
    .macro find_save_return
    mrs     x1, elr_el2
    mrs     x2, spsr_el2
    stp     x1, x2, [x0, #REGS_PC]
    .endm

#endif
