/* SPDX-License-Identifier: MIT */
/* Small readers of device-tree properties. Every one survives a malformed tree. */
#ifndef PLATFORM_FDT_UTIL_H
#define PLATFORM_FDT_UTIL_H

#include <libfdt.h>
#include <stdbool.h>
#include <stdint.h>

/* One address range of a node's reg, by the parent's #address-cells and #size-cells. */
struct fdt_range {
    uint64_t start;
    uint64_t bytes;
};

/* Range number index of reg; false when there is none (or its cells are not 1 or 2). */
bool fdt_reg(const void *fdt, int node, int parent, unsigned index, struct fdt_range *ret_range);

/* 32-bit cell number index of a property; fallback when absent or too short. */
uint32_t fdt_cell(const void *fdt, int node, const char *name, unsigned index, uint32_t fallback);

/* A number of one or two cells, by the property's length. False when absent. */
bool fdt_number(const void *fdt, int node, const char *name, uint64_t *ret_number);

/* The node's status is absent, "okay" or "ok". */
bool fdt_enabled(const void *fdt, int node);

/* Interrupt number index (GIC, three cells) as INTID; 0 when absent. */
uint32_t fdt_gic_intid(const void *fdt, int node, unsigned index);

bool fdt_compatible(const void *fdt, int node, const char *name);

#endif
