/* SPDX-License-Identifier: MIT */
#include "work.h"

static uint64_t place(uint32_t all, uint32_t columns, uint32_t left, uint32_t right)
{
    uint64_t count = 0;
    if (columns == all)
        return 1;
    for (uint32_t open = all & ~(columns | left | right); open; open &= open - 1) {
        uint32_t bit = open & (0 - open);
        count += place(all, columns | bit, (left | bit) << 1, (right | bit) >> 1);
    }
    return count;
}

/* In how many ways so many queens stand on a board of their size, none in reach of another. */
uint64_t queens_count(int size)
{
    return place((1u << size) - 1, 0, 0, 0);
}
