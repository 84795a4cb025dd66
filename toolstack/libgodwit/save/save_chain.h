/* SPDX-License-Identifier: MIT */
/* What ties an incremental save to the save before it: docs/design/migration.md. */
#ifndef SAVE_CHAIN_H
#define SAVE_CHAIN_H

#include "save_source.h"

/* What the end of a saved guest says, if another save may follow it. */
struct save_link {
    struct stream_chain chain;
    uint32_t crc32; /* of the whole stream */
};

/* Reads the end of the file. GW_EXIT_CONFIG: nothing can follow it, and why. */
int save_chain_read(const char *path, struct save_link *ret_link, struct gw_error *err);

/*
 * May a save of this guest follow the link? Fills the record for the new stream. path: the file
 * that the link was read from. What the log says is not looked at: see log_resume of
 * migrate_host.h.
 */
int save_chain_follow(const struct save_link *link, const char *path,
                      const struct save_source *source, struct stream_base *ret_base,
                      struct gw_error *err);

/* Writes GODWIT_CHAIN: depth streams come before this one, and the log goes on at the mark. */
int save_chain_send(struct save_source *source, const struct migrate_log_mark *mark, uint32_t depth,
                    struct gw_error *err);

#endif
