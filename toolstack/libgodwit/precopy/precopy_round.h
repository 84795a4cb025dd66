/* SPDX-License-Identifier: MIT */
/* One round of pre-copy: which pages are sent, which are left for the next, what was dirtied. */
#ifndef PRECOPY_ROUND_H
#define PRECOPY_ROUND_H

#include "precopy.h"

/* Of a bitmap with a bit for each frame below gfn_limit, in whole words as log_take gives it. */
size_t precopy_bitmap_bytes(const struct save_source *source);

/*
 * Sends the pages in precopy->wanted, or all if that is not `known` yet. A page that the log has
 * already again is left for the next round, unless the guest stands still.
 */
int precopy_round_send(struct precopy *precopy, bool known, struct gw_error *err);

/*
 * Takes the log. Afterwards `wanted` has what it held before (if keep), what was taken, and what
 * there was no time to send.
 */
int precopy_round_harvest(struct precopy *precopy, bool keep, bool final, struct gw_error *err);

/* Asks for the limits and the clock: true once the time is up. */
bool precopy_is_out_of_time(struct precopy *precopy);

#endif
