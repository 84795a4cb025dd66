/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target: the decoder as the parsing process runs it. The first byte chooses whether the
 * checksum is put right before, so that the fuzzer also gets behind it. Each body is checked in a
 * copy of exactly its length, so that the sanitizer sees a look beyond its end.
 */
#include "fuzz_stream.h"
#include "stream/stream_unzip.h"
#include "stream/stream_view.h"

#include <stdlib.h>
#include <string.h>

void (*fuzz_stream_tell)(const struct stream_reader *reader, const struct stream_checker *checker,
                         uint32_t type, bool good);

struct bytes {
    const uint8_t *data;
    size_t length;
};

static ssize_t read_bytes(void *source, void *ret_data, size_t n)
{
    struct bytes *b = source;

    memset(ret_data, 0, n); /* whoever asks for n bytes has room for n bytes */
    if (n > b->length)
        n = b->length;
    memcpy(ret_data, b->data, n);
    b->data += n;
    b->length -= n;
    return (ssize_t)n;
}

/* What the builder does with a page record: every index must be inside. */
static void use_pages(const struct stream_memory *memory, const struct stream_record *record)
{
    struct stream_pages pages;
    const char *why;
    uint64_t index, sum = 0;

    if (stream_view_pages(record->body, record->length, memory, &pages, &why))
        abort(); /* the checker has just accepted it */
    for (uint32_t i = 0; i < pages.count; i++) {
        uint64_t gfn = stream_word_gfn(stream_pages_word(&pages, i));
        if (!stream_memory_index(memory, gfn, &index) || stream_memory_gfn(memory, index) != gfn)
            abort();
    }
    for (size_t i = 0; i < (size_t)pages.with_contents * STREAM_PAGE_BYTES; i++)
        sum += pages.contents[i];
    if (sum > UINT64_MAX / 2)
        abort();
}

/* false: refused. */
static bool check(struct stream_checker *checker, struct stream_reader *reader,
                  struct stream_record record)
{
    static uint8_t plain[STREAM_BODY_MAX];
    static struct stream_unzip *unzip;
    const uint32_t type = record.type; /* as it came: unpacking makes another of it */
    uint8_t *exact = malloc(record.length);
    bool good;

    if (!unzip)
        unzip = stream_unzip_open();

    memcpy(exact, record.body, record.length);
    record.body = exact;
    good = stream_check_record(checker, reader, &record) == 0;
    if (good && record.type == STREAM_PAGES_ZSTD)
        good = stream_unzip(unzip, &checker->memory, reader, &record, plain) == 0;
    if (good && record.type == STREAM_PAGE_DATA)
        use_pages(&checker->memory, &record);
    free(exact);
    if (fuzz_stream_tell)
        fuzz_stream_tell(reader, checker, type, good);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    static uint8_t body[STREAM_BODY_MAX + STREAM_ALIGN];
    struct bytes source = {.data = data + 1, .length = length - 1};
    struct stream_reader reader = {.read = read_bytes, .source = &source, .body = body};
    struct stream_checker checker = {0};
    struct stream_record record;
    uint32_t major, minor;
    char text[256];

    if (length == 0)
        return 0;
    if (stream_read_headers(&reader, &major, &minor) == 0) {
        while (checker.stage != STREAM_ENDED && stream_read_record(&reader, &record) == 0) {
            if (data[0] & 1 && record.type == STREAM_DIGEST && record.length == 8)
                memcpy(body, &reader.crc_before, 4);
            if (!check(&checker, &reader, record))
                break;
        }
    }
    if (checker.stage != STREAM_ENDED)
        stream_read_explain(&reader, text, sizeof(text));
    return 0;
}
