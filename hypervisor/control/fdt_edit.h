/* SPDX-License-Identifier: MIT */
/* libfdt's editing functions for a tree that must come out right: an error ends the start. */
#ifndef CONTROL_FDT_EDIT_H
#define CONTROL_FDT_EDIT_H

#include <fdt_util.h>
#include <stdint.h>

/* Panics with libfdt's text if result is an error. */
void edit_check(int result);

/* New node; parent 0 is the root. */
int edit_add_node(void *fdt, int parent, const char *name);
void edit_set_u32(void *fdt, int node, const char *name, uint32_t value);
void edit_set_u64(void *fdt, int node, const char *name, uint64_t value);
void edit_set_string(void *fdt, int node, const char *name, const char *text);
/* One range, by the root's #address-cells and #size-cells. */
void edit_set_reg(void *fdt, int node, uint64_t start, uint64_t bytes);

#endif
