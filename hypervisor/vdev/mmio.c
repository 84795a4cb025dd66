/* SPDX-License-Identifier: MIT */
/* The table of a domain's emulated devices. */
#include <hv/errno.h>
#include <hv/mmio.h>
#include <stddef.h>

int mmio_add(struct mmio_map *map, const struct mmio_region *region)
{
    if (map->count == MMIO_REGIONS_MAX) {
        return -ENOSPC;
    }
    for (unsigned i = 0; i < map->count; i++) {
        const struct mmio_region *other = &map->regions[i];
        if (region->start.addr < other->start.addr + other->bytes &&
            other->start.addr < region->start.addr + region->bytes) {
            return -EEXIST;
        }
    }
    map->regions[map->count++] = *region;
    return 0;
}

const struct mmio_region *mmio_find(const struct mmio_map *map, ipa_t ipa)
{
    for (unsigned i = 0; i < map->count; i++) {
        const struct mmio_region *region = &map->regions[i];
        if (ipa.addr - region->start.addr < region->bytes) {
            return region;
        }
    }
    return NULL;
}
