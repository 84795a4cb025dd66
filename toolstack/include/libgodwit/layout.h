/* SPDX-License-Identifier: MIT */
/* Where a guest's memory is: Xen's guest map (GUEST_* in xen/arch-arm.h) made concrete. */
#ifndef LIBGODWIT_LAYOUT_H
#define LIBGODWIT_LAYOUT_H

#include <stdint.h>

struct gw_ram_bank {
    uint64_t base;  /* guest physical */
    uint64_t bytes; /* 0: no such bank */
};

#define GW_RAM_BANKS 2

/* RAM of a guest with memory_mib MiB, and the guest page with the console ring. */
void gw_layout_ram(uint64_t memory_mib, struct gw_ram_bank ret_banks[GW_RAM_BANKS]);
uint64_t gw_layout_console_gfn(void);
/* Stage-2 table pages that the guest may ever need, in bytes: all of its RAM in 4 KiB pages. */
uint64_t gw_layout_mempool_bytes(uint64_t memory_mib);

#endif
