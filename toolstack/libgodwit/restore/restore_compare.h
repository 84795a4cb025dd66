/* SPDX-License-Identifier: MIT */
/* May a guest that ran on `theirs` run on `ours`? docs/stream.md, GODWIT_HOST. */
#ifndef RESTORE_COMPARE_H
#define RESTORE_COMPARE_H

#include "stream/stream_format.h"
#include <libgodwit/error.h>

/* 0: yes. -1: no, and err (GW_EXIT_UNSUPPORTED) names the first difference. */
int restore_compare_hosts(const struct stream_host *theirs, const struct stream_host *ours,
                          struct gw_error *err);

#endif
