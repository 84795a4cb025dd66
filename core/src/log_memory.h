/* SPDX-License-Identifier: MIT */
/* Memory of the bitmaps. Callers hold the write lock, or are the only ones that know of them. */
#ifndef CORE_SRC_LOG_MEMORY_H
#define CORE_SRC_LOG_MEMORY_H

#include <core/port.h>

/* Makes room for the records of everything below end_gfn. -CORE_ENOMEM: nothing changed. */
int log_grow(struct s2_vm *vm, uint64_t end_gfn);
/* Gives the chunk of gfn, which log_grow has made room for, its bitmaps if it has none.
 * -CORE_ENOMEM. */
int log_add_bitmaps(struct s2_vm *vm, uint64_t gfn);
/* Frees the bitmaps of at most that many groups (2 GiB each); true when all are gone. */
bool log_free(struct s2_vm *vm, unsigned groups);

#endif
