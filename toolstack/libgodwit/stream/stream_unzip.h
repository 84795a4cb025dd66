/* SPDX-License-Identifier: MIT */
/*
 * Turns a GODWIT_PAGES_ZSTD record into the PAGE_DATA record with the same pages. The frame is
 * hostile: how long its contents must be follows from the list of pages, and nothing but one frame
 * of exactly that length is taken. Only opening allocates.
 */
#ifndef STREAM_UNZIP_H
#define STREAM_UNZIP_H

#include "stream_read.h"

struct stream_unzip;

struct stream_unzip *stream_unzip_open(void); /* NULL: no memory */

/*
 * zipped: as stream_check_record accepted it. ret_body: STREAM_BODY_MAX bytes. On success *record
 * is the plain record, and its body ret_body. -1: refused, with why and where in the reader.
 */
int stream_unzip(struct stream_unzip *unzip, const struct stream_memory *memory,
                 struct stream_reader *reader, struct stream_record *record, uint8_t *ret_body);

void stream_unzip_close(struct stream_unzip *unzip); /* NULL is fine */

#endif
