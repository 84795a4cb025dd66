/* SPDX-License-Identifier: MIT */
/*
 * Changing descriptors. Every descriptor of a linked table is written by the functions
 * here and by nothing else, except that the hardware opens closed tracked pages at any
 * moment: so they are atomic, and tell what the entry held; one that is not says when it may be
 * used. s2_entry_swap and s2_entry_exchange change anything, s2_entry_open and s2_entry_close the
 * permission of a leaf, s2_entry_sweep and s2_entries_sweep that of pages in a leaf table; where
 * old and new may not follow each other directly, s2_entry_replace goes through break-before-make.
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

/* What a sweep does to the pages of S2_RAM_RW in a leaf table. */
enum s2_sweep {
    S2_SWEEP_CLOSE, /* open ones are closed */
    S2_SWEEP_TRACK, /* those without the hardware's help get it */
    S2_SWEEP_OPEN,  /* all are opened, and lose the hardware's help */
};

static inline uint64_t s2_swept(uint64_t old, enum s2_sweep how)
{
    if (how == S2_SWEEP_OPEN) {
        return s2_pte_opened(s2_pte_untracked(old), S2_LEVEL_PAGE);
    }
    return how == S2_SWEEP_TRACK ? s2_pte_tracked(old) : s2_pte_closed(old, S2_LEVEL_PAGE);
}

/*
 * Plain stores, for a sweep under the read lock: the one CPU that sweeps is alone in taking
 * permissions away and in giving the hardware's help. So a page without it is changed by handlers
 * only, and an opening that is overwritten is one of a page that was open already, or whose bit is
 * set after it: it faults once more, or the hardware opens it. Opening overwrites what the hardware
 * notes, when nobody wants to know any more. Relaxed: the invalidation at the end of the sweep
 * orders them (port_tlb_flush_vm), and nobody scans before the sweep is over. True: the page has
 * changed.
 */
static inline bool s2_entry_sweep(const struct s2_vm *vm, s2_entry_t *entry, ipa_t ipa,
                                  enum s2_sweep how)
{
    uint64_t old = atomic_load_explicit(entry, memory_order_relaxed), pte;

    if (!s2_pte_is_leaf(old, S2_LEVEL_PAGE) || s2_pte_type(old, S2_LEVEL_PAGE) != S2_RAM_RW ||
        (how != S2_SWEEP_OPEN && s2_pte_is_tracked(old))) {
        return false; /* what the hardware has noted since stays noted */
    }
    pte = s2_swept(old, how);
    if (pte == old) {
        return false;
    }
    atomic_store_explicit(entry, pte, memory_order_relaxed);
    port_entry_written(vm, ipa, S2_LEVEL_PAGE, old, pte);
    return true;
}

/* The same for S2_GROUP pages that are all alike. False: nothing has changed, look at each. */
static inline bool s2_entries_sweep(const struct s2_vm *vm, s2_entry_t *entries, ipa_t ipa,
                                    enum s2_sweep how)
{
    uint64_t old[S2_GROUP];
    bool swept = how == S2_SWEEP_OPEN    ? s2_pte_open_pages(entries, old)
                 : how == S2_SWEEP_TRACK ? s2_pte_track_pages(entries, old)
                                         : s2_pte_close_pages(entries, old);

    for (unsigned i = 0; swept && i < S2_GROUP; i++, ipa.addr += PAGE_SIZE_BYTES) {
        port_entry_written(vm, ipa, S2_LEVEL_PAGE, old[i], s2_swept(old[i], how));
    }
    return swept;
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
