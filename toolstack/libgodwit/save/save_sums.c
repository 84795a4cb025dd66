/* SPDX-License-Identifier: MIT */
#include "save_sums.h"

#include "pages/page_view.h"
#include "stream/stream_view.h"
#include <stdlib.h>
#include <zlib.h>

/* The sums of pages [first, first + n). */
static int sum_pages(struct migrate_host *host, uint32_t domid, const struct stream_memory *memory,
                     uint64_t first, uint32_t n, struct page_view *view, uint32_t *ret_sums,
                     struct gw_error *err)
{
    uint64_t gfns[MIGRATE_BATCH_PAGES];

    for (uint32_t done = 0, step; done < n; done += step) {
        step = n - done < MIGRATE_BATCH_PAGES ? n - done : MIGRATE_BATCH_PAGES;
        for (uint32_t i = 0; i < step; i++)
            gfns[i] = stream_memory_gfn(memory, first + done + i);
        if (page_view_read(view, host, domid, gfns, step, err))
            return -1;
        for (uint32_t i = 0; i < step; i++)
            ret_sums[done + i] = (uint32_t)crc32(0, view->pages[i], STREAM_PAGE_BYTES);
    }
    return 0;
}

int save_sums_of(struct migrate_host *host, uint32_t domid, const struct stream_memory *memory,
                 int (*on_sums)(void *arg, uint64_t first_page, const uint32_t *sums, uint32_t n,
                                struct gw_error *err),
                 void *arg, struct gw_error *err)
{
    uint64_t pages = stream_memory_pages(memory);
    uint32_t *sums = calloc(STREAM_SUMS_MAX, sizeof(*sums));
    struct page_view view = {0};
    int rc = 0;

    if (!sums)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    if (page_view_alloc(&view, err))
        rc = -1;
    for (uint64_t first = 0; rc == 0 && first < pages; first += STREAM_SUMS_MAX) {
        uint32_t n = pages - first < STREAM_SUMS_MAX ? (uint32_t)(pages - first) : STREAM_SUMS_MAX;

        rc = sum_pages(host, domid, memory, first, n, &view, sums, err) ||
                     on_sums(arg, first, sums, n, err)
                 ? -1
                 : 0;
    }
    page_view_free(&view);
    free(sums);
    return rc;
}

static int send_sums(void *arg, uint64_t first_page, const uint32_t *sums, uint32_t n,
                     struct gw_error *err)
{
    struct save_source *s = arg;
    struct stream_sums_header header = {.first_page = first_page, .count = n};
    struct iovec parts[2] = {{.iov_base = &header, .iov_len = sizeof(header)},
                             {.iov_base = (void *)(uintptr_t)sums, .iov_len = n * sizeof(*sums)}};

    return stream_write_record(&s->writer, STREAM_PAGE_SUMS, parts, 2, err);
}

int save_sums_send(struct save_source *s, struct gw_error *err)
{
    return save_sums_of(s->host, s->guest.domid, &s->memory, send_sums, s, err);
}
