/* SPDX-License-Identifier: MIT */
#include "page_zip.h"

#include "stream/stream_format.h"
#include <zstd.h>

/* The type is a name for zstd's own. */
static ZSTD_CCtx *context(struct page_zip *zip)
{
    return (ZSTD_CCtx *)(void *)zip;
}

struct page_zip *page_zip_open(int level)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();

    if (c && ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level))) {
        ZSTD_freeCCtx(c);
        c = NULL;
    }
    return (struct page_zip *)(void *)c;
}

uint32_t page_zip(struct page_zip *zip, const void *data, uint32_t n, uint8_t *ret_frame)
{
    size_t bytes = (size_t)n * STREAM_PAGE_BYTES;
    /* No room for a worse result is also what ends a hopeless attempt early. */
    size_t got = ZSTD_compress2(context(zip), ret_frame, bytes - bytes / 16, data, bytes);

    return ZSTD_isError(got) ? 0 : (uint32_t)got;
}

void page_zip_close(struct page_zip *zip)
{
    ZSTD_freeCCtx(context(zip));
}
