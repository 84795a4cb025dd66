/* SPDX-License-Identifier: MIT */
/* The hypervisor's own address space. Only the boot CPU changes it, before the others start. */
#ifndef HV_EL2_MAP_H
#define HV_EL2_MAP_H

#include <core/addr.h>
#include <stdint.h>

enum el2_prot {
    EL2_TEXT,   /* read-only, executable */
    EL2_RODATA, /* read-only, never executable */
    EL2_DATA,   /* read-write, never executable */
    EL2_DEVICE, /* Device-nGnRE, read-write, never executable */
};

/*
 * Maps [va, va + bytes) to [pa, pa + bytes), page aligned, nothing mapped there yet, with the
 * largest blocks that fit. Takes table pages from the boot pool, later from frame_alloc_hv;
 * panics when there are none.
 */
void el2_map(uint64_t va, pa_t pa, uint64_t bytes, enum el2_prot prot);

/* Maps RAM into the direct map; text and rodata of the image stay read-only there too. */
void el2_map_ram(pa_t start, uint64_t bytes);

/* Maps device registers; page alignment is done here. */
volatile void *el2_map_device(uint64_t pa, uint64_t bytes);

/*
 * Leaves the provisional tables: maps the image with its final permissions and the RAM bank that
 * holds it, and switches over. image_pa: where the image was loaded.
 */
void el2_mmu_init(pa_t image_pa, pa_t bank, uint64_t bank_bytes);

/* Where the image is in physical memory, and its size with bss, rounded to pages. */
pa_t el2_image_pa(void);
uint64_t el2_image_bytes(void);

/*
 * The entry of the tables that decides about va at that level; tables above it are made, which
 * panics when there is no memory. Its neighbours up to the end of the table follow it.
 */
_Atomic uint64_t *el2_map_entry(uint64_t va, unsigned level);

/* Root table, for secondary CPUs. */
pa_t el2_root_pa(void);

/* Maps the stack of a secondary CPU with its guard; returns its top. */
uint64_t el2_map_stack(unsigned cpu);

#endif
