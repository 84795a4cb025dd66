/* SPDX-License-Identifier: MIT */
/* Compresses the contents of pages into one zstd frame. One per thread. */
#ifndef PAGE_ZIP_H
#define PAGE_ZIP_H

#include <stdint.h>

struct page_zip;

/* level: zstd's, 1 to STREAM_LEVEL_MAX. NULL: no memory. */
struct page_zip *page_zip_open(int level);

/*
 * The frame of n pages at data, n times STREAM_PAGE_BYTES, into ret_frame, which has as many bytes.
 * Returns its length, or 0 if it would save less than a sixteenth: then the pages had better go as
 * they are.
 */
uint32_t page_zip(struct page_zip *zip, const void *data, uint32_t n, uint8_t *ret_frame);

void page_zip_close(struct page_zip *zip); /* NULL is fine */

#endif
