/* SPDX-License-Identifier: MIT */
/* What is measured, the same for every target. */
#ifndef TRACKING_SCENARIO_H
#define TRACKING_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Measures the target that is ready and prints "cost SERIES QUANTITY VALUE UNIT" lines. The log is
 * held against what the guest was told to write each time: a page lost or reported without
 * a write is a "void SERIES ..." line. Returns whether there was none.
 */
bool scenario_run(const char *series);

/* How a write fault grows with the number of vCPUs that write at once: 1, 2, 4 ... up to vcpus. */
bool scenario_vcpus(const char *series, uint32_t vcpus);

#endif
