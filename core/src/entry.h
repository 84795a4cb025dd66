/* SPDX-License-Identifier: MIT */
/*
 * Changing descriptors. Every descriptor of a linked table is written by the functions
 * here and by nothing else, except that the hardware opens closed tracked pages at any
 * moment: so they are atomic, and tell what the entry held; one that is not says when it may be
 * used. s2_entry_swap and s2_entry_exchange change anything, s2_entry_open and s2_entry_close the
 * permission of a leaf; where old and new may not follow each other directly, s2_entry_replace goes
 * through break-before-make.
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
    if (!port_compare_exchange(pos->entry, &expected, pte, memory_order_acq_rel)) {
        return false;
    }
    port_entry_written(vm, pos->base, pos->level, pos->old, pte);
    return true;
}

/*
 * Give or take away the write permission of a page, whatever it is, and return what the descriptor
 * held. For leaves of a leaf table that are RAM, under the read lock at least: then only their
 * permission can change meanwhile. One read-modify-write, so that an update by the CPU's own table
 * walk is either seen in what is returned or comes later; ordered as in s2_entry_swap.
 */
static inline uint64_t s2_entry_open(const struct s2_vm *vm, s2_entry_t *entry, ipa_t ipa)
{
    uint64_t old = s2_pte_open(entry, S2_LEVEL_PAGE);

    port_entry_written(vm, ipa, S2_LEVEL_PAGE, old, s2_pte_opened(old, S2_LEVEL_PAGE));
    return old;
}

static inline uint64_t s2_entry_close(const struct s2_vm *vm, s2_entry_t *entry, ipa_t ipa)
{
    uint64_t old = s2_pte_close(entry, S2_LEVEL_PAGE);

    port_entry_written(vm, ipa, S2_LEVEL_PAGE, old, s2_pte_closed(old, S2_LEVEL_PAGE));
    return old;
}

/*
 * The same for a page whose descriptor was seen to hold old, as a plain store. For a sweep while
 * the hardware notes nothing: the one CPU that sweeps is alone in taking permissions away, and an
 * opening that is overwritten is one of a page that was open already, which faults once more.
 * Relaxed: the invalidation at the end of the sweep orders it (port_tlb_flush_vm).
 */
static inline void s2_entry_permit(const struct s2_vm *vm, s2_entry_t *entry, ipa_t ipa,
                                   uint64_t old, bool writable)
{
    uint64_t pte = writable ? s2_pte_opened(old, S2_LEVEL_PAGE) : s2_pte_closed(old, S2_LEVEL_PAGE);

    atomic_store_explicit(entry, pte, memory_order_relaxed);
    port_entry_written(vm, ipa, S2_LEVEL_PAGE, old, pte);
}

/*
 * Puts pte there whatever the hardware has made of pos->old meanwhile, and
 * returns what it was. For the holder of the write lock, who has nobody else
 * beside it; allowed for the same changes as s2_entry_swap.
 */
static inline uint64_t s2_entry_exchange(const struct s2_vm *vm, const struct s2_pos *pos,
                                         uint64_t pte)
{
    /* As in s2_entry_swap. */
    uint64_t old = port_exchange(pos->entry, pte, memory_order_acq_rel);

    port_entry_written(vm, pos->base, pos->level, old, pte);
    return old;
}

/*
 * Break-before-make: marker, invalidation of everything cached below pos, then
 * pte. leaf_bytes is the smallest leaf that may be cached. False: pos->old was
 * not there any more and nothing has changed. pos is a block, a table or nothing:
 * the hardware does not change those.
 */
bool s2_entry_replace(struct s2_vm *vm, const struct s2_pos *pos, uint64_t pte,
                      uint64_t leaf_bytes);

/*
 * The two halves of it. Between them nobody uses what pos->old led to, and what the
 * hardware has noted there is final. *ret_broken is what s2_entry_make wants.
 */
bool s2_entry_break(struct s2_vm *vm, const struct s2_pos *pos, uint64_t leaf_bytes,
                    struct s2_pos *ret_broken);
void s2_entry_make(struct s2_vm *vm, const struct s2_pos *broken, uint64_t pte);

#endif
