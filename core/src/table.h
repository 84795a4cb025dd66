/* SPDX-License-Identifier: MIT */
#ifndef CORE_SRC_TABLE_H
#define CORE_SRC_TABLE_H

#include "walk.h"

/* Frees a table of that level, unlinked and invalidated, and the tables below it. Write lock. */
void s2_table_free_all(struct s2_vm *vm, s2_entry_t *table, unsigned level);

#endif
