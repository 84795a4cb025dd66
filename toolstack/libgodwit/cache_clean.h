/* SPDX-License-Identifier: MIT */
#ifndef CACHE_CLEAN_H
#define CACHE_CLEAN_H

#include <stddef.h>

/*
 * Writes what is in data caches of this memory back to it, for readers that use no caches: a guest
 * whose MMU is off. Complete when it returns. How is the CPU's matter: cpu/.
 */
void cache_clean(const void *memory, size_t bytes);

#endif
