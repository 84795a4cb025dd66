/* SPDX-License-Identifier: MIT */
/* Memory of the bitmaps. Callers hold the write lock, or are the only ones that know of them. */
#ifndef CORE_SRC_LOG_MEMORY_H
#define CORE_SRC_LOG_MEMORY_H

#include <core/port.h>

/* Makes room for the records of all chunks below end_gfn. -CORE_ENOMEM: nothing changed. */
int log_grow_chunks(struct s2_vm *vm, uint64_t end_gfn);
/* Gives the chunk of gfn its bitmaps if it has none. -CORE_ENOMEM. */
int log_add_bitmaps(struct s2_vm *vm, uint64_t gfn);
/* Frees the bitmaps of at most budget chunks; true when all are gone. */
bool log_free_bitmaps(struct s2_vm *vm, unsigned budget);

#endif
