/* SPDX-License-Identifier: MIT */
/*
 * The order of records and the contents of each: everything of docs/stream.md that can be checked
 * without a hypervisor and without remembering which pages were sent. Allocates nothing.
 */
#ifndef STREAM_CHECK_H
#define STREAM_CHECK_H

#include "stream_read.h"

enum stream_stage { /* what must or may come next */
                    STREAM_WANT_HOST,
                    STREAM_WANT_CONFIG,
                    STREAM_WANT_MEMORY,
                    STREAM_WANT_STATIC_END,
                    STREAM_WANT_PAGES,        /* or GODWIT_READONLY, HVM_CONTEXT */
                    STREAM_WANT_STATE,        /* or GODWIT_READONLY */
                    STREAM_WANT_VERIFY,       /* or GODWIT_DIGEST */
                    STREAM_WANT_VERIFY_PAGES, /* or GODWIT_DIGEST */
                    STREAM_WANT_END,          /* version 3 only: its one checksum has come */
                    STREAM_ENDED,
};

struct stream_checker {
    enum stream_stage stage;
    bool sealed;   /* the last record was a checksum, and nothing stands between it and END */
    bool chained;  /* GODWIT_CHAIN was the last record but for a checksum: only END may follow */
    bool has_base; /* an incremental stream: it has only some of the pages */
    struct stream_base base;
    struct stream_chain chain; /* if the stream has ended with one; id is zeros if not */
    struct stream_memory memory;
    struct stream_lane lane; /* count is 0: all pages come in this stream */
    uint32_t marks;          /* so far */
    uint64_t summed_pages;   /* in GODWIT_PAGE_SUMS so far: all of them by the end, or none */
};

/*
 * Checks the record that reader has just read. 0: fine (type may be one to skip: see
 * stream_check_is_skipped). -1: refused, with why and where in the reader.
 */
int stream_check_record(struct stream_checker *checker, struct stream_reader *reader,
                        const struct stream_record *record);

/* reader.why after a checksum that is well formed and not that of the stream. */
extern const char stream_why_damaged[];

/* A refusal of the record that reader has just read; returns -1. why: a constant sentence. */
int stream_check_refuse(struct stream_reader *reader, const struct stream_record *record,
                        const char *why);

/* An optional record that this version does not use. */
bool stream_check_is_skipped(const struct stream_record *record);

#endif
