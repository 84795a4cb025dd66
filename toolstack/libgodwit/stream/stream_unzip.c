/* SPDX-License-Identifier: MIT */
#include "stream_unzip.h"

#include "stream_check.h"
#include "stream_view.h"
#include <string.h>
#include <zstd.h>

/* The type is a name for zstd's own. */
static ZSTD_DCtx *context(struct stream_unzip *unzip)
{
    return (ZSTD_DCtx *)(void *)unzip;
}

struct stream_unzip *stream_unzip_open(void)
{
    return (struct stream_unzip *)(void *)ZSTD_createDCtx();
}

/*
 * One frame of today's format, not a skippable one nor one of zstd's old formats (they allocate),
 * that fills all of `frame` and says itself that it holds `bytes`.
 */
static bool frame_is_right(const uint8_t *frame, size_t frame_bytes, size_t bytes)
{
    static const uint8_t magic[4] = {0x28, 0xB5, 0x2F, 0xFD};

    return frame_bytes > sizeof(magic) && memcmp(frame, magic, sizeof(magic)) == 0 &&
           ZSTD_getFrameContentSize(frame, frame_bytes) == bytes &&
           ZSTD_findFrameCompressedSize(frame, frame_bytes) == frame_bytes;
}

int stream_unzip(struct stream_unzip *unzip, const struct stream_memory *memory,
                 struct stream_reader *reader, struct stream_record *record, uint8_t *ret_body)
{
    struct stream_pages pages;
    const char *why;

    if (stream_view_zipped(record->body, record->length, memory, &pages, &why))
        return stream_check_refuse(reader, record, why);
    size_t head_bytes = (size_t)(pages.contents - record->body);
    size_t frame_bytes = record->length - head_bytes;
    size_t bytes = (size_t)pages.with_contents * STREAM_PAGE_BYTES;
    if (!frame_is_right(pages.contents, frame_bytes, bytes))
        return stream_check_refuse(reader, record,
                                   "the compressed pages are not one zstd frame of their length");
    memcpy(ret_body, record->body, head_bytes);
    if (ZSTD_decompressDCtx(context(unzip), ret_body + head_bytes, bytes, pages.contents,
                            frame_bytes) != bytes)
        return stream_check_refuse(reader, record, "the compressed pages are damaged");
    *record = (struct stream_record){
        .type = STREAM_PAGE_DATA, .length = (uint32_t)(head_bytes + bytes), .body = ret_body};
    return 0;
}

void stream_unzip_close(struct stream_unzip *unzip)
{
    ZSTD_freeDCtx(context(unzip));
}
