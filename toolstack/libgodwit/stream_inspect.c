/* SPDX-License-Identifier: MIT */
/* Checks a saved guest without a hypervisor: all that a reader would refuse, but for the host that
 * it fits. */
#include "stream_check.h"
#include "stream_view.h"
#include <errno.h>
#include <fcntl.h>
#include <libgodwit/migrate.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct inspector {
    struct stream_reader reader;
    struct stream_checker checker;
    struct gw_stream_summary *summary;
    uint8_t *seen; /* bit per page; NULL until the memory is known */
    uint64_t seen_pages, memory_pages;
};

static int note_memory(struct inspector *i, struct gw_error *err)
{
    i->memory_pages = stream_memory_pages(&i->checker.memory);
    /* At most 32 MiB: the checker bounds the memory. */
    i->seen = calloc(1, (size_t)(i->memory_pages + 7) / 8);
    return i->seen ? 0 : gw_error_set(err, GW_EXIT_FAILED, "out of memory");
}

static void note_pages(struct inspector *i, const struct stream_record *record)
{
    struct stream_pages pages;
    uint64_t index = 0;
    const char *why;

    if (stream_view_pages(record->body, record->length, &i->checker.memory, &pages, &why))
        return; /* cannot be: the checker accepted it */
    for (uint32_t n = 0; n < pages.count; n++) {
        stream_memory_index(&i->checker.memory, stream_word_gfn(stream_pages_word(&pages, n)),
                            &index);
        i->seen_pages += !(i->seen[index / 8] & (1u << (index % 8)));
        i->seen[index / 8] |= (uint8_t)(1u << (index % 8));
    }
    if (i->checker.stage == STREAM_WANT_PAGES) {
        i->summary->pages += pages.count;
        i->summary->zero_pages += pages.count - pages.with_contents;
    }
}

static int note_record(struct inspector *i, const struct stream_record *record,
                       struct gw_error *err)
{
    struct stream_config config;
    const char *why;

    switch (record->type) {
    case STREAM_VERSIONS:
        memcpy(i->summary->versions, record->body, record->length);
        return 0;
    case STREAM_CONFIG:
        if (stream_view_config(record->body, record->length, &config, &why) == 0) {
            memcpy(i->summary->name, config.name, sizeof(config.name));
            i->summary->vcpus = config.vcpus;
            i->summary->memory_bytes = config.memory_bytes;
        }
        return 0;
    case STREAM_MEMORY:
        return note_memory(i, err);
    case STREAM_PAGE_DATA:
        note_pages(i, record);
        return 0;
    default:
        return 0;
    }
}

static int inspect(struct inspector *i, const char *path, struct gw_error *err)
{
    struct stream_record record;
    uint32_t major, minor;
    char text[256];
    int bad = stream_read_headers(&i->reader, &major, &minor);

    while (!bad && i->checker.stage != STREAM_ENDED) {
        bad = stream_read_record(&i->reader, &record) ||
              stream_check_record(&i->checker, &i->reader, &record);
        if (!bad && note_record(i, &record, err))
            return -1;
    }
    i->summary->records = i->reader.records;
    i->summary->bytes = i->reader.offset;
    if (bad) {
        stream_read_explain(&i->reader, text, sizeof(text));
        return gw_error_set(err, GW_EXIT_CONFIG, "%s: %s", path, text);
    }
    if (i->seen_pages != i->memory_pages)
        return gw_error_set(err, GW_EXIT_CONFIG, "%s: %llu of the guest's %llu pages are missing",
                            path, (unsigned long long)(i->memory_pages - i->seen_pages),
                            (unsigned long long)i->memory_pages);
    return 0;
}

int gw_check_stream(const char *path, struct gw_stream_summary *ret_summary, struct gw_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct inspector i = {.summary = ret_summary};
    int rc;

    memset(ret_summary, 0, sizeof(*ret_summary));
    if (fd < 0)
        return gw_error_errno(err, errno, "cannot open %s", path);
    i.reader = (struct stream_reader){.read = stream_read_fd, .source = &fd};
    i.reader.body = malloc(STREAM_BODY_MAX + STREAM_ALIGN);
    rc =
        i.reader.body ? inspect(&i, path, err) : gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    free(i.reader.body);
    free(i.seen);
    close(fd);
    return rc;
}
