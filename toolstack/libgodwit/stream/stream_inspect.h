/* SPDX-License-Identifier: MIT */
/* Checks a stream without a hypervisor, wherever it comes from: see gw_stream_check. */
#ifndef STREAM_INSPECT_H
#define STREAM_INSPECT_H

#include "stream_read.h"
#include <libgodwit/migrate.h>

/* As gw_stream_check; the reader is fresh, with a source and a body. */
int stream_inspect(const struct stream_reader *reader, const char *path,
                   const struct gw_stream_watcher *watcher, struct gw_stream_summary *ret_summary,
                   struct gw_error *err);

#endif
