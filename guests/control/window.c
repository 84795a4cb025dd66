/* SPDX-License-Identifier: MIT */
/*
 * A window of our own pages, given up one by one to make room for guests' pages, as Linux's privcmd
 * does: decrease_reservation, map the foreign page there; unmapping takes the same frame back.
 */
#include "control.h"

#include <string.h>
#include <xen/errno.h>
#include <xen/memory.h>

#define WINDOW_PAGES 64u

static uint8_t window[WINDOW_PAGES][4096] __attribute__((aligned(4096)));
static bool used[WINDOW_PAGES];

static int64_t give_up(uint64_t gfn)
{
    xen_pfn_t extent = gfn;
    struct xen_memory_reservation reservation = {.nr_extents = 1, .domid = DOMID_SELF};

    set_xen_guest_handle(reservation.extent_start, &extent);
    return control_memory_op(XENMEM_decrease_reservation, &reservation);
}

static int64_t add_foreign(domid_t domid, uint64_t source_gfn, uint64_t gfn)
{
    xen_ulong_t index = source_gfn;
    xen_pfn_t to = gfn;
    int error = 0;
    int64_t rc;
    struct xen_add_to_physmap_batch batch = {
        .domid = DOMID_SELF,
        .space = XENMAPSPACE_gmfn_foreign,
        .size = 1,
        .u.foreign_domid = domid,
    };

    set_xen_guest_handle(batch.idxs, &index);
    set_xen_guest_handle(batch.gpfns, &to);
    set_xen_guest_handle(batch.errs, &error);
    rc = control_memory_op(XENMEM_add_to_physmap_batch, &batch);
    return rc != 0 ? rc : error;
}

void *control_map(domid_t domid, uint64_t gfn)
{
    for (size_t i = 0; i < WINDOW_PAGES; i++) {
        uint64_t own = (uint64_t)window[i] >> 12;

        if (used[i]) {
            continue;
        }
        if (give_up(own) != 1) {
            return NULL;
        }
        if (add_foreign(domid, gfn, own) != 0) {
            control_populate(DOMID_SELF, own, 0);
            return NULL;
        }
        used[i] = true;
        return window[i];
    }
    return NULL;
}

int control_unmap(void *page)
{
    struct xen_remove_from_physmap remove = {.domid = DOMID_SELF, .gpfn = (uint64_t)page >> 12};
    int64_t rc = control_memory_op(XENMEM_remove_from_physmap, &remove);

    if (rc != 0) {
        return (int)rc;
    }
    used[((uint64_t)page - (uint64_t)window) / 4096] = false;
    return control_populate(DOMID_SELF, remove.gpfn, 0) == 1 ? 0 : -XEN_ENOMEM;
}
