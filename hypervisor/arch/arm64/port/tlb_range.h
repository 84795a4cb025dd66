/* SPDX-License-Identifier: MIT */
/* Operands of TLBI RIPAS2E1IS (FEAT_TLBIRANGE): (NUM + 1) << (5 * SCALE + 1) pages from BaseADDR
 * on. */
#ifndef PORT_TLB_RANGE_H
#define PORT_TLB_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#define TLB_RANGE_TG_4K       (UINT64_C(1) << 46)
#define TLB_RANGE_SCALE_SHIFT 44
#define TLB_RANGE_NUM_SHIFT   39
#define TLB_RANGE_BASE_MASK   ((UINT64_C(1) << 37) - 1)
/* Fewer than this: four operations do. */
#define TLB_RANGE_PAGES_MAX   (UINT64_C(1) << 21)

/* What is left to invalidate; at first with scale 0. */
struct tlb_range {
    uint64_t base, pages; /* an even number, below TLB_RANGE_PAGES_MAX */
    unsigned scale;
};

/* The operand of the next operation; false: all is invalidated. */
static inline bool tlb_range_next(struct tlb_range *range, uint64_t *ret_value)
{
    while (range->pages != 0) {
        unsigned scale = range->scale++, shift = 5 * scale + 1;
        uint64_t count = range->pages >> shift & 31;

        if (count != 0) {
            *ret_value = TLB_RANGE_TG_4K | (uint64_t)scale << TLB_RANGE_SCALE_SHIFT |
                         (count - 1) << TLB_RANGE_NUM_SHIFT | (range->base & TLB_RANGE_BASE_MASK);
            range->base += count << shift;
            range->pages -= count << shift;
            return true;
        }
    }
    return false;
}

#endif
