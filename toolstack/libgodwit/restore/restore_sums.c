/* SPDX-License-Identifier: MIT */
#include "restore_sums.h"

#include "save/save_sums.h"
#include "stream/stream_view.h"
#include <stdlib.h>
#include <string.h>

int restore_sums_take(struct restore_builder *b, const struct stream_record *record,
                      struct gw_error *err)
{
    struct stream_sums sums;
    const char *why;

    if (!b->created)
        return gw_error_set(err, GW_EXIT_CONFIG, "sums of pages without a guest");
    if (stream_view_sums(record->body, record->length, b->summed_pages, b->memory_pages, &sums,
                         &why))
        return gw_error_set(err, GW_EXIT_CONFIG, "%s", why);
    if (!b->compare_sums)
        return 0;
    if (!b->sums)
        b->sums = calloc(b->memory_pages, sizeof(*b->sums));
    if (!b->sums)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    memcpy(b->sums + sums.first_page, sums.sums, sums.count * sizeof(*b->sums));
    b->summed_pages += sums.count;
    return 0;
}

static int compare(void *arg, uint64_t first_page, const uint32_t *sums, uint32_t n,
                   struct gw_error *err)
{
    struct restore_builder *b = arg;

    for (uint32_t i = 0; i < n; i++)
        if (sums[i] != b->sums[first_page + i] && b->different_pages++ == 0)
            b->first_different_gfn = stream_memory_gfn(&b->memory, first_page + i);
    return 0;
}

int restore_sums_compare(struct restore_builder *b, struct gw_error *err)
{
    if (!b->compare_sums)
        return 0;
    if (b->summed_pages != b->memory_pages)
        return gw_error_set(err, GW_EXIT_CONFIG,
                            "there is nothing to compare with: the guest was not saved with "
                            "--verify");
    if (save_sums_of(b->host, b->domid, &b->memory, compare, b, err))
        return -1;
    if (b->different_pages)
        return gw_error_set(err, GW_EXIT_FAILED,
                            "%llu pages are not as they were when the guest was saved, the first "
                            "is frame 0x%llx",
                            (unsigned long long)b->different_pages,
                            (unsigned long long)b->first_different_gfn);
    return 0;
}
