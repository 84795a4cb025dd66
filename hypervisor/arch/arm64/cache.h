/* SPDX-License-Identifier: MIT */
/* Data and instruction caches. Addresses are virtual (the direct map for RAM). */
#ifndef ARCH_CACHE_H
#define ARCH_CACHE_H

#include <core/addr.h>
#include <stddef.h>

/* Fills with zeros, by cache line where the CPU allows; va and bytes multiples of 4096. */
void cache_zero(void *va, size_t bytes);

/* Writes lines back to memory, for readers that do not use caches (a guest with its MMU off). */
void cache_clean(const void *va, size_t bytes);

/* As above, and drops the lines: before reading what somebody wrote past the caches. */
void cache_clean_invalidate(const void *va, size_t bytes);

/*
 * Before and after copying n pages of a guest, which may have its MMU off, or map them as not
 * cacheable: it writes and reads memory then, whatever lies in caches. Nothing is done where stage
 * 2 makes all that a guest does cacheable (FEAT_S2FWB), and, after writing, instruction fetches
 * look where data was written, too (CTR_EL0.IDC).
 */
void cache_before_reading(const pa_t *pages, unsigned n);
void cache_after_writing(const pa_t *pages, unsigned n);

/* Instruction caches of all CPUs see memory as it is now. */
void cache_invalidate_instructions(void);

#endif
