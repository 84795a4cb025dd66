/* SPDX-License-Identifier: MIT */
#include "page_view.h"

#include "stream/stream_format.h"
#include <stdlib.h>

int page_view_alloc(struct page_view *view, struct gw_error *err)
{
    if (!view->data)
        view->data = aligned_alloc(STREAM_PAGE_BYTES, MIGRATE_BATCH_PAGES * STREAM_PAGE_BYTES);
    return view->data ? 0 : gw_error_set(err, GW_EXIT_FAILED, "out of memory");
}

void page_view_free(struct page_view *view)
{
    free(view->data);
    view->data = NULL;
}

int page_view_read(struct page_view *view, struct migrate_host *host, uint32_t domid,
                   const uint64_t *gfns, unsigned n, struct gw_error *err)
{
    static const uint8_t zero_page[STREAM_PAGE_BYTES];
    bool zero[MIGRATE_BATCH_PAGES];
    const uint8_t *next = view->data;
    unsigned done;

    /* There is room for all, so all of them come. */
    if (host->ops->read_pages(host->ctx, domid, gfns, n, view->data, n, zero, &done, err))
        return -1;
    for (unsigned i = 0; i < n; i++) {
        view->pages[i] = zero[i] ? zero_page : next;
        next += zero[i] ? 0 : STREAM_PAGE_BYTES;
    }
    return 0;
}
