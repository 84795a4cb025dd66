/* SPDX-License-Identifier: MIT */
/* A kernel file, unpacked and understood, and where everything goes in a guest's RAM. */
#ifndef LIBGODWIT_IMAGE_H
#define LIBGODWIT_IMAGE_H

#include <libgodwit/error.h>
#include <libgodwit/layout.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gw_image {
    uint8_t *data; /* malloc()ed */
    size_t bytes;
    bool is_linux;       /* has the arm64 Image header; otherwise a raw program */
    uint64_t offset;     /* of its first byte above RAM base */
    uint64_t room_bytes; /* that it takes in memory, >= bytes: BSS counts */
};

/* Reads path (gzip or not). bytes_max: what the guest's RAM could hold, also for unpacked data. */
int gw_image_load(struct gw_image *ret_image, const char *path, uint64_t bytes_max,
                  struct gw_error *err);
/* The same for data in memory; takes over data (malloc()ed), also on error. name is for messages.
 */
int gw_image_parse(struct gw_image *ret_image, const char *name, uint8_t *data, size_t bytes,
                   uint64_t bytes_max, struct gw_error *err);
void gw_image_free(struct gw_image *image);

struct gw_placement {
    uint64_t kernel, ramdisk, tree; /* guest physical; ramdisk 0: none */
};

/* Places image, ramdisk and device tree in the first bank: tree at the top, ramdisk below it. */
int gw_image_place(const struct gw_image *image, uint64_t ramdisk_bytes, uint64_t tree_bytes,
                   const struct gw_ram_bank *bank, struct gw_placement *ret_placement,
                   struct gw_error *err);

#endif
