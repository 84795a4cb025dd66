/* SPDX-License-Identifier: MIT */
/* What is measured, the same for every target. */
#ifndef TRACKING_SCENARIO_H
#define TRACKING_SCENARIO_H

#include <stdbool.h>

/*
 * Measures the target that is ready and prints "cost SERIES QUANTITY VALUE UNIT" lines. The log is
 * held against what the guest was told to write each time: a page lost or reported without
 * a write is a "void SERIES ..." line. Returns whether there was none.
 */
bool scenario_run(const char *series);

#endif
