/* SPDX-License-Identifier: MIT */
/*
 * Changing descriptors. Every descriptor of a linked table is written by
 * s2_entry_swap and by nothing else; where old and new may not follow each other
 * directly, s2_entry_replace goes through break-before-make with it.
 */
#ifndef CORE_SRC_ENTRY_H
#define CORE_SRC_ENTRY_H

#include "walk.h"

/*
 * Replaces pos->old by pte; false if the entry holds something else by now. On
 * its own allowed for: nothing to anything, anything to nothing or the marker,
 * the marker to anything, and a change of permission.
 */
static inline bool s2_entry_swap(const struct s2_vm *vm, const struct s2_pos *pos, uint64_t pte)
{
    uint64_t expected = pos->old;

    /*
     * Release: pairs with s2_entry_load, so that a table is seen filled. Acquire:
     * the caller goes on from what the previous writer of the entry had done.
     */
    if (!atomic_compare_exchange_strong_explicit(pos->entry, &expected, pte, memory_order_acq_rel,
                                                 memory_order_relaxed)) {
        return false;
    }
    port_entry_written(vm, pos->base, pos->level, pos->old, pte);
    return true;
}

/*
 * Break-before-make: marker, invalidation of everything cached below pos, then
 * pte. leaf_bytes is the smallest leaf that may be cached. False: pos->old was
 * not there any more and nothing has changed.
 */
bool s2_entry_replace(struct s2_vm *vm, const struct s2_pos *pos, uint64_t pte,
                      uint64_t leaf_bytes);

#endif
