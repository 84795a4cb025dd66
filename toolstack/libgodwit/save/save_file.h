/* SPDX-License-Identifier: MIT */
/*
 * The file of a save. What is written goes to FILE.partial; the name FILE, and a file that had it
 * before, change only when all of it is on the disk. No failure leaves FILE.partial behind.
 */
#ifndef SAVE_FILE_H
#define SAVE_FILE_H

#include <libgodwit/error.h>
#include <limits.h>
#include <stdbool.h>

struct save_file {
    char path[PATH_MAX];    /* what is meant, also if a link names it */
    char written[PATH_MAX]; /* what is written to */
    bool renames;           /* false: a device or a pipe, written in place */
    int fd;                 /* -1: not open */
};

#define SAVE_FILE_CLOSED ((struct save_file){.fd = -1})

/* GW_EXIT_STATE: another save writes the same file. */
int save_file_open(struct save_file *file, const char *path, struct gw_error *err);
/* On the disk, and under its name, also after a power cut. */
int save_file_keep(struct save_file *file, struct gw_error *err);
/* Removes what was written. Fine on a file that is not open. */
void save_file_drop(struct save_file *file);
void save_file_close(struct save_file *file);

/* Both exist and are one file. */
bool save_file_is_same(const char *path, const char *other);
/* A save to path would take the place of the other, or write over it. */
bool save_file_replaces(const char *path, const char *other);

/* For a process that was killed: removes FILE.partial unless somebody else writes it. */
void save_file_mend(const char *path);

#endif
