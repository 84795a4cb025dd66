/* SPDX-License-Identifier: MIT */
/* Checks a saved guest without a hypervisor: all that a reader would refuse, but for the host that
 * it fits. Unlike a reader it goes on behind a wrong checksum, to find all damage. */
#include "stream_inspect.h"

#include "stream_check.h"
#include "stream_damage.h"
#include "stream_unzip.h"
#include "stream_view.h"
#include <errno.h>
#include <fcntl.h>
#include <libgodwit/migrate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct inspector {
    struct stream_reader reader;
    struct stream_checker checker;
    struct stream_damages damages;
    struct gw_stream_summary *summary;
    const struct gw_stream_watcher *watcher;
    struct stream_unzip *unzip;
    uint8_t *plain; /* STREAM_BODY_MAX bytes. Both: once a compressed record has come. */
    uint8_t *seen;  /* bit per page; NULL until the memory is known */
    uint64_t seen_pages, memory_pages;
    uint32_t crc32; /* in the last digest */
};

const char *gw_stream_record_name(uint32_t type)
{
    static const struct {
        uint32_t type;
        const char *name;
    } names[] = {
        {STREAM_END, "END"},
        {STREAM_PAGE_DATA, "PAGE_DATA"},
        {STREAM_HVM_CONTEXT, "HVM_CONTEXT"},
        {STREAM_VERIFY, "VERIFY"},
        {STREAM_STATIC_DATA_END, "STATIC_DATA_END"},
        {STREAM_HOST, "GODWIT_HOST"},
        {STREAM_CONFIG, "GODWIT_CONFIG"},
        {STREAM_MEMORY, "GODWIT_MEMORY"},
        {STREAM_DIGEST, "GODWIT_DIGEST"},
        {STREAM_READONLY, "GODWIT_READONLY"},
        {STREAM_PAGES_ZSTD, "GODWIT_PAGES_ZSTD"},
        {STREAM_LANE, "GODWIT_LANE"},
        {STREAM_LANE_ENDS, "GODWIT_LANE_ENDS"},
        {STREAM_MARK, "GODWIT_MARK"},
        {STREAM_VERSIONS, "GODWIT_VERSIONS"},
        {STREAM_BASE, "GODWIT_BASE"},
        {STREAM_CHAIN, "GODWIT_CHAIN"},
        {STREAM_PAGE_SUMS, "GODWIT_PAGE_SUMS"},
    };

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].type == type)
            return names[i].name;
    return type & STREAM_RECORD_OPTIONAL ? "optional" : "unknown";
}

static int note_memory(struct inspector *i, struct gw_error *err)
{
    i->memory_pages = stream_memory_pages(&i->checker.memory);
    /* At most 32 MiB: the checker bounds the memory. */
    i->seen = calloc(1, (size_t)(i->memory_pages + 7) / 8);
    return i->seen ? 0 : gw_error_set(err, GW_EXIT_FAILED, "out of memory");
}

static void note_page(struct inspector *i, uint64_t gfn, struct gw_stream_record *info)
{
    uint64_t index = 0;

    stream_memory_index(&i->checker.memory, gfn, &index);
    i->seen_pages += !(i->seen[index / 8] & (1u << (index % 8)));
    i->seen[index / 8] |= (uint8_t)(1u << (index % 8));
    info->first_gfn = gfn < info->first_gfn ? gfn : info->first_gfn;
    info->last_gfn = gfn > info->last_gfn ? gfn : info->last_gfn;
}

static void note_pages(struct inspector *i, const struct stream_record *record,
                       struct gw_stream_record *info)
{
    struct stream_pages pages;
    const char *why;

    if (stream_view_pages(record->body, record->length, &i->checker.memory, &pages, &why))
        return; /* cannot be: the checker accepted it */
    info->first_gfn = UINT64_MAX;
    for (uint32_t n = 0; n < pages.count; n++)
        note_page(i, stream_word_gfn(stream_pages_word(&pages, n)), info);
    info->pages = pages.count;
    info->zero_pages = pages.count - pages.with_contents;
    if (i->checker.stage == STREAM_WANT_PAGES) {
        i->summary->pages += info->pages;
        i->summary->zero_pages += info->zero_pages;
    }
}

