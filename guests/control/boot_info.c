/* SPDX-License-Identifier: MIT */
/* What the device tree tells a bare-metal control domain: its command line and its ramdisk. */
#include "control.h"

#include <libfdt.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

static uint64_t read_cells(const fdt32_t *cells, int bytes)
{
    return bytes == 8 ? (uint64_t)fdt32_to_cpu(cells[0]) << 32 | fdt32_to_cpu(cells[1])
                      : fdt32_to_cpu(cells[0]);
}

static uint64_t chosen_number(const void *dtb, const char *name)
{
    int bytes = 0;
    const fdt32_t *cells = fdt_getprop(dtb, fdt_path_offset(dtb, "/chosen"), name, &bytes);

    return cells == NULL || (bytes != 4 && bytes != 8) ? 0 : read_cells(cells, bytes);
}

int control_ramdisk(const void *dtb, const void **ret_start, size_t *ret_bytes)
{
    uint64_t start = chosen_number(dtb, "linux,initrd-start");
    uint64_t end = chosen_number(dtb, "linux,initrd-end");

    if (start == 0 || end <= start) {
        return -XEN_ENOENT;
    }
    *ret_start = (const void *)start;
    *ret_bytes = end - start;
    return 0;
}

uint64_t control_option(const void *dtb, const char *name, uint64_t fallback)
{
    const char *at = fdt_getprop(dtb, fdt_path_offset(dtb, "/chosen"), "bootargs", NULL);
    size_t length = strlen(name);

    while (at != NULL && *at != '\0') {
        if (strncmp(at, name, length) == 0 && at[length] == '=') {
            return strtoul(at + length + 1, NULL, 0);
        }
        at = strchr(at, ' ');
        at = at == NULL ? NULL : at + 1;
    }
    return fallback;
}
