/* SPDX-License-Identifier: MIT */
#include "restore_types.h"

#include "stream/stream_view.h"
#include <stdlib.h>
#include <string.h>

#define BATCH 256u /* ranges asked for at once */

static bool bit(const uint8_t *bits, uint64_t i)
{
    return bits && bits[i / 8] & (1u << (i % 8));
}

static void set_range(uint8_t *bits, uint64_t first, uint64_t pages)
{
    for (uint64_t i = first; i < first + pages; i++)
        bits[i / 8] |= (uint8_t)(1u << (i % 8));
}

int restore_types_take(struct restore_builder *b, const struct stream_record *record,
                       struct gw_error *err)
{
    struct stream_readonly readonly;
    uint64_t index = 0;
    const char *why;

    if (!b->created)
        return gw_error_set(err, GW_EXIT_CONFIG, "read-only memory without a guest");
    if (stream_view_readonly(record->body, record->length, &b->memory, &readonly, &why))
        return gw_error_set(err, GW_EXIT_CONFIG, "%s", why);
    if (!b->readonly)
        b->readonly = calloc(1, (size_t)(b->memory_pages + 7) / 8);
    if (!b->readonly)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    for (uint32_t i = 0; i < readonly.count; i++) {
        struct stream_range range = stream_readonly_range(&readonly, i);

        stream_memory_index(&b->memory, range.first_gfn, &index);
        set_range(b->readonly, index, range.pages);
    }
    return 0;
}

/* Runs of marked pages within one range of the guest's memory, which begins at page `first`. */
static int apply_range(struct restore_builder *b, const struct stream_range *memory, uint64_t first,
                       struct gw_error *err)
{
    for (uint64_t i = 0; i < memory->pages; i++) {
        struct stream_range run = {.first_gfn = memory->first_gfn + i};

        while (i < memory->pages && bit(b->readonly, first + i)) {
            run.pages++;
            i++;
        }
        if (run.pages && b->host->ops->set_readonly(b->host->ctx, b->domid, &run, err))
            return -1;
    }
    return 0;
}

/* What the host has now, as bits; to be freed. */
static uint8_t *read_back(struct restore_builder *b, struct gw_error *err)
{
    uint8_t *bits = calloc(1, (size_t)(b->memory_pages + 7) / 8);
    struct stream_range ranges[BATCH];
    uint64_t gfn = 0, index = 0;
    unsigned n;

    if (!bits)
        gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    while (bits && gfn != UINT64_MAX) {
        if (b->host->ops->get_readonly(b->host->ctx, b->domid, &gfn, ranges, BATCH, &n, err)) {
            free(bits);
            return NULL;
        }
        for (unsigned i = 0; i < n; i++)
            for (uint64_t page = 0; page < ranges[i].pages; page++)
                if (stream_memory_index(&b->memory, ranges[i].first_gfn + page, &index))
                    set_range(bits, index, 1);
    }
    return bits;
}

static int compare(struct restore_builder *b, struct gw_error *err)
{
    uint8_t *ours = read_back(b, err);
    uint64_t different = 0, first = 0;

    if (!ours)
        return -1;
    for (uint64_t i = b->memory_pages; i-- > 0;) {
        if (bit(ours, i) != bit(b->readonly, i)) {
            different++;
            first = i;
        }
    }
    free(ours);
    if (different)
        return gw_error_set(err, GW_EXIT_FAILED,
                            "%llu pages are not of the source's type, the first is frame 0x%llx",
                            (unsigned long long)different,
                            (unsigned long long)stream_memory_gfn(&b->memory, first));
    return 0;
}

int restore_types_apply(struct restore_builder *b, struct gw_error *err)
{
    uint64_t first = 0;

    for (uint32_t i = 0; b->readonly && i < b->memory.count; i++) {
        if (apply_range(b, &b->memory.ranges[i], first, err))
            return -1;
        first += b->memory.ranges[i].pages;
    }
    return b->verifying ? compare(b, err) : 0;
}
