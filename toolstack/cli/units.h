/* SPDX-License-Identifier: MIT */
/* Amounts with units on the command line. Each returns 0, or -1 if the text is none. */
#ifndef CLI_UNITS_H
#define CLI_UNITS_H

#include <stdint.h>

/* "300ms", "2s", "10m", "1.5h" as milliseconds, at most 30 days. Without a unit: `unit` is meant.
 */
int cli_parse_duration(const char *text, const char *unit, uint64_t *ret_ms);

/*
 * Bytes per second: "40MiB/s", "40MB/s", "1Gbit", "512M" (K, M, G, T alone are binary), "1000";
 * "/s" and "ps" may be left out. "0" and "unlimited" are 0.
 */
int cli_parse_rate(const char *text, uint64_t *ret_bytes_per_s);

#endif
