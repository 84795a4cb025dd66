/* SPDX-License-Identifier: MIT */
/*
 * Finding the descriptor of a page. Two ways, chosen by the folder in the include path: find_walk
 * goes down the table, find_linear reads the descriptor with one load through a window in which the
 * VM's leaf tables lie side by side (docs/design/stage2.md, "Finding the leaf").
 */
#ifndef CORE_SRC_FIND_H
#define CORE_SRC_FIND_H

#include "walk.h"

/*
 * The descriptor of the page at ipa, if it is a page that decides about ipa. If the result is no
 * leaf of S2_LEVEL_PAGE, nothing is known yet: s2_find_other must follow. ipa is below s2_end.
 * Either lock. entry may be the descriptor under another address than s2_find's; it may be read and
 * changed through it until the lock is dropped.
 */
static inline struct s2_pos s2_find_page(const struct s2_vm *vm, ipa_t ipa);

/* The descriptor that decides about ipa, after s2_find_page found no page, or at any time. */
static inline struct s2_pos s2_find_other(const struct s2_vm *vm, ipa_t ipa);

/* After the root was made. -CORE_ENOMEM: nothing was changed. */
static inline int s2_find_init(struct s2_vm *vm);
/* Before the tables are freed: on return no CPU finds any of them. Nobody looks for pages any more.
 */
static inline void s2_find_destroy(struct s2_vm *vm);

/*
 * The table that pos->old links is unlinked: on return no CPU finds it or a table below it. Before
 * it is freed, and before another is linked there. Write lock.
 */
static inline void s2_find_forget(const struct s2_vm *vm, const struct s2_pos *pos);

/* Defines these, and S2_FIND_LARGEST: the level of the largest leaves that may be made. */
#include <find_way.h>

#endif
