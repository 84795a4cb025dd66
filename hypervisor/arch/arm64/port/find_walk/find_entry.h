/* SPDX-License-Identifier: MIT */
/* For vectors.S: what the way of finding pages changes there. Walking changes nothing. */
#ifndef FIND_ENTRY_H
#define FIND_ENTRY_H

/* clang-format off */

/* Synchronous exception of EL2 itself: nobody expects one. */
    .macro find_el2_sync
    el2_fatal 4
    .endm

/* The short way of a write fault leaves ELR, SPSR, ESR and FAR as they are. */
#define FIND_FAST_BYTES 0
    .macro find_fast_save offset
    .endm
    .macro find_fast_restore offset
    .endm

#endif
