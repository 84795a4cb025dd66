/* SPDX-License-Identifier: MIT */
/* The parts of a report's page. Each prints on a stream in memory and cannot fail. */
#ifndef REPORT_PARTS_H
#define REPORT_PARTS_H

#include <stdio.h>

#include "report_read.h"

/* The picture that all others line up with: user units, scaled by the browser. */
#define REPORT_WIDTH 960
#define REPORT_LEFT  112
#define REPORT_RIGHT 16
#define REPORT_PLOT  (REPORT_WIDTH - REPORT_LEFT - REPORT_RIGHT)

extern const char report_style[]; /* the style sheet */

/* What came of it, in one sentence, and the most important numbers. */
void report_put_summary(FILE *f, const struct report *r);
/* Rounds, throttle, downtime and events on an axis of time. */
void report_put_timeline(FILE *f, const struct report *r);
/* Bytes, rates, estimates and throttle: a column for each round. */
void report_put_rounds(FILE *f, const struct report *r);
/* Dirty pages over memory (down) and rounds (right), and their legend. */
void report_put_heat(FILE *f, const struct report *r);
/* The same numbers as tables. */
void report_put_tables(FILE *f, const struct report *r);

/* The most CPU time that any vCPU loses in the round after this one, in percent. */
int64_t report_throttle_most(const struct report_round *round);
/* When the guest was stopped, in ms since the beginning; REPORT_UNKNOWN: it was not. */
int64_t report_stopped_at(const struct report *r);
/* The smallest of 1, 2, 5 times a power of ten that is at least value (1 for 0). */
double report_nice(double value);

/* Columns of the heat map: more rounds than fit are drawn as the hottest of several. */
#define REPORT_HEAT_COLUMNS 120
struct report_columns {
    size_t n, rounds_each;
};
struct report_columns report_heat_columns(const struct report *r);
/* Dirty pages of bucket in the hottest round of column. */
int64_t report_heat_pages(const struct report *r, struct report_columns columns, size_t column,
                          size_t bucket);

#endif
