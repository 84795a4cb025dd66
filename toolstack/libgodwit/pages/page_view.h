/* SPDX-License-Identifier: MIT */
/* Pages of a guest that stands still, to be summed or compared. */
#ifndef PAGE_VIEW_H
#define PAGE_VIEW_H

#include "host/migrate_host.h"

struct page_view {
    uint8_t *data;                             /* copies of pages with contents */
    const uint8_t *pages[MIGRATE_BATCH_PAGES]; /* of each frame of the last page_view_read */
};

/* GW_EXIT_FAILED: no memory. page_view_free takes a view of zeros, too. */
int page_view_alloc(struct page_view *view, struct gw_error *err);
void page_view_free(struct page_view *view);

/* Copies n frames, at most MIGRATE_BATCH_PAGES. -1: view.pages is not to be used. */
int page_view_read(struct page_view *view, struct migrate_host *host, uint32_t domid,
                   const uint64_t *gfns, unsigned n, struct gw_error *err);

#endif
