/* SPDX-License-Identifier: MIT */
#include "stream_merge.h"

#include "stream_view.h"
#include <stdio.h>
#include <string.h>

static int refuse(struct stream_merge *m, const struct stream_merge_file *f, const char *why)
{
    snprintf(m->why, sizeof(m->why), "%.80s: %.160s", f->name, why);
    return -1;
}

static int refuse_read(struct stream_merge *m, const struct stream_merge_file *f)
{
    char text[160];

    stream_read_explain(&f->reader, text, sizeof(text));
    return refuse(m, f, text);
}

static struct stream_merge_file *last_of(struct stream_merge *m)
{
    return &m->files[m->n - 1];
}

static int next(struct stream_merge *m, struct stream_merge_file *f, struct stream_record *record)
{
    struct stream_config config;
    const char *why;

    if (m->next(m->arg, &f->reader, &f->checker, record))
        return refuse_read(m, f);
    if (record->type == STREAM_CONFIG &&
        stream_view_config(record->body, record->length, &config, &why) == 0)
        memcpy(f->uuid, config.uuid, sizeof(f->uuid));
    if (record->type == STREAM_DIGEST)
        f->crc32 = f->reader.crc_before;
    return 0;
}

/* Headers and records up to STATIC_DATA_END; those of the last file make the guest. */
static int read_head(struct stream_merge *m, struct stream_merge_file *f)
{
    struct stream_record record;
    uint32_t major, minor;

    if (stream_read_headers(&f->reader, &major, &minor))
        return refuse_read(m, f);
    do {
        if (next(m, f, &record))
            return -1;
        if (f == last_of(m) && record.type != STREAM_BASE && !stream_check_is_skipped(&record))
            m->emit(m->arg, &record);
    } while (record.type != STREAM_STATIC_DATA_END);
    return 0;
}

/* Is this head of the place in the chain that it stands at? */
static int check_head(struct stream_merge *m, unsigned i)
{
    const struct stream_merge_file *f = &m->files[i], *last = last_of(m);

    if (memcmp(f->uuid, last->uuid, sizeof(f->uuid)) != 0)
        return refuse(m, f, "this is another guest than in the last file");
    if (f->checker.memory.count != last->checker.memory.count ||
        memcmp(f->checker.memory.ranges, last->checker.memory.ranges,
               f->checker.memory.count * sizeof(f->checker.memory.ranges[0])) != 0)
        return refuse(m, f, "the guest's memory is not laid out as in the last file");
    if (i == 0 && f->checker.has_base)
        return refuse(m, f, "the first file must be a full save, and this is an incremental one");
    if (i > 0 && !f->checker.has_base)
        return refuse(m, f, "this is a full save: only the first file may be one");
    if (i > 0 && f->checker.base.depth != i)
        return refuse(m, f, "a file before this one is missing, or one too many is given");
    return 0;
}

/* File i follows file i - 1, which has been read to its end. */
static int check_link(struct stream_merge *m, unsigned i)
{
    const struct stream_merge_file *f = &m->files[i], *before = &m->files[i - 1];

    if (!before->checker.chained)
        return refuse(m, before, "nothing can follow it: it was not saved with --incremental");
    if (memcmp(f->checker.base.base_id, before->checker.chain.id,
               sizeof(f->checker.base.base_id)) != 0)
        return refuse(m, f,
                      "it does not follow the file before it: name them in the order in "
                      "which they were saved");
    if (f->checker.base.base_crc32 != before->crc32)
        return refuse(m, f, "the file before it has been changed since this one was saved");
    return 0;
}

/* All pages of a file that is not the last. */
static int read_pages(struct stream_merge *m, unsigned i)
{
    struct stream_merge_file *f = &m->files[i];
    struct stream_record record;

    if (read_head(m, f) || check_head(m, i) || (i > 0 && check_link(m, i)))
        return -1;
    while (f->checker.stage != STREAM_ENDED) {
        if (next(m, f, &record))
            return -1;
        if (f->checker.stage == STREAM_WANT_PAGES &&
            (record.type == STREAM_PAGE_DATA || record.type == STREAM_PAGES_ZSTD))
            m->emit(m->arg, &record);
    }
    return 0;
}

int stream_merge_run(struct stream_merge *m)
{
    struct stream_merge_file *last = last_of(m);
    struct stream_record record;

    if (read_head(m, last) || check_head(m, m->n - 1))
        return -1;
    for (unsigned i = 0; i + 1 < m->n; i++)
        if (read_pages(m, i))
            return -1;
    if (check_link(m, m->n - 1))
        return -1;
    while (last->checker.stage != STREAM_ENDED) {
        if (next(m, last, &record))
            return -1;
        if (!stream_check_is_skipped(&record))
            m->emit(m->arg, &record);
    }
    return 0;
}
