/* SPDX-License-Identifier: MIT */
/*
 * A chain of saved guests as one stream: the head of the last file, the pages of all in their
 * order, and the rest of the last file. Runs in the process that reads streams: it allocates
 * nothing, calls nothing of the system, and looks at each file as at any other stream.
 */
#ifndef STREAM_MERGE_H
#define STREAM_MERGE_H

#include "stream_check.h"

struct stream_merge_file {
    struct stream_reader reader; /* with source and body; bodies may be the same */
    const char *name;            /* for messages */
    /* The merge's own. */
    struct stream_checker checker;
    uint8_t uuid[16];
    uint32_t crc32; /* of all of it, when it has been read */
};

struct stream_merge {
    struct stream_merge_file *files; /* n, at least 2: a full save, then the increments */
    unsigned n;
    /* The file's next record, checked. -1: refused, why is in the reader. */
    int (*next)(void *arg, struct stream_reader *reader, struct stream_checker *checker,
                struct stream_record *ret_record);
    /* Takes a record of the one stream. */
    void (*emit)(void *arg, const struct stream_record *record);
    void *arg;
    char why[256]; /* the refusal */
};

/* 0: all was emitted, up to END. -1: refused. */
int stream_merge_run(struct stream_merge *merge);

#endif
