/* SPDX-License-Identifier: MIT */
/*
 * A window of our own pages, given up one by one to make room for guests' pages, as Linux's privcmd
 * does: decrease_reservation, map the foreign page there. Holes are reused; closing the window
 * takes the same frames back.
 */
#include "control.h"

#include <string.h>
#include <xen/errno.h>
#include <xen/memory.h>

#define WINDOW_PAGES 64u

static uint8_t window[WINDOW_PAGES][4096] __attribute__((aligned(4096)));
static enum { SLOT_OURS, SLOT_HOLE, SLOT_MAPPED } slots[WINDOW_PAGES];

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

        if (slots[i] == SLOT_MAPPED) {
            continue;
        }
        if (slots[i] == SLOT_OURS && give_up(own) != 1) {
            return NULL;
        }
        slots[i] = SLOT_HOLE;
        if (add_foreign(domid, gfn, own) != 0) {
            return NULL;
        }
        slots[i] = SLOT_MAPPED;
        return window[i];
    }
    return NULL;
}

int control_unmap(void *page)
{
    struct xen_remove_from_physmap remove = {.domid = DOMID_SELF, .gpfn = (uint64_t)page >> 12};
    int64_t rc = control_memory_op(XENMEM_remove_from_physmap, &remove);

    if (rc == 0) {
        slots[((uint64_t)page - (uint64_t)window) / 4096] = SLOT_HOLE;
    }
    return (int)rc;
}

int control_window_close(void)
{
    for (size_t i = 0; i < WINDOW_PAGES; i++) {
        if (slots[i] == SLOT_MAPPED) {
            return -XEN_EBUSY;
        }
        if (slots[i] == SLOT_HOLE &&
            control_populate(DOMID_SELF, (uint64_t)window[i] >> 12, 0) != 1) {
            return -XEN_ENOMEM;
        }
        slots[i] = SLOT_OURS;
    }
    return 0;
}
