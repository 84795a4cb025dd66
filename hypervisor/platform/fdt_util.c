/* SPDX-License-Identifier: MIT */
#include "fdt_util.h"

#include <string.h>

static uint64_t read_cells(const fdt32_t *cells, int count)
{
    uint64_t value = 0;

    for (int i = 0; i < count; i++) {
        value = value << 32 | fdt32_to_cpu(cells[i]);
    }
    return value;
}

bool fdt_reg(const void *fdt, int node, int parent, unsigned index, struct fdt_range *ret_range)
{
    int address_cells = fdt_address_cells(fdt, parent);
    int size_cells = fdt_size_cells(fdt, parent);
    int length;
    const fdt32_t *reg = fdt_getprop(fdt, node, "reg", &length);
    int cells = address_cells + size_cells;

    if (reg == NULL || address_cells < 1 || address_cells > 2 || size_cells < 0 || size_cells > 2 ||
        (uint64_t)length < (uint64_t)cells * 4 * (index + UINT64_C(1))) {
        return false;
    }
    reg += (unsigned)cells * index;
    ret_range->start = read_cells(reg, address_cells);
    ret_range->bytes = read_cells(reg + address_cells, size_cells);
    return ret_range->start + ret_range->bytes >= ret_range->start;
}

uint32_t fdt_cell(const void *fdt, int node, const char *name, unsigned index, uint32_t fallback)
{
    int length;
    const fdt32_t *cells = fdt_getprop(fdt, node, name, &length);

    if (cells == NULL || (uint64_t)length < (index + UINT64_C(1)) * 4) {
        return fallback;
    }
    return fdt32_to_cpu(cells[index]);
}

bool fdt_number(const void *fdt, int node, const char *name, uint64_t *ret_number)
{
    int length;
    const fdt32_t *cells = fdt_getprop(fdt, node, name, &length);

    if (cells == NULL || (length != 4 && length != 8)) {
        return false;
    }
    *ret_number = read_cells(cells, length / 4);
    return true;
}

bool fdt_enabled(const void *fdt, int node)
{
    const char *status = fdt_getprop(fdt, node, "status", NULL);

    return status == NULL || strcmp(status, "okay") == 0 || strcmp(status, "ok") == 0;
}

uint32_t fdt_gic_intid(const void *fdt, int node, unsigned index)
{
    uint32_t type = fdt_cell(fdt, node, "interrupts", index * 3, ~0u);
    uint32_t number = fdt_cell(fdt, node, "interrupts", index * 3 + 1, ~0u);

    if (type == 0 && number < 988) {
        return number + 32;
    }
    return type == 1 && number < 16 ? number + 16 : 0;
}

bool fdt_compatible(const void *fdt, int node, const char *name)
{
    return fdt_node_check_compatible(fdt, node, name) == 0;
}
