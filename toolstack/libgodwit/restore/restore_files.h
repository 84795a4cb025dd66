/* SPDX-License-Identifier: MIT */
/* The files that a guest is restored from: one, or a chain of them. */
#ifndef RESTORE_FILES_H
#define RESTORE_FILES_H

#include "stream/stream_format.h"
#include <libgodwit/migrate.h>
#include <signal.h>

struct restore_files {
    unsigned n;
    char *paths[STREAM_CHAIN_MAX]; /* malloc()ed; oldest first */
    int fds[STREAM_CHAIN_MAX];
};

/*
 * Opens path and those behind it. If path is incremental, finds what it is based on by the names in
 * the files, in the folder of each; a process without rights looks into them. On failure, too, to
 * be closed.
 */
int restore_files_open(struct restore_files *files, const struct gw_restore_options *options,
                       const volatile sig_atomic_t *cancelled, struct gw_error *err);
void restore_files_close(struct restore_files *files);

#endif
