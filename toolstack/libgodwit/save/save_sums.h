/* SPDX-License-Identifier: MIT */
/* The sum of each page of a stopped guest, so that a restore can be compared: save --verify. */
#ifndef SAVE_SUMS_H
#define SAVE_SUMS_H

#include "save_source.h"

/* Calls on_sums for all pages of the guest in order, at most STREAM_SUMS_MAX at once. */
int save_sums_of(struct migrate_host *host, uint32_t domid, const struct stream_memory *memory,
                 int (*on_sums)(void *arg, uint64_t first_page, const uint32_t *sums, uint32_t n,
                                struct gw_error *err),
                 void *arg, struct gw_error *err);

/* Reads all memory of the paused guest and writes GODWIT_PAGE_SUMS. */
int save_sums_send(struct save_source *source, struct gw_error *err);

#endif
