/* SPDX-License-Identifier: MIT */
/* The machine of growth.c, and what it has counted. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

/* Of this thread since growth_start. */
struct growth_counts {
    uint64_t loads, stores, changes; /* atomic accesses; a change reads and writes */
    uint64_t lines;                  /* distinct cache lines that they touched, if asked for */
};

/* Counts begin at 0; lines are remembered only if asked for, which is slow. */
void growth_start(bool remember_lines);
struct growth_counts growth_stop(void);

/*
 * The lines that this thread wrote since growth_start, with how often, into lines[]; returns how
 * many. 0 in times: the end.
 */
struct growth_line {
    uint64_t line;
    uint64_t times; /* stores and changes */
};
unsigned growth_lines_written(struct growth_line *lines, unsigned most);

/* Pages that core has from the port, and invalidations it has asked for. */
uint64_t growth_pages(void);
uint64_t growth_flushes(void);

#endif
