/* SPDX-License-Identifier: MIT */
/* Building the control domain; everything here runs once, on the boot CPU, before any guest. */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <core/addr.h>
#include <hv/fdt.h>
#include <stdbool.h>
#include <stdint.h>

struct domain;

#define CONTROL_BANKS_MAX 16

/* RAM of the control domain, gfn = mfn, 2 MiB aligned; the first bank takes kernel and ramdisk. */
struct control_memory {
    struct host_bank banks[CONTROL_BANKS_MAX];
    unsigned bank_count;
    uint64_t bytes;
};

/* Where things lie in its memory. */
struct control_layout {
    struct control_memory memory;
    pa_t kernel, ramdisk, fdt;
    uint64_t kernel_bytes; /* with its bss */
    uint64_t ramdisk_bytes;
    uint64_t fdt_bytes;
    pa_t grant_window; /* an address range that stays free for grant tables */
    uint64_t grant_window_bytes;
};

/* How much RAM it gets: dom0_mem=, or a quarter of what there is, at least 512 MiB. */
uint64_t control_memory_wanted(void);
/* Claims RAM from the frame allocator and maps it; panics when there is not enough. */
void control_memory_take(struct domain *d, uint64_t wanted, struct control_memory *ret_memory);

/*
 * Reads the header of an arm64 Image: bytes that it occupies (with bss) and its offset from a 2 MiB
 * boundary. NULL, or a sentence that says what is wrong with it.
 */
const char *control_image_check(const void *image, uint64_t file_bytes, uint64_t *ret_bytes,
                                uint64_t *ret_offset);

/*
 * Makes its device tree from the host's, in memory of the hypervisor. Returns it (packed), and the
 * order of the allocation for frame_free_hv.
 */
void *control_fdt_make(const struct domain *d, const struct control_layout *layout,
                       unsigned *ret_order);

/* Maps the registers and windows of every device that its tree names, and gives it their SPIs. */
void control_devices_assign(struct domain *d, const void *fdt);

/* PPI for event channels: the highest that the host does not use. */
uint32_t control_upcall_ppi(void);

#endif
