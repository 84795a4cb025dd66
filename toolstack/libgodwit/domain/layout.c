/* SPDX-License-Identifier: MIT */
#include <libgodwit/layout.h>
#include <libgodwit/xen_abi.h>

/* Page 3 of the magic pages, where Xen's toolstack puts the console ring of an emulated UART. */
#define CONSOLE_MAGIC_PAGE 3

#define MIB (1ULL << 20)

void gw_layout_ram(uint64_t memory_mib, struct gw_ram_bank ret_banks[GW_RAM_BANKS])
{
    uint64_t bytes = memory_mib * MIB;
    uint64_t low = bytes < GUEST_RAM0_SIZE ? bytes : GUEST_RAM0_SIZE;

    ret_banks[0] = (struct gw_ram_bank){.base = GUEST_RAM0_BASE, .bytes = low};
    ret_banks[1] = (struct gw_ram_bank){.base = GUEST_RAM1_BASE, .bytes = bytes - low};
}

uint64_t gw_layout_console_gfn(void)
{
    return (GUEST_MAGIC_BASE >> 12) + CONSOLE_MAGIC_PAGE;
}

uint64_t gw_layout_mempool_bytes(uint64_t memory_mib)
{
    uint64_t leaf_tables = (memory_mib + 1) / 2; /* one of 4 KiB for each 2 MiB */
    uint64_t upper_tables = memory_mib / 1024 + 2 * GW_RAM_BANKS;
    uint64_t devices = 16; /* root tables, magic pages */

    return (leaf_tables + upper_tables + devices) * 4096;
}
