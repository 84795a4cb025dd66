/* SPDX-License-Identifier: MIT */
/* Between the files of the `writer` guest. */
#ifndef TESTS_WRITER_H
#define TESTS_WRITER_H

#include <guest/writer_plan.h>
#include <stdbool.h>
#include <stdint.h>

/* What the CPU's table walker writes by itself. */
bool walk_sets_access_flags(void);
bool walk_sets_dirty_state(void);

/*
 * Maps the page at target_ipa at an address of its own, through a level-3 table in the page at
 * table_ipa. The walker is told to update what it can. Writes the table page.
 */
volatile uint64_t *walk_map(uint64_t table_ipa, uint64_t target_ipa, enum walk_entry entry);

#endif
