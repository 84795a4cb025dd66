/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PAGES_H
#define BENCH_PAGES_H

/*
 * Prints what GODWIT_OP_PAGES costs a page: both directions, contents and zeros, guests in blocks
 * and in pages. Makes a guest of its own for each.
 */
void bench_pages(void);

#endif
