/* SPDX-License-Identifier: MIT */
/* Whole pages for the large structures of a domain. */
#ifndef DOMAIN_ALLOC_H
#define DOMAIN_ALLOC_H

#include <core/addr.h>
#include <hv/frame.h>
#include <stddef.h>

static inline unsigned hv_order_of(size_t bytes)
{
    unsigned order = 0;

    while ((PAGE_SIZE_BYTES << order) < bytes) {
        order++;
    }
    return order;
}

/* Zeroed, page aligned; NULL: no memory. */
static inline void *hv_alloc_bytes(size_t bytes)
{
    return frame_alloc_hv(hv_order_of(bytes));
}

static inline void hv_free_bytes(void *va, size_t bytes)
{
    frame_free_hv(va, hv_order_of(bytes));
}

#endif
