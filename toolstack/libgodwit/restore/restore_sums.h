/* SPDX-License-Identifier: MIT */
/* restore --verify: the memory of the guest against the sums that save --verify wrote. */
#ifndef RESTORE_SUMS_H
#define RESTORE_SUMS_H

#include "restore_build.h"
#include "stream/stream_read.h"

/* Keeps the sums of a record. */
int restore_sums_take(struct restore_builder *builder, const struct stream_record *record,
                      struct gw_error *err);
/* All pages are there: reads and compares them, if builder.compare_sums. */
int restore_sums_compare(struct restore_builder *builder, struct gw_error *err);

#endif
