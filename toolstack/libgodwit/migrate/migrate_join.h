/* SPDX-License-Identifier: MIT */
/*
 * How several connections become one migration at the destination. Each connection has a process of
 * its own (ssh starts one for each). The main one makes a token and tells the source; whoever gets
 * JOIN with it hands its descriptors to the main one, over a socket without a name in any file
 * system, and lives until that one is done. docs/stream.md, "Several connections".
 */
#ifndef MIGRATE_JOIN_H
#define MIGRATE_JOIN_H

#include "handover/handover.h"
#include "stream/stream_format.h"

struct migrate_joined {
    unsigned n;                             /* side connections, in order: index 1 is [0] */
    int in_fd[STREAM_STREAMS_MAX - 1];      /* their streams */
    int out_fd[STREAM_STREAMS_MAX - 1];     /* kept open, or a socket would be half closed */
    int control_fd[STREAM_STREAMS_MAX - 1]; /* closing it ends the process that had joined */
    bool only_try;                          /* HANDOVER_BEGIN_TRY */
    struct handover_ask ask;                /* of a connection that only asks */
};

enum migrate_role { MIGRATE_MAIN, MIGRATE_SIDE, MIGRATE_ASKED };

/*
 * What this connection is, right after HELLO was sent. MAIN: all side connections that the source
 * announced have joined; perhaps none. SIDE: the work of this process is done, the migration over.
 * ASKED: there is no migration, the other side asks where a guest is.
 * Nothing privileged need be open.
 */
int migrate_join(struct handover_io *io, struct migrate_joined *ret_joined,
                 enum migrate_role *ret_role, struct gw_error *err);

void migrate_join_close(struct migrate_joined *joined);

#endif
