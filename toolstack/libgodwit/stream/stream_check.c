/* SPDX-License-Identifier: MIT */
#include "stream_check.h"

#include "stream_view.h"
#include <string.h>

const char stream_why_damaged[] =
    "the checksum is wrong: the stream was damaged before this record";

bool stream_check_is_skipped(const struct stream_record *record)
{
    return record->type & STREAM_RECORD_OPTIONAL;
}

static bool may_end(enum stream_stage stage)
{
    return stage == STREAM_WANT_VERIFY || stage == STREAM_WANT_VERIFY_PAGES;
}

/* Version 3 had one checksum, before END. */
static int stage_after_digest(const struct stream_checker *checker, uint32_t version)
{
    if (version > 3)
        return (int)checker->stage;
    return may_end(checker->stage) ? STREAM_WANT_END : -1;
}

static int stage_after_end(const struct stream_checker *checker)
{
    if (checker->summed_pages && checker->summed_pages != stream_memory_pages(&checker->memory))
        return -1;
    return checker->sealed && (may_end(checker->stage) || checker->stage == STREAM_WANT_END)
               ? STREAM_ENDED
               : -1;
}

/* The same in a stream that only carries some of the pages. */
static int next_side_stage(const struct stream_checker *checker, uint32_t type)
{
    enum stream_stage stage = checker->stage;
    bool pages = stage == STREAM_WANT_PAGES || stage == STREAM_WANT_VERIFY_PAGES;

    switch (type) {
    case STREAM_MEMORY:
        return stage == STREAM_WANT_MEMORY ? STREAM_WANT_PAGES : -1;
    case STREAM_PAGE_DATA:
    case STREAM_PAGES_ZSTD:
        return pages ? (int)stage : -1;
    case STREAM_MARK:
        return stage == STREAM_WANT_PAGES ? (int)stage : -1;
    case STREAM_VERIFY:
        return stage == STREAM_WANT_PAGES ? STREAM_WANT_VERIFY_PAGES : -1;
    case STREAM_DIGEST:
        return (int)stage;
    case STREAM_END:
        return pages && checker->sealed ? STREAM_ENDED : -1;
    default:
        return -1;
    }
}

/* A lane says what it is first; the main stream says it last before its guest is made. */
static int stage_after_lane(const struct stream_checker *checker, uint32_t version)
{
    if (version < 4 || checker->lane.count)
        return -1;
    if (checker->stage == STREAM_WANT_HOST)
        return STREAM_WANT_MEMORY;
    return checker->stage == STREAM_WANT_STATIC_END ? STREAM_WANT_STATIC_END : -1;
}

/* The stage after a record of this type, or -1 if it may not come now. */
static int next_stage(const struct stream_checker *checker, uint32_t version, uint32_t type)
{
    enum stream_stage stage = checker->stage;

    if (checker->chained && type != STREAM_DIGEST && type != STREAM_END)
        return -1;
    if (checker->lane.index)
        return next_side_stage(checker, type);
    switch (type) {
    case STREAM_LANE:
        return stage_after_lane(checker, version);
    case STREAM_LANE_ENDS:
        return checker->lane.count && may_end(stage) ? (int)stage : -1;
    case STREAM_HOST:
        return stage == STREAM_WANT_HOST ? STREAM_WANT_CONFIG : -1;
    case STREAM_CONFIG:
        return stage == STREAM_WANT_CONFIG ? STREAM_WANT_MEMORY : -1;
    case STREAM_MEMORY:
        return stage == STREAM_WANT_MEMORY ? STREAM_WANT_STATIC_END : -1;
    case STREAM_BASE:
        return stage == STREAM_WANT_STATIC_END && version > 3 && !checker->has_base ? (int)stage
                                                                                    : -1;
    case STREAM_PAGE_SUMS:
        return stage == STREAM_WANT_VERIFY && version > 3 ? (int)stage : -1;
    case STREAM_STATIC_DATA_END:
        return stage == STREAM_WANT_STATIC_END ? STREAM_WANT_PAGES : -1;
    case STREAM_PAGES_ZSTD:
        return version > 3 ? next_stage(checker, version, STREAM_PAGE_DATA) : -1;
    case STREAM_PAGE_DATA:
        return stage == STREAM_WANT_PAGES || stage == STREAM_WANT_VERIFY_PAGES ? (int)stage : -1;
    case STREAM_MARK:
        return stage == STREAM_WANT_PAGES && version > 3 ? (int)stage : -1;
    case STREAM_READONLY:
        return stage == STREAM_WANT_PAGES || stage == STREAM_WANT_STATE ? STREAM_WANT_STATE : -1;
    case STREAM_HVM_CONTEXT:
        return stage == STREAM_WANT_PAGES || stage == STREAM_WANT_STATE ? STREAM_WANT_VERIFY : -1;
    case STREAM_VERIFY:
        return stage == STREAM_WANT_VERIFY ? STREAM_WANT_VERIFY_PAGES : -1;
    case STREAM_DIGEST:
        return stage_after_digest(checker, version);
    case STREAM_END:
        return stage_after_end(checker);
    default:
        return -1;
    }
}

