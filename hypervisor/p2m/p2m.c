/* SPDX-License-Identifier: MIT */
/*
 * Maps and unmaps a domain's own memory. Owns the rule which frame reference belongs to which
 * mapping: RAM holds the reference that the frame has for being the domain's, a foreign mapping
 * holds one of its own, hypervisor pages hold none.
 *
 * Lock order: domain.lock, then the stage-2 lock of that domain. References are dropped and
 * owners are told after both are released, because the last reference may free a whole domain.
 */
#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/errno.h>
#include <hv/frame.h>
#include <hv/p2m.h>

#include "p2m.h"

#define GFN_LIMIT         (UINT64_C(1) << (64 - PAGE_SHIFT))
#define TABLES_FREE       64u
#define REMOVE_PAGES_MAX  64u /* of 4 KiB leaves, under the lock at once */
#define RELINQUISH_LEAVES 128u

/* What s2_unmap released, as runs; acted upon when no lock is held. */
struct removed_run {
    ipa_t ipa;
    pa_t pa;
    uint64_t bytes;
    enum s2_type type;
    bool writable;
};

struct removal {
    unsigned count;
    struct removed_run runs[REMOVE_PAGES_MAX];
};

bool p2m_range_valid(uint64_t gfn, uint64_t pages)
{
    return pages != 0 && gfn < GFN_LIMIT && pages <= GFN_LIMIT - gfn;
}

void p2m_raise_max_gfn(struct domain *d, uint64_t gfn)
{
    uint64_t seen = atomic_load_explicit(&d->max_gfn, memory_order_relaxed);

    while (seen < gfn && !atomic_compare_exchange_weak_explicit(
                             &d->max_gfn, &seen, gfn, memory_order_relaxed, memory_order_relaxed)) {
    }
}

/*
 * A guest that maps its pages far apart makes a table for each. Room for all of its memory in 4 KiB
 * pages twice over, and what the toolstack grants on top, is enough for honest ones.
 */
static bool may_have_more_tables(const struct domain *d)
{
    return d->is_control ||
           s2_table_count(&d->s2) < d->pool_pages + d->max_pages / 256 + TABLES_FREE;
}

int p2m_map_alive(struct domain *d, uint64_t gfn, pa_t pa, uint64_t pages, enum s2_type type)
{
    int error = -EINVAL; /* what is mapped now would never be removed again */

    if (!may_have_more_tables(d)) {
        return -ENOMEM;
    }
    spin_lock(&d->lock);
    if (atomic_load_explicit(&d->dying, memory_order_relaxed) == DOMAIN_ALIVE) {
        error = s2_map(&d->s2, ipa_from_gfn(gfn), pa, pages << PAGE_SHIFT, type);
    }
    spin_unlock(&d->lock);
    return error;
}

int p2m_add_ram(struct domain *d, uint64_t gfn, pa_t pa, unsigned order)
{
    uint64_t pages = UINT64_C(1) << order;
    int error;

    if (!p2m_range_valid(gfn, pages)) {
        return -EINVAL;
    }
    /* Before the mapping exists: whoever finds the frame through it can ask where it is. */
    for (uint64_t i = 0; i < pages; i++) {
        frame_set_gfn(pa_add(pa, i << PAGE_SHIFT), gfn + i);
    }
    error = p2m_map_alive(d, gfn, pa, pages, S2_RAM_RW);
    if (error == 0) {
        p2m_raise_max_gfn(d, gfn + pages - 1);
    }
    return error;
}

static bool reserved_for(const struct domain *d, uint64_t gfn)
{
    pa_t pa = pa_from_mfn(gfn);

    return d->is_control && frame_is_ram(pa) && frame_owner(pa) == d->id;
}

int p2m_refill(struct domain *d, uint64_t gfn, unsigned order)
{
    uint64_t pages = UINT64_C(1) << order;

    if (!p2m_range_valid(gfn, pages)) {
        return -EINVAL;
    }
    for (uint64_t i = 0; i < pages; i++) {
        if (!reserved_for(d, gfn + i)) {
            return -ENOENT;
        }
    }
    return p2m_map_alive(d, gfn, pa_from_mfn(gfn), pages, S2_RAM_RW);
}

int p2m_add_shared(struct domain *d, uint64_t gfn, void *page)
{
    int error;

    if (!p2m_range_valid(gfn, 1)) {
        return -EINVAL;
    }
    error = p2m_map_alive(d, gfn, va_to_pa(page), 1, S2_SHARED);
    if (error == 0) {
        p2m_raise_max_gfn(d, gfn);
    }
    return error;
}

int p2m_set_type(struct domain *d, uint64_t gfn, uint64_t pages, enum s2_type type)
{
    int error = -EINVAL;

    if (!p2m_range_valid(gfn, pages)) {
        return -EINVAL;
    }
    /* Also keeps a removal from meeting more leaves than it has looked at. */
    spin_lock(&d->lock);
    if (atomic_load_explicit(&d->dying, memory_order_relaxed) == DOMAIN_ALIVE) {
        if (type == S2_RAM_RO) {
            atomic_store_explicit(&d->has_readonly, true, memory_order_relaxed); /* never goes */
        }
        error = s2_set_type(&d->s2, ipa_from_gfn(gfn), pages << PAGE_SHIFT, type);
    }
    spin_unlock(&d->lock);
    return error == -ENOENT ? -EINVAL : error;
}