static void note_config(struct inspector *i, const struct stream_record *record)
{
    struct stream_config config;
    const char *why;

    if (stream_view_config(record->body, record->length, &config, &why))
        return;
    memcpy(i->summary->name, config.name, sizeof(config.name));
    i->summary->vcpus = config.vcpus;
    i->summary->memory_bytes = config.memory_bytes;
}

/* A record that the checker has accepted. */
static int note_record(struct inspector *i, const struct stream_record *record,
                       struct gw_stream_record *info, struct gw_error *err)
{
    switch (record->type) {
    case STREAM_VERSIONS:
        memcpy(i->summary->versions, record->body, record->length);
        return 0;
    case STREAM_CONFIG:
        note_config(i, record);
        return 0;
    case STREAM_MEMORY:
        return note_memory(i, err);
    case STREAM_PAGE_DATA:
        note_pages(i, record, info);
        return 0;
    case STREAM_DIGEST:
        i->crc32 = i->reader.crc_before;
        stream_damage_digest_right(&i->damages);
        return 0;
    default:
        return 0;
    }
}

/* A record with contents that no reader takes: damaged, or was it written so? Asks the next digest.
 */
static void judge_refused(struct inspector *i, uint64_t offset)
{
    struct stream_reader *r = &i->reader;
    struct stream_reader refused = *r;
    const char *why = refused.why;
    struct stream_record record;
    struct stream_digest digest;

    do {
        if (stream_read_record(r, &record)) {
            if (i->damages.summary->damages_n == 0)
                stream_damage_unlocated(&i->damages, r, why);
            return;
        }
    } while (record.type != STREAM_DIGEST || record.length != sizeof(digest));
    memcpy(&digest, record.body, sizeof(digest));
    if (digest.crc32 != r->crc_before)
        stream_damage_unlocated(&i->damages, r, why);
    else if (i->damages.summary->damages_n == 0)
        stream_damage_record(&i->damages, &refused, offset, why);
    else /* a sound record that does not fit to what was damaged before it */
        stream_damage_digest_right(&i->damages);
}

/* Also unpacks compressed pages into a PAGE_DATA record. */
static int check_record(struct inspector *i, struct stream_record *record)
{
    if (stream_check_record(&i->checker, &i->reader, record))
        return -1;
    if (record->type == STREAM_MARK)
        return stream_check_refuse(&i->reader, record, "a mark belongs to a migration");
    if (record->type != STREAM_PAGES_ZSTD)
        return 0;
    if (!i->unzip)
        i->unzip = stream_unzip_open();
    if (!i->plain)
        i->plain = malloc(STREAM_BODY_MAX);
    if (!i->unzip || !i->plain)
        return stream_check_refuse(&i->reader, record, "there is no memory to unpack the pages");
    return stream_unzip(i->unzip, &i->checker.memory, &i->reader, record, i->plain);
}

/* 1: there is more. 0: the end, of the stream or of what can be understood. -1: err. */
static int inspect_record(struct inspector *i, struct gw_error *err)
{
    struct stream_reader *r = &i->reader;
    struct gw_stream_record info = {.offset = r->offset};
    struct stream_record record;
    int more = 1;

    if (stream_read_record(r, &record)) {
        stream_damage_unlocated(&i->damages, r, r->why);
        return 0;
    }
    info.number = r->records - 1;
    info.type = record.type;
    info.length = record.length;
    if (check_record(i, &record) == 0) {
        if (note_record(i, &record, &info, err))
            return -1;
    } else if (r->why == stream_why_damaged) {
        stream_damage_digest_wrong(&i->damages, r, &record);
        i->checker.sealed = true;
    } else {
        judge_refused(i, info.offset);
        more = 0;
    }
    if (i->watcher)
        i->watcher->on_record(i->watcher->arg, &info);
    return i->checker.stage == STREAM_ENDED ? 0 : more;
}

