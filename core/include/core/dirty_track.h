/* SPDX-License-Identifier: MIT */
/*
 * Watches one range of pages for writes, beside the dirty log and whether it is on or not: for
 * whoever redraws a display. A page counts as written when its leaf was found open, or when a
 * hypercall or an emulated device wrote it; some pages may be reported that were not written
 * (turning logging on, a CLEAN), none is left out.
 *
 * The calls of one VM come one after the other: their caller sees to that.
 */
#ifndef CORE_DIRTY_TRACK_H
#define CORE_DIRTY_TRACK_H

#include <core/addr.h>
#include <core/error.h>
#include <core/s2_vm.h>

#define DIRTY_TRACK_PAGES_MAX (UINT64_C(1) << 18)

/*
 * Begins to watch gfns [first, first + pages); all of them count as written. Another range is
 * given up. pages from 1 to the maximum. Allocates; -CORE_ENOMEM: as before.
 */
int dirty_track_start(struct s2_vm *vm, uint64_t first_gfn, uint64_t pages);

/* Frees what watching needs. Pages that are closed for it open with their next write. */
void dirty_track_stop(struct s2_vm *vm);

/* This range is being watched. */
bool dirty_track_is_on(const struct s2_vm *vm, uint64_t first_gfn, uint64_t pages);

/*
 * Looks at all pages, closes the open ones and remembers them: a bounded number of them per call,
 * from *cursor on (0 to begin with), -CORE_ERESTART until all are done. Splits blocks; one that
 * cannot be split for want of memory stays open and counts as written. Write lock inside.
 */
int dirty_track_scan(struct s2_vm *vm, uint64_t *cursor);

/*
 * Takes what was remembered of pages [offset, offset + 64 * words) of the range into bits (bit i of
 * byte i/8), for dirty_track_finish to forget or to remember again. offset is a multiple of 64.
 * Bits behind the range are 0.
 */
void dirty_track_report(struct s2_vm *vm, uint64_t offset, uint64_t words, uint8_t *bits);

/* What was reported since the last call was delivered, or was not and counts again. */
void dirty_track_finish(struct s2_vm *vm, bool delivered);

#endif
