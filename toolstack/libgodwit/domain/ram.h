/* SPDX-License-Identifier: MIT */
#ifndef LIBGODWIT_RAM_H
#define LIBGODWIT_RAM_H

#include <libgodwit/hv.h>
#include <libgodwit/layout.h>

/* All RAM of a guest with memory_mib MiB. On failure what was given stays with the domain. */
int gw_ram_populate(struct gw_hv *hv, uint32_t domid, uint64_t memory_mib, struct gw_error *err);

/* Says how much the host has too little for a guest that needs so many pages more. Returns -1. */
int gw_ram_report_missing(struct gw_hv *hv, uint64_t pages, struct gw_error *err);

#endif