static int check_digest(const struct stream_reader *reader, const struct stream_record *record,
                        const char **ret_why)
{
    struct stream_digest digest;

    *ret_why = "the record of the checksum has the wrong form";
    if (record->length != sizeof(digest))
        return -1;
    memcpy(&digest, record->body, sizeof(digest));
    if (digest.reserved)
        return -1;
    *ret_why = stream_why_damaged;
    return digest.crc32 == reader->crc_before ? 0 : -1;
}

static int check_state(const struct stream_record *record, const char **ret_why)
{
    *ret_why = "the state of CPUs and devices has the wrong size";
    return record->length > 0 && record->length % STREAM_ALIGN == 0 ? 0 : -1;
}

static int check_sums(struct stream_checker *checker, const struct stream_record *record,
                      const char **ret_why)
{
    struct stream_sums sums;

    if (stream_view_sums(record->body, record->length, checker->summed_pages,
                         stream_memory_pages(&checker->memory), &sums, ret_why))
        return -1;
    checker->summed_pages += sums.count;
    return 0;
}

/* Index 0 is the main stream, and only that one describes a guest. */
static int check_lane(struct stream_checker *checker, const struct stream_record *record,
                      const char **ret_why)
{
    *ret_why = "the number of the connection is wrong";
    if (record->length != sizeof(checker->lane))
        return -1;
    memcpy(&checker->lane, record->body, sizeof(checker->lane));
    if (checker->lane.count < 2 || checker->lane.count > STREAM_STREAMS_MAX ||
        checker->lane.index >= checker->lane.count)
        return -1;
    return (checker->lane.index > 0) == (checker->stage == STREAM_WANT_HOST) ? 0 : -1;
}

/* A page must always come the same way: only so is the last one that comes the latest. */
static int check_way(const struct stream_checker *checker, const struct stream_pages *pages,
                     const char **ret_why)
{
    *ret_why = "a page came on a connection that is not its own";
    for (uint32_t i = 0; checker->lane.count && i < pages->count; i++)
        if (stream_of_gfn(stream_word_gfn(stream_pages_word(pages, i)), checker->lane.count) !=
            checker->lane.index)
            return -1;
    return 0;
}

static int check_pages(const struct stream_checker *checker, const struct stream_record *record,
                       const char **ret_why)
{
    struct stream_pages pages;
    int rc =
        record->type == STREAM_PAGE_DATA
            ? stream_view_pages(record->body, record->length, &checker->memory, &pages, ret_why)
            : stream_view_zipped(record->body, record->length, &checker->memory, &pages, ret_why);

    return rc ? rc : check_way(checker, &pages, ret_why);
}

