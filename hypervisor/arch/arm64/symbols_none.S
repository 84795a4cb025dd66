/* SPDX-License-Identifier: MIT */
/* The empty symbol table of the first link. */
    .section .symbols, "a"
    .balign 8
    .global symbol_count, symbols, symbol_names
symbol_count:
    .long   0
symbols:
    .quad   0
symbol_names:
    .byte   0
