/* SPDX-License-Identifier: MIT */
#include "fdt_edit.h"

#include <hv/console.h>

void edit_check(int result)
{
    if (result < 0) {
        panic("control domain: cannot make its device tree: %s", fdt_strerror(result));
    }
}

int edit_add_node(void *fdt, int parent, const char *name)
{
    int node = fdt_add_subnode(fdt, parent, name);

    edit_check(node);
    return node;
}

void edit_set_u32(void *fdt, int node, const char *name, uint32_t value)
{
    edit_check(fdt_setprop_u32(fdt, node, name, value));
}

void edit_set_u64(void *fdt, int node, const char *name, uint64_t value)
{
    edit_check(fdt_setprop_u64(fdt, node, name, value));
}

void edit_set_string(void *fdt, int node, const char *name, const char *text)
{
    edit_check(fdt_setprop_string(fdt, node, name, text));
}

void edit_set_reg(void *fdt, int node, uint64_t start, uint64_t bytes)
{
    fdt32_t cells[4];
    unsigned n = 0;

    if (fdt_address_cells(fdt, 0) == 2) {
        cells[n++] = cpu_to_fdt32((uint32_t)(start >> 32));
    }
    cells[n++] = cpu_to_fdt32((uint32_t)start);
    if (fdt_size_cells(fdt, 0) == 2) {
        cells[n++] = cpu_to_fdt32((uint32_t)(bytes >> 32));
    }
    cells[n++] = cpu_to_fdt32((uint32_t)bytes);
    edit_check(fdt_setprop(fdt, node, "reg", cells, (int)(n * sizeof(cells[0]))));
}
