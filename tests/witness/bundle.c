/* SPDX-License-Identifier: MIT */
/*
 * Packs a Linux guest for a bare-metal control domain: kernel, ramdisk and device tree, placed as
 * the toolstack places them.
 *
 * usage: bundle OUTPUT KERNEL RAMDISK MIB VCPUS COMMAND_LINE
 */
#include <guest/witness.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "domain/image.h"
#include "domain/tree.h"
#include "file.h"

struct guest {
    struct gw_image kernel;
    struct gw_file ramdisk;
    uint8_t tree[GW_TREE_BYTES_MAX];
    size_t tree_bytes;
    struct gw_placement place;
    struct gw_ram_bank banks[GW_RAM_BANKS];
};

static int prepare(struct guest *guest, char **argv, struct gw_error *err)
{
    struct gw_tree_spec spec = {.banks = guest->banks,
                                .vcpus = (uint32_t)strtoul(argv[5], NULL, 10),
                                .cmdline = argv[6],
                                .rng_seed = "the same seed in every run here"};

    gw_layout_ram(strtoull(argv[4], NULL, 10), guest->banks);
    if (gw_image_load(&guest->kernel, argv[2], guest->banks[0].bytes, err) < 0 ||
        gw_file_read(&guest->ramdisk, argv[3], guest->banks[0].bytes, err) < 0 ||
        gw_image_place(&guest->kernel, guest->ramdisk.bytes, GW_TREE_BYTES_MAX, &guest->banks[0],
                       &guest->place, err) < 0) {
        return -1;
    }
    spec.ramdisk_base = guest->place.ramdisk;
    spec.ramdisk_bytes = guest->ramdisk.bytes;
    return gw_tree_build(&spec, guest->tree, sizeof(guest->tree), &guest->tree_bytes, err);
}

static int write_bundle(const struct guest *guest, const char *path, uint32_t vcpus)
{
    const void *data[WITNESS_PIECES] = {guest->kernel.data, guest->ramdisk.data, guest->tree};
    struct witness_bundle head = {
        .magic = WITNESS_MAGIC,
        .ram_bytes = guest->banks[0].bytes,
        .entry = guest->place.kernel,
        .tree = guest->place.tree,
        .vcpus = vcpus,
        .piece = {{0, guest->kernel.bytes, guest->place.kernel},
                  {0, guest->ramdisk.bytes, guest->place.ramdisk},
                  {0, guest->tree_bytes, guest->place.tree}},
    };
    uint64_t end = sizeof(head);
    FILE *file = fopen(path, "wb");
    int good = file != NULL;

    for (unsigned i = 0; i < WITNESS_PIECES; i++) {
        head.piece[i].offset = end;
        end += head.piece[i].bytes;
    }
    good = good && fwrite(&head, sizeof(head), 1, file) == 1;
    for (unsigned i = 0; i < WITNESS_PIECES; i++) {
        good = good && fwrite(data[i], head.piece[i].bytes, 1, file) == 1;
    }
    if (file != NULL && fclose(file) != 0) {
        good = 0;
    }
    return good ? 0 : -1;
}

int main(int argc, char **argv)
{
    static struct guest guest;
    struct gw_error err;

    if (argc != 7) {
        fprintf(stderr, "usage: bundle OUTPUT KERNEL RAMDISK MIB VCPUS COMMAND_LINE\n");
        return 2;
    }
    if (prepare(&guest, argv, &err) < 0) {
        fprintf(stderr, "bundle: %s\n", err.message);
        return 1;
    }
    if (write_bundle(&guest, argv[1], (uint32_t)strtoul(argv[5], NULL, 10)) < 0) {
        perror(argv[1]);
        return 1;
    }
    gw_image_free(&guest.kernel);
    gw_file_free(&guest.ramdisk);
    return 0;
}
