/* SPDX-License-Identifier: MIT */
/* Table pages: those in use are counted, those set aside for splits are listed. */
#ifndef CORE_SRC_POOL_H
#define CORE_SRC_POOL_H

#include <core/port.h>

/* A fresh zeroed table page from the port, counted as in use; NULL: none. */
void *s2_table_alloc(struct s2_vm *vm);
void s2_table_free(struct s2_vm *vm, void *table);

/* A prepaid page, contents undefined, counted as in use; NULL: the pool is empty. Allocates
 * nothing. */
void *s2_pool_take(struct s2_vm *vm);
/* Gives back what s2_pool_take gave. */
void s2_pool_put(struct s2_vm *vm, void *table);

/* Adds at most pages from the port; returns how many could be had. */
uint64_t s2_pool_grow(struct s2_vm *vm, uint64_t pages);
/* Hands at most pages back to the port; returns how many there were. */
uint64_t s2_pool_shrink(struct s2_vm *vm, uint64_t pages);

uint64_t s2_pool_pages(struct s2_vm *vm);

#endif
