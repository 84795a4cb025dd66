/* SPDX-License-Identifier: MIT */
/* A block becomes a table of the next smaller leaves, which translate as it did. */
#ifndef CORE_SRC_SPLIT_H
#define CORE_SRC_SPLIT_H

#include "walk.h"

/*
 * Splits the block at pos with the given page (contents do not matter), through
 * break-before-make. False: somebody changed the entry first, the page is the
 * caller's again and nothing was changed. Either lock.
 */
bool s2_split(struct s2_vm *vm, const struct s2_pos *pos, void *page);
/* The same into closed leaves, whatever the block was: while logging is being enabled. */
bool s2_split_closed(struct s2_vm *vm, const struct s2_pos *pos, void *page);

/*
 * Splits until no block reaches across ipa. Write lock. -CORE_ENOMEM: the blocks
 * that had been split by then stay split, which nobody can tell from outside.
 */
int s2_split_at(struct s2_vm *vm, ipa_t ipa);

#endif