static void look_behind_end(struct inspector *i)
{
    uint8_t byte;

    if (i->checker.stage != STREAM_ENDED || i->reader.read(i->reader.source, &byte, 1) <= 0)
        return;
    i->reader.offset++;
    stream_damage_record(&i->damages, &i->reader, i->reader.offset - 1,
                         "something stands behind the END record");
}

/* The sentence for what was found. */
static int conclude(struct inspector *i, const char *path, struct gw_error *err)
{
    const struct gw_stream_damage *d = i->summary->damages;
    uint64_t others = i->summary->damages_total - 1;
    char text[320], records[64] = "the headers";

    if (i->reader.records == 0 && i->summary->damages_n) {
        stream_read_explain(&i->reader, text, sizeof(text));
        return gw_error_set(err, GW_EXIT_CONFIG, "%s: %s", path, text);
    }
    if (i->summary->damages_n) {
        if (d->last_record >= 0)
            snprintf(records, sizeof(records), "records %lld to %lld",
                     (long long)(d->first_record < 0 ? 0 : d->first_record),
                     (long long)d->last_record);
        gw_error_set(err, GW_EXIT_CONFIG,
                     "%s is damaged between offset %llu and offset %llu (%s): %s", path,
                     (unsigned long long)d->from, (unsigned long long)d->to, records, d->why);
        if (others > 0)
            snprintf(err->message + strlen(err->message),
                     sizeof(err->message) - strlen(err->message),
                     "; and in %llu more places: see --json", (unsigned long long)others);
        return -1;
    }
    if (i->seen_pages != i->memory_pages && !i->checker.has_base)
        return gw_error_set(err, GW_EXIT_CONFIG, "%s: %llu of the guest's %llu pages are missing",
                            path, (unsigned long long)(i->memory_pages - i->seen_pages),
                            (unsigned long long)i->memory_pages);
    return 0;
}

static void note_chain(struct inspector *i)
{
    struct gw_stream_summary *s = i->summary;

    s->incremental = i->checker.has_base;
    s->depth = i->checker.has_base ? i->checker.base.depth : 0;
    memcpy(s->base_name, i->checker.base.name, sizeof(s->base_name));
    memcpy(s->base_id, i->checker.base.base_id, sizeof(s->base_id));
    s->base_crc32 = i->checker.base.base_crc32;
    s->can_be_base = i->checker.chained;
    memcpy(s->id, i->checker.chain.id, sizeof(s->id));
    s->crc32 = i->crc32;
}

static int inspect(struct inspector *i, const char *path, struct gw_error *err)
{
    uint32_t major, minor;
    int more = stream_read_headers(&i->reader, &major, &minor) == 0;

    if (!more)
        stream_damage_unlocated(&i->damages, &i->reader, i->reader.why);
    while (more > 0)
        more = inspect_record(i, err);
    if (more < 0)
        return -1;
    look_behind_end(i);
    i->summary->version = i->reader.version;
    i->summary->records = i->reader.records;
    i->summary->bytes = i->reader.offset;
    note_chain(i);
    return conclude(i, path, err);
}

int stream_inspect(const struct stream_reader *reader, const char *path,
                   const struct gw_stream_watcher *watcher, struct gw_stream_summary *ret_summary,
                   struct gw_error *err)
{
    struct inspector i = {
        .reader = *reader,
        .damages = {.summary = ret_summary},
        .summary = ret_summary,
        .watcher = watcher,
    };
    int rc;

    memset(ret_summary, 0, sizeof(*ret_summary));
    rc = inspect(&i, path, err);
    stream_unzip_close(i.unzip);
    free(i.plain);
    free(i.seen);
    return rc;
}

int gw_stream_check(const char *path, const struct gw_stream_watcher *watcher,
                    struct gw_stream_summary *ret_summary, struct gw_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stream_reader reader = {.read = stream_read_fd, .source = &fd};
    int rc;

    memset(ret_summary, 0, sizeof(*ret_summary));
    if (fd < 0)
        return gw_error_errno(err, errno, "cannot open %s", path);
    reader.body = malloc(STREAM_BODY_MAX + STREAM_ALIGN);
    rc = reader.body ? stream_inspect(&reader, path, watcher, ret_summary, err)
                     : gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    free(reader.body);
    close(fd);
    return rc;
}
