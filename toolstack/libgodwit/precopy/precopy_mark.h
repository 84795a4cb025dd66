/* SPDX-License-Identifier: MIT */
/* Waits until the destination has what was sent: what stands in buffers on the way would be sent in
 * the downtime. */
#ifndef PRECOPY_MARK_H
#define PRECOPY_MARK_H

#include "precopy.h"

/*
 * Sends a mark on all connections and waits for its answer. *ret_ms: how long, 0 if the destination
 * knows no marks. The guest runs meanwhile. When the time is up it goes on waiting only if the
 * guest is to be stopped then: what is on the way would be downtime. -1: err is filled in.
 */
int precopy_mark(struct precopy *precopy, uint64_t *ret_ms, struct gw_error *err);

#endif