static void removal_add(void *context, ipa_t ipa, pa_t pa, uint64_t bytes, enum s2_type type,
                        bool writable)
{
    struct removal *removal = context;
    struct removed_run *last = removal->count != 0 ? &removal->runs[removal->count - 1] : NULL;

    /* The pieces of a block that was split come one by one: they need no more than the sum. */
    if (last != NULL && type == last->type && type != S2_FOREIGN_RW && type != S2_FOREIGN_RO &&
        last->ipa.addr + last->bytes == ipa.addr && last->pa.addr + last->bytes == pa.addr) {
        last->bytes += bytes;
        return;
    }
    ASSERT(removal->count < REMOVE_PAGES_MAX);
    removal->runs[removal->count++] = (struct removed_run){ipa, pa, bytes, type, writable};
}

static void removal_finish_run(struct domain *d, const struct removed_run *run)
{
    bool ram = run->type == S2_RAM_RW || run->type == S2_RAM_RO;

    if (run->type == S2_FOREIGN_RW || run->type == S2_FOREIGN_RO) {
        p2m_foreign_released(d, run->pa, run->type == S2_FOREIGN_RW && run->writable);
        return;
    }
    if (!ram || (run->ipa.addr == run->pa.addr && reserved_for(d, ipa_gfn(run->ipa)))) {
        return;
    }
    frame_put_run(run->pa, run->bytes >> PAGE_SHIFT);
}

/*
 * One leaf, or up to REMOVE_PAGES_MAX pages from gfn on. Never more leaves than struct removal has
 * room for: the leaves of a block are one run, and domain.lock keeps others from mapping meanwhile.
 */
static int remove_some(struct domain *d, uint64_t gfn, uint64_t pages, uint64_t *ret_done)
{
    struct removal removal;
    ipa_t start = ipa_from_gfn(gfn), end = ipa_from_gfn(gfn + pages), at;
    struct s2_leaf leaf;
    uint64_t bytes;
    int error;

    removal.count = 0;
    spin_lock(&d->lock);
    leaf = s2_next(&d->s2, start, end, &at);
    if (leaf.type == S2_NONE) {
        spin_unlock(&d->lock);
        *ret_done = pages;
        return 0;
    }
    if (at.addr < start.addr) {
        at = start; /* the range starts inside a block */
    }
    bytes = leaf.bytes > PAGE_SIZE_BYTES ? leaf.bytes - (at.addr & (leaf.bytes - 1))
                                         : REMOVE_PAGES_MAX * PAGE_SIZE_BYTES;
    if (leaf.bytes == PAGE_SIZE_BYTES) {
        uint64_t to_block = (UINT64_C(2) << 20) - (at.addr & ((UINT64_C(2) << 20) - 1));

        bytes = bytes < to_block ? bytes : to_block; /* no block behind the pages */
    }
    bytes = bytes < end.addr - at.addr ? bytes : end.addr - at.addr;
    error = s2_unmap(&d->s2, at, bytes, removal_add, &removal);
    spin_unlock(&d->lock);
    for (unsigned i = 0; i < removal.count; i++) {
        removal_finish_run(d, &removal.runs[i]);
    }
    if (error == 0 && !d->is_control) {
        s2_merge_at(&d->s2, at); /* an empty table is of no use any more */
    }
    *ret_done = error == 0 ? ipa_gfn(ipa_add(at, bytes)) - gfn : 0;
    return error;
}

int p2m_remove_step(struct domain *d, uint64_t gfn, uint64_t pages, uint64_t *ret_done)
{
    uint64_t done = 0;
    int error = 0;

    *ret_done = 0;
    if (!p2m_range_valid(gfn, pages)) {
        return -EINVAL;
    }
    while (error == 0 && *ret_done < pages) {
        if (*ret_done != 0 && cpu_preempt_pending()) {
            return -ERESTART;
        }
        error = remove_some(d, gfn + *ret_done, pages - *ret_done, &done);
        *ret_done += done;
    }
    return error;
}

int p2m_remove(struct domain *d, uint64_t gfn, uint64_t pages)
{
    uint64_t done;
    int error;

    while ((error = p2m_remove_step(d, gfn, pages, &done)) == -ERESTART) {
        gfn += done;
        pages -= done;
    }
    return error;
}

int p2m_relinquish_step(struct domain *d, uint64_t *cursor_gfn)
{
    uint64_t limit = atomic_load_explicit(&d->max_gfn, memory_order_relaxed) + 1;

    for (unsigned i = 0; i < RELINQUISH_LEAVES; i++) {
        uint64_t done;

        if (*cursor_gfn >= limit) {
            return 0;
        }
        if (i != 0 && cpu_preempt_pending()) {
            return -ERESTART;
        }
        /* Whole leaves only, so nothing is split and nothing can fail. */
        ASSERT(remove_some(d, *cursor_gfn, limit - *cursor_gfn, &done) == 0);
        *cursor_gfn += done;
    }
    return *cursor_gfn >= limit ? 0 : -ERESTART;
}

void p2m_merge_around(struct domain *d, uint64_t gfn, uint64_t pages)
{
    const uint64_t block_pages = (UINT64_C(2) << 20) >> PAGE_SHIFT;

    if (!p2m_range_valid(gfn, pages)) {
        return;
    }
    for (uint64_t at = gfn & ~(block_pages - 1); at < gfn + pages; at += block_pages) {
        s2_merge_at(&d->s2, ipa_from_gfn(at));
    }
}
