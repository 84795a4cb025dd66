/* SPDX-License-Identifier: MIT */
/* Emulated device registers: address ranges of a domain and their handlers. */
#ifndef HV_MMIO_H
#define HV_MMIO_H

#include <core/addr.h>
#include <stdbool.h>
#include <stdint.h>

struct vcpu;

struct mmio_access {
    uint64_t offset; /* from the start of the region */
    uint8_t bytes;   /* 1, 2, 4, 8 */
    bool write;
    uint64_t value; /* in for writes, out for reads */
};

/* False: no such register or width, the guest gets an external abort. */
typedef bool (*mmio_fn)(struct vcpu *v, void *context, struct mmio_access *access);

struct mmio_region {
    ipa_t start;
    uint64_t bytes;
    mmio_fn handle;
    void *context;
};

#define MMIO_REGIONS_MAX 8

struct mmio_map {
    unsigned count;
    struct mmio_region regions[MMIO_REGIONS_MAX]; /* read only once the first vCPU runs */
};

int mmio_add(struct mmio_map *map, const struct mmio_region *region);
const struct mmio_region *mmio_find(const struct mmio_map *map, ipa_t ipa);

#endif
