/* SPDX-License-Identifier: MIT */
/* Gives a new guest its RAM, in the largest aligned extents that memory allows. */
#include <godwit/ext.h>
#include <inttypes.h>

#include "ram.h"

/* 1 GiB, 2 MiB, 4 KiB: what stage 2 can map with one descriptor. */
static const unsigned orders[] = {18, 9, 0};
#define ORDERS_N (sizeof(orders) / sizeof(orders[0]))

#define BATCH         512u
#define PAGES_PER_MIB (1u << (20 - GW_PAGE_SHIFT))

/* As many extents of this order from *gfn up to end as there are; fewer is fine. */
static int populate_order(struct gw_hv *hv, uint32_t domid, uint64_t *gfn, uint64_t end,
                          unsigned order)
{
    uint64_t gfns[BATCH];

    while (end - *gfn >= 1ULL << order) {
        unsigned n = 0, done = 0;
        int rc;

        while (n < BATCH && end - *gfn >= (uint64_t)(n + 1) << order) {
            gfns[n] = *gfn + ((uint64_t)n << order);
            n++;
        }
        rc = gw_hv_populate(hv, domid, gfns, n, order, &done);
        if (rc < 0)
            return rc;
        *gfn += (uint64_t)done << order;
        if (done < n)
            break;
    }
    return 0;
}

/* Largest extent that starts at gfn, fits before end, and is not larger than order index `from`. */
static unsigned order_index(uint64_t gfn, uint64_t end, unsigned from)
{
    unsigned i = from;

    while (i < ORDERS_N - 1 && ((gfn & ((1ULL << orders[i]) - 1)) || end - gfn < 1ULL << orders[i]))
        i++;
    return i;
}

int gw_ram_report_missing(struct gw_hv *hv, uint64_t pages, struct gw_error *err)
{
    struct gw_hv_physinfo host;
    int rc = gw_hv_physinfo(hv, &host);

    if (rc < 0)
        return gw_error_errno(err, rc,
                              "not enough memory on this host, and it does not say how much");
    pages += GODWIT_RESERVED_PAGES;
    pages = pages > host.free_pages ? pages - host.free_pages : 1; /* some became free just now */
    return gw_error_set(err, GW_EXIT_FAILED,
                        "not enough memory on this host: %" PRIu64 " MiB are missing; end or move "
                        "another of its guests first",
                        (pages + PAGES_PER_MIB - 1) / PAGES_PER_MIB);
}

/* `later_pages` are still to come after this bank. */
static int populate_bank(struct gw_hv *hv, uint32_t domid, const struct gw_ram_bank *bank,
                         uint64_t later_pages, struct gw_error *err)
{
    uint64_t gfn = bank->base >> GW_PAGE_SHIFT;
    uint64_t end = gfn + (bank->bytes >> GW_PAGE_SHIFT);
    unsigned largest = 0; /* sizes above it have run out */

    while (gfn < end) {
        unsigned i = order_index(gfn, end, largest);
        /* Smaller extents only up to the next boundary where a larger one fits again. */
        uint64_t stop = end;
        uint64_t before = gfn;
        int rc;

        if (i > largest) {
            uint64_t mask = (1ULL << orders[i - 1]) - 1;

            stop = ((gfn + mask) & ~mask) == gfn ? end : ((gfn + mask) & ~mask);
            stop = stop < end ? stop : end;
        }
        rc = populate_order(hv, domid, &gfn, stop, orders[i]);
        if (rc < 0)
            return gw_error_errno(err, rc, "cannot give the guest memory");
        if (gfn != before)
            continue;
        if (i == ORDERS_N - 1)
            return gw_ram_report_missing(hv, end - gfn + later_pages, err);
        largest = i + 1;
    }
    return 0;
}

int gw_ram_populate(struct gw_hv *hv, uint32_t domid, uint64_t memory_mib, struct gw_error *err)
{
    uint64_t later_pages = memory_mib * PAGES_PER_MIB;
    struct gw_ram_bank banks[GW_RAM_BANKS];

    gw_layout_ram(memory_mib, banks);
    for (unsigned i = 0; i < GW_RAM_BANKS; i++) {
        later_pages -= banks[i].bytes >> GW_PAGE_SHIFT;
        if (populate_bank(hv, domid, &banks[i], later_pages, err) < 0)
            return -1;
    }
    return 0;
}
