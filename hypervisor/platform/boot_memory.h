/* SPDX-License-Identifier: MIT */
/* From banks and reserved ranges to a filled frame allocator. */
#ifndef PLATFORM_BOOT_MEMORY_H
#define PLATFORM_BOOT_MEMORY_H

#include <core/addr.h>

/* The bank that holds pa; panics when none does. */
const struct host_bank *boot_memory_bank_of(pa_t pa);

/*
 * Gives bank's frames their records and its unreserved memory to the allocator. The bank is
 * in the direct map; image and device tree are reserved already.
 */
void boot_memory_add_bank(const struct host_bank *bank);

#endif
