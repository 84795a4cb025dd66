/* SPDX-License-Identifier: MIT */
/* Data and instruction caches. Addresses are virtual (the direct map for RAM). */
#ifndef ARCH_CACHE_H
#define ARCH_CACHE_H

#include <stddef.h>

/* Fills with zeros, by cache line where the CPU allows; va and bytes multiples of 4096. */
void cache_zero(void *va, size_t bytes);

/* Writes lines back to memory, for readers that do not use caches (a guest with its MMU off). */
void cache_clean(const void *va, size_t bytes);

/* As above, and drops the lines: before reading what somebody wrote past the caches. */
void cache_clean_invalidate(const void *va, size_t bytes);

/*
 * The same before reading what a guest wrote that may have its MMU off; does nothing where stage 2
 * makes all that a guest does cacheable.
 */
void cache_catch_up(const void *va, size_t bytes);

/* Instruction caches of all CPUs see memory as it is now. */
void cache_invalidate_instructions(void);

#endif
