/* SPDX-License-Identifier: MIT */
#ifndef LIBGODWIT_RAM_H
#define LIBGODWIT_RAM_H

#include <libgodwit/hv.h>
#include <libgodwit/layout.h>

/* All RAM of a guest with memory_mib MiB. On failure what was given stays with the domain. */
int gw_ram_populate(struct gw_hv *hv, uint32_t domid, uint64_t memory_mib, struct gw_error *err);

/* Says that the host has so many pages too few for a guest, and what to do. Returns -1. */
int gw_ram_report_missing(uint64_t pages, struct gw_error *err);

#endif
