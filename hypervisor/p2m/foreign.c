/* SPDX-License-Identifier: MIT */
/*
 * Mappings of another domain's frames. Xen's ABI cannot ask for a read-only mapping, so a
 * writable one starts closed: reading marks nothing. The first write tells the owner's dirty
 * log that somebody may write the page unseen (a pin), and only then opens it. The pin lasts
 * until the page is unmapped.
 *
 * A source that was destroyed stays in the list of domains while its frames are mapped, so its
 * stage 2 and its log may be asked as long as a reference to one of its frames is held.
 */
#include <core/dirty_log.h>
#include <hv/errno.h>
#include <hv/frame.h>
#include <hv/p2m.h>

#include "p2m.h"

int p2m_add_foreign(struct domain *d, uint64_t gfn, struct domain *source, uint64_t source_gfn)
{
    struct s2_leaf leaf;
    enum s2_type type;
    pa_t frame;
    int error;

    if (!p2m_range_valid(gfn, 1) || !p2m_range_valid(source_gfn, 1)) {
        return -EINVAL;
    }
    leaf = s2_lookup_hold(&source->s2, ipa_from_gfn(source_gfn), frame_get);
    if (leaf.type != S2_RAM_RW && leaf.type != S2_RAM_RO) {
        if (leaf.type == S2_FOREIGN_RW || leaf.type == S2_FOREIGN_RO) {
            frame_put(leaf.pa);
        }
        return -EINVAL;
    }
    frame = leaf.pa;
    type = leaf.type == S2_RAM_RW ? S2_FOREIGN_RW : S2_FOREIGN_RO;
    error = p2m_map_alive(d, gfn, frame, 1, type);
    if (error != 0) {
        frame_put(frame);
        return error;
    }
    atomic_fetch_add_explicit(&d->foreign_pages, 1, memory_order_relaxed);
    p2m_raise_max_gfn(d, gfn);
    return 0;
}

void p2m_foreign_released(struct domain *d, pa_t pa, bool was_writable)
{
    struct domain *owner = was_writable ? domain_get(frame_owner(pa)) : NULL;

    if (owner != NULL) {
        dirty_log_unpin(&owner->s2, ipa_from_gfn(frame_gfn(pa)));
        domain_put(owner);
    }
    atomic_fetch_sub_explicit(&d->foreign_pages, 1, memory_order_relaxed);
    frame_put(pa);
}

static enum s2_fault open_foreign(struct domain *d, struct domain *owner, ipa_t ipa, pa_t frame)
{
    ipa_t owner_ipa = ipa_from_gfn(frame_gfn(frame));

    if (dirty_log_pin(&owner->s2, owner_ipa) != 0) {
        return S2_FAULT_READONLY; /* no memory to remember the writer: it may not write */
    }
    if (!s2_open_foreign(&d->s2, ipa, frame)) {
        dirty_log_unpin(&owner->s2, owner_ipa); /* opened by another CPU, or unmapped meanwhile */
    }
    return S2_FAULT_RETRY;
}

static enum s2_fault fault_foreign(struct domain *d, ipa_t ipa)
{
    ipa_t page = ipa_make(ipa.addr & ~PAGE_MASK);
    struct s2_leaf leaf = s2_lookup_hold(&d->s2, page, frame_get);
    enum s2_fault fault = S2_FAULT_RETRY; /* also if it is something else by now */
    struct domain *owner;

    if (leaf.type == S2_NONE || leaf.type == S2_DEVICE || leaf.type == S2_SHARED) {
        return fault;
    }
    owner = leaf.type == S2_FOREIGN_RW ? domain_get(frame_owner(leaf.pa)) : NULL;
    if (owner != NULL) {
        fault = open_foreign(d, owner, page, leaf.pa);
        domain_put(owner);
    }
    frame_put(leaf.pa);
    return fault;
}

enum s2_fault p2m_fault_write(struct domain *d, ipa_t ipa)
{
    enum s2_fault fault = s2_fault_write(&d->s2, ipa);

    return fault == S2_FAULT_FOREIGN ? fault_foreign(d, ipa) : fault;
}
