/* SPDX-License-Identifier: MIT */
/*
 * increase, decrease and populate_physmap: a list of extents. The result is how many extents were
 * done, also after an error, as Xen's callers expect; progress of a long call goes into the
 * upper bits of the operation.
 */
#include <cache.h>
#include <godwit/ext.h>
#include <hv/cpu.h>
#include <hv/frame.h>
#include <hv/guest_access.h>
#include <hv/p2m.h>
#include <xen/memory.h>

#include "memory.h"

#define GUEST_ORDER_MAX 9u /* what a guest may ask for itself, as in Xen */

/* One extent of a reservation; false: it cannot be done, the call ends here. */
typedef bool (*extent_fn)(struct domain *d, uint64_t gfn, unsigned order);

static bool range_is_ram(struct domain *d, uint64_t gfn, uint64_t pages)
{
    uint64_t end = gfn + pages;

    if (end <= gfn || end > UINT64_C(1) << (64 - PAGE_SHIFT)) {
        return false;
    }
    while (gfn < end) {
        struct s2_leaf leaf = s2_lookup(&d->s2, ipa_from_gfn(gfn));

        if (leaf.type != S2_RAM_RW && leaf.type != S2_RAM_RO) {
            return false;
        }
        gfn = (gfn | ((leaf.bytes >> PAGE_SHIFT) - 1)) + 1; /* behind the leaf */
    }
    return true;
}

static bool decrease_extent(struct domain *d, uint64_t gfn, unsigned order)
{
    uint64_t pages = UINT64_C(1) << order;

    return range_is_ram(d, gfn, pages) && p2m_remove(d, gfn, pages) == 0;
}

static bool populate_new(struct domain *d, uint64_t gfn, unsigned order)
{
    uint64_t pages = UINT64_C(1) << order;
    pa_t pa;

    if (frame_free_pages() < pages + GODWIT_RESERVED_PAGES || !frame_alloc_domain(d, order, &pa)) {
        return false;
    }
    /* The guest may start with its caches off: it must see the zeros, not what was there before. */
    cache_clean(pa_to_va(pa), pages << PAGE_SHIFT);
    if (p2m_add_ram(d, gfn, pa, order) == 0) {
        return true;
    }
    for (uint64_t i = 0; i < pages; i++) {
        frame_put(pa_add(pa, i << PAGE_SHIFT));
    }
    return false;
}

static bool populate_extent(struct domain *d, uint64_t gfn, unsigned order)
{
    if (!d->is_control) {
        return populate_new(d, gfn, order);
    }
    if (p2m_refill(d, gfn, order) != 0) {
        return false;
    }
    p2m_merge_around(d, gfn, UINT64_C(1) << order);
    return true;
}

/* Returns how many extents are done, or HYPERCALL_RESTART. */
static long for_each_extent(struct hcall *call, const struct xen_memory_reservation *reservation,
                            struct domain *d, extent_fn extent)
{
    uint64_t start = call->arg[0] >> MEMOP_CMD_BITS;

    for (uint64_t i = start; i < reservation->nr_extents; i++) {
        xen_pfn_t gfn;

        if (i != start && cpu_preempt_pending()) {
            return memory_restart(call, i);
        }
        if (copy_from_guest(&gfn, reservation->extent_start.q + i * sizeof(gfn), sizeof(gfn)) !=
                0 ||
            !extent(d, gfn, reservation->extent_order)) {
            return (long)i;
        }
    }
    return (long)reservation->nr_extents;
}

static long reservation_op(struct hcall *call, extent_fn extent)
{
    long done = (long)(call->arg[0] >> MEMOP_CMD_BITS);
    struct xen_memory_reservation reservation;
    struct domain *d;

    if (copy_from_guest(&reservation, call->arg[1], sizeof(reservation)) != 0 ||
        reservation.nr_extents > UINT64_MAX >> MEMOP_CMD_BITS ||
        (uint64_t)done >= reservation.nr_extents ||
        reservation.extent_order > (call->d->is_control ? FRAME_ORDER_MAX : GUEST_ORDER_MAX)) {
        return done;
    }
    d = hcall_domain_get(call, reservation.domid);
    if (d == NULL) {
        return done;
    }
    if (!hcall_may_manage(call, d)) {
        done = -EPERM;
    } else if (extent != NULL && atomic_load_explicit(&d->dying, memory_order_relaxed) == 0) {
        done = for_each_extent(call, &reservation, d, extent);
    }
    domain_put(d);
    return done;
}

/* All guests are translated: memory without a place in the map is of no use, so none is given. */
long memory_increase(struct hcall *call)
{
    return reservation_op(call, NULL);
}

long memory_decrease(struct hcall *call)
{
    return reservation_op(call, decrease_extent);
}

long memory_populate(struct hcall *call)
{
    return reservation_op(call, populate_extent);
}
