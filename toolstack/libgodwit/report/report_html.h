/* SPDX-License-Identifier: MIT */
/* Text and numbers of a report's page. All print on a stream in memory, whose errors are sticky. */
#ifndef REPORT_HTML_H
#define REPORT_HTML_H

#include <stdint.h>
#include <stdio.h>

#include "report_read.h"

/* Anybody's text, harmless in HTML, also within an attribute's quotes. */
void report_put_text(FILE *f, const char *text);
/* The same in an element that keeps its writing direction to itself. */
void report_put_foreign(FILE *f, const char *text);

/* Numbers for people; REPORT_UNKNOWN is a dash. */
void report_put_count(FILE *f, int64_t n);         /* 1,234,567 */
void report_put_bytes(FILE *f, double bytes);      /* 12.3 MiB */
void report_put_ms(FILE *f, int64_t ms);           /* 250 ms, 12.3 s, 3 min 20 s */
void report_put_ns(FILE *f, int64_t ns);           /* in ms, with a fraction */
void report_put_rate(FILE *f, int64_t per_second); /* bytes: 12.3 MiB/s */

/* Bytes of so many pages; unknown stays unknown. */
int64_t report_pages_bytes(int64_t pages);
/* 0 instead of unknown, for lengths in pictures. */
double report_known(int64_t n);

#endif
