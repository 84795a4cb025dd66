/* SPDX-License-Identifier: MIT */
/* The running counters of a guest's stage 2 and dirty log, by the names that commands print. */
#ifndef CLI_COUNTERS_H
#define CLI_COUNTERS_H

#include <godwit/ext.h>
#include <stddef.h>

struct cli_counter {
    const char *name;
    size_t offset; /* in struct godwit_stats, of a uint64_t */
};

#define CLI_COUNTERS 18u
extern const struct cli_counter cli_counters[CLI_COUNTERS];

uint64_t cli_counter_value(const struct cli_counter *counter, const struct godwit_stats *stats);

/* "vcpu", "device" and so on; NULL: no writer has this number. */
const char *cli_writer_name(unsigned writer);

#endif
