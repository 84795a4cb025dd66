/* SPDX-License-Identifier: MIT */
/* The device tree of a guest: the machine of xen/arch-arm.h and godwit/guest_map.h in words. */
#ifndef LIBGODWIT_TREE_H
#define LIBGODWIT_TREE_H

#include <libgodwit/error.h>
#include <libgodwit/layout.h>
#include <stddef.h>
#include <stdint.h>

#define GW_TREE_BYTES_MAX 65536u

struct gw_tree_spec {
    const struct gw_ram_bank *banks; /* GW_RAM_BANKS of them */
    uint32_t vcpus;
    const char *cmdline;
    uint64_t ramdisk_base, ramdisk_bytes; /* bytes 0: none */
    uint8_t rng_seed[32];
};

/* Writes the tree into buffer; ret_bytes is its size. Fails only if buffer is too small. */
int gw_tree_build(const struct gw_tree_spec *spec, void *buffer, size_t buffer_bytes,
                  size_t *ret_bytes, struct gw_error *err);

#endif
