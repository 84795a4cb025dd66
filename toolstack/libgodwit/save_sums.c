/* SPDX-License-Identifier: MIT */
#include "save_sums.h"

#include "stream_view.h"
#include <stdlib.h>
#include <zlib.h>

static int sum_window(struct migrate_host *host, uint32_t domid, const uint64_t *gfns, unsigned n,
                      uint32_t *ret_sums, struct gw_error *err)
{
    struct migrate_window window;

    if (host->ops->map_pages(host->ctx, domid, gfns, n, &window, err))
        return -1;
    for (unsigned i = 0; i < n; i++)
        ret_sums[i] = (uint32_t)crc32(0, window.pages[i], STREAM_PAGE_BYTES);
    host->ops->unmap_pages(host->ctx, &window);
    return 0;
}

/* The sums of pages [first, first + n). */
static int sum_pages(struct migrate_host *host, uint32_t domid, const struct stream_memory *memory,
                     uint64_t first, uint32_t n, uint32_t *ret_sums, struct gw_error *err)
{
    uint64_t gfns[MIGRATE_WINDOW_PAGES];

    for (uint32_t done = 0, step; done < n; done += step) {
        step = n - done < MIGRATE_WINDOW_PAGES ? n - done : MIGRATE_WINDOW_PAGES;
        for (uint32_t i = 0; i < step; i++)
            gfns[i] = stream_memory_gfn(memory, first + done + i);
        if (sum_window(host, domid, gfns, step, ret_sums + done, err))
            return -1;
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
    int rc = 0;

    if (!sums)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    for (uint64_t first = 0; rc == 0 && first < pages; first += STREAM_SUMS_MAX) {
        uint32_t n = pages - first < STREAM_SUMS_MAX ? (uint32_t)(pages - first) : STREAM_SUMS_MAX;

        rc =
            sum_pages(host, domid, memory, first, n, sums, err) || on_sums(arg, first, sums, n, err)
                ? -1
                : 0;
    }
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
