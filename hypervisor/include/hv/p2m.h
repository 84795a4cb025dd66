/* SPDX-License-Identifier: MIT */
/*
 * A domain's physical map: core/'s stage 2 plus frame references and accounting.
 *
 * The control domain is mapped 1:1. RAM that it gives up stays reserved for it, so that the hole
 * is later filled with the frame it had, and merges back into a block.
 *
 * Changes of a domain's map are serialised by domain.lock, taken inside. No function here may be
 * called with a domain's lock or its stage-2 lock held.
 */
#ifndef HV_P2M_H
#define HV_P2M_H

#include <core/s2.h>
#include <hv/domain.h>

/*
 * Maps 2^order freshly allocated frames of d (the count of 1 each has is the map's from now on).
 * -EEXIST, -ENOMEM, -EINVAL: nothing changed, the caller still owns the frames.
 */
int p2m_add_ram(struct domain *d, uint64_t gfn, pa_t pa, unsigned order);

/* The control domain: maps the reserved frame gfn again. -ENOENT if it has none there. */
int p2m_refill(struct domain *d, uint64_t gfn, unsigned order);

/*
 * Removes pages and drops the references they held, whatever their type; holes are fine. Of whole
 * blocks no more than one is removed before *ret_done is updated, at least one leaf or hole.
 * -ERESTART: go on at gfn + *ret_done. -ENOMEM: a block could not be split.
 */
int p2m_remove_step(struct domain *d, uint64_t gfn, uint64_t pages, uint64_t *ret_done);

/* The same to its end: for ranges known to be small. */
int p2m_remove(struct domain *d, uint64_t gfn, uint64_t pages);

/*
 * Maps a frame of another domain; holds a reference to it. What the page may do is decided by what
 * it is in its owner, not by whether it is write-protected at this moment. -EINVAL: no RAM there.
 */
int p2m_add_foreign(struct domain *d, uint64_t gfn, struct domain *source, uint64_t source_gfn);

/* Maps a page of the hypervisor (shared_info, grant table) that the guest may write. */
int p2m_add_shared(struct domain *d, uint64_t gfn, void *page);

/*
 * Changes what pages of RAM are: S2_RAM_RW, or S2_RAM_RO for pages that the guest may never write.
 * Holds domain.lock and the stage-2 lock for all of the range: at most 2 MiB at a time. Mappings in
 * other domains stay what they are. -EINVAL: not all of it is RAM, or d is being destroyed;
 * -ENOMEM: a block could not be split. Nothing has changed then.
 */
int p2m_set_type(struct domain *d, uint64_t gfn, uint64_t pages, enum s2_type type);

/* Turns the 2 MiB regions that hold [gfn, gfn + pages) back into blocks where they are whole again.
 */
void p2m_merge_around(struct domain *d, uint64_t gfn, uint64_t pages);

/*
 * A stage-2 write permission fault at ipa: opens and marks a logged page; tells the owner of a
 * foreign page that it is writable from now on, then opens it. Never allocates.
 */
enum s2_fault p2m_fault_write(struct domain *d, ipa_t ipa);

/*
 * Destruction: removes what is mapped from *cursor_gfn on, a bounded number of leaves. 0: nothing
 * is left, -ERESTART: call again.
 */
int p2m_relinquish_step(struct domain *d, uint64_t *cursor_gfn);

#endif
