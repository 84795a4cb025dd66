/* SPDX-License-Identifier: MIT */
/*
 * The source's side of several connections to one receiver, and of what the receiver must be able
 * to do. docs/stream.md, "Several connections".
 */
#ifndef MIGRATE_STREAMS_H
#define MIGRATE_STREAMS_H

#include "handover/handover.h"
#include "migrate_transport.h"
#include "save/save_source.h"

struct migrate_streams {
    unsigned n; /* side connections that were opened */
    struct migrate_transport side[STREAM_STREAMS_MAX - 1];
};

/*
 * Right after HELLO. Opens as many side connections as options want, has the receiver join them to
 * the main one (`main_io`), and tells `source` of them. Forks. On failure what was opened stays
 * until migrate_streams_close().
 */
int migrate_streams_open(struct migrate_streams *streams, const struct gw_migrate_options *options,
                         const struct handover_hello *hello, struct handover_io *main_io,
                         struct save_source *source, struct gw_error *err);

/* Idempotent; fine on a zeroed structure. source must not send any more. */
void migrate_streams_close(struct migrate_streams *streams);

#endif