static int check_lane_ends(const struct stream_checker *checker, const struct stream_record *record,
                           const char **ret_why)
{
    *ret_why = "the list of the ends of connections has the wrong size";
    return record->length == (checker->lane.count - 1) * sizeof(struct stream_lane_end) ? 0 : -1;
}

static int check_mark(struct stream_checker *checker, const struct stream_record *record,
                      const char **ret_why)
{
    struct stream_mark mark;

    *ret_why = "the number of the mark is wrong";
    if (record->length != sizeof(mark))
        return -1;
    memcpy(&mark, record->body, sizeof(mark));
    if (mark.reserved || mark.number != checker->marks + 1 || mark.number > STREAM_MARKS_MAX)
        return -1;
    checker->marks = mark.number;
    return 0;
}

static int check_body(struct stream_checker *checker, const struct stream_reader *reader,
                      const struct stream_record *record, const char **ret_why)
{
    struct stream_host host;
    struct stream_config config;
    struct stream_readonly readonly;

    switch (record->type) {
    case STREAM_HOST:
        return stream_view_host(record->body, record->length, &host, ret_why);
    case STREAM_CONFIG:
        return stream_view_config(record->body, record->length, &config, ret_why);
    case STREAM_MEMORY:
        return stream_view_memory(record->body, record->length, &checker->memory, ret_why);
    case STREAM_LANE:
        return check_lane(checker, record, ret_why);
    case STREAM_LANE_ENDS:
        return check_lane_ends(checker, record, ret_why);
    case STREAM_PAGE_DATA:
    case STREAM_PAGES_ZSTD:
        return check_pages(checker, record, ret_why);
    case STREAM_READONLY:
        return stream_view_readonly(record->body, record->length, &checker->memory, &readonly,
                                    ret_why);
    case STREAM_HVM_CONTEXT:
        return check_state(record, ret_why);
    case STREAM_BASE:
        checker->has_base = true;
        return stream_view_base(record->body, record->length, &checker->base, ret_why);
    case STREAM_PAGE_SUMS:
        return check_sums(checker, record, ret_why);
    case STREAM_MARK:
        return check_mark(checker, record, ret_why);
    case STREAM_DIGEST:
        return check_digest(reader, record, ret_why);
    default: /* empty by their limit */
        return 0;
    }
}

/* Optional records: GODWIT_VERSIONS only as the first, and none after GODWIT_CHAIN or version 3's
 * digest. */
static int check_optional(struct stream_checker *checker, const struct stream_reader *reader,
                          const struct stream_record *record, const char **ret_why)
{
    *ret_why = "an optional record stands where none may be";
    if (checker->stage == STREAM_WANT_END || checker->chained)
        return -1;
    if (record->type != STREAM_CHAIN)
        return record->type == STREAM_VERSIONS && reader->records != 1 ? -1 : 0;
    if (!may_end(checker->stage))
        return -1;
    checker->chained = true;
    return stream_view_chain(record->body, record->length, &checker->chain, ret_why);
}

int stream_check_refuse(struct stream_reader *reader, const struct stream_record *record,
                        const char *why)
{
    size_t padded = (record->length + STREAM_ALIGN - 1) & ~(size_t)(STREAM_ALIGN - 1);

    reader->why = why;
    reader->why_offset = reader->offset - padded - sizeof(struct stream_record_header);
    return -1;
}

int stream_check_record(struct stream_checker *checker, struct stream_reader *reader,
                        const struct stream_record *record)
{
    const char *why = "the record may not come at this place";
    int rc, next = (int)checker->stage;

    if (stream_check_is_skipped(record)) {
        rc = check_optional(checker, reader, record, &why);
    } else {
        next = next_stage(checker, reader->version, record->type);
        rc = next < 0 ? -1 : check_body(checker, reader, record, &why);
    }
    if (rc)
        return stream_check_refuse(reader, record, why);
    checker->stage = (enum stream_stage)next;
    checker->sealed = record->type == STREAM_DIGEST;
    if (checker->sealed)
        stream_read_confirm(reader);
    return 0;
}
