/* SPDX-License-Identifier: MIT */
/*
 * What the hardware has noted in the descriptors of tracked pages: a page is written to if its
 * descriptor is tracked and open. Read lock.
 */
#ifndef CORE_SRC_SCAN_H
#define CORE_SRC_SCAN_H

#include "gather.h"

/*
 * Closes the dirty pages among gfns [gfn, end) and marks them in the log; gfn is a multiple of 64,
 * and end is rounded up to one. What must be invalidated before anybody reads those pages is added
 * to gather.
 */
void log_collect(struct s2_vm *vm, struct s2_gather *gather, uint64_t gfn, uint64_t end);

/*
 * Leaves one page of each 64 to a fault, as dirty_log.sample says, and the others to the hardware.
 * Of closed pages only: what is open stays as it is until it has been collected. gfn, end and
 * gather as above.
 */
void log_place_sample(struct s2_vm *vm, struct s2_gather *gather, uint64_t gfn, uint64_t end);

/* The dirty pages among 64 from gfn on (a multiple of 64), as a bitmap; changes nothing. */
uint64_t log_look(struct s2_vm *vm, uint64_t gfn);

#endif
