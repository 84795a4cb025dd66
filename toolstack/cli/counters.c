/* SPDX-License-Identifier: MIT */
#include "counters.h"

#define COUNTER(name, field)                                                                       \
    {                                                                                              \
        name, offsetof(struct godwit_stats, field)                                                 \
    }

const struct cli_counter cli_counters[CLI_COUNTERS] = {
    COUNTER("faults_first_write", faults_first_write),
    COUNTER("faults_spurious", faults_spurious),
    COUNTER("faults_split", faults_split),
    COUNTER("faults_walk", faults_walk),
    COUNTER("splits", splits),
    COUNTER("merges", merges),
    COUNTER("invalidations", invalidations),
    COUNTER("harvested_pages", harvested),
    COUNTER("returned_pages", returned),
    COUNTER("bits_set_vcpu", bits_set[GODWIT_WRITER_VCPU]),
    COUNTER("bits_set_hardware", bits_set[GODWIT_WRITER_HARDWARE]),
    COUNTER("bits_set_hypercall", bits_set[GODWIT_WRITER_HYPERCALL]),
    COUNTER("bits_set_shared", bits_set[GODWIT_WRITER_SHARED]),
    COUNTER("bits_set_device", bits_set[GODWIT_WRITER_DEVICE]),
    COUNTER("bits_set_foreign", bits_set[GODWIT_WRITER_FOREIGN]),
    COUNTER("bits_set_model", bits_set[GODWIT_WRITER_MODEL]),
    COUNTER("bits_set_mapping", bits_set[GODWIT_WRITER_MAPPING]),
    COUNTER("bits_set_block", bits_set[GODWIT_WRITER_BLOCK]),
};

uint64_t cli_counter_value(const struct cli_counter *counter, const struct godwit_stats *stats)
{
    return *(const uint64_t *)(const void *)((const char *)stats + counter->offset);
}

const char *cli_writer_name(unsigned writer)
{
    static const char *const names[GODWIT_WRITERS] = {
        [GODWIT_WRITER_VCPU] = "vcpu",           [GODWIT_WRITER_HARDWARE] = "hardware",
        [GODWIT_WRITER_HYPERCALL] = "hypercall", [GODWIT_WRITER_SHARED] = "shared",
        [GODWIT_WRITER_DEVICE] = "device",       [GODWIT_WRITER_FOREIGN] = "foreign",
        [GODWIT_WRITER_MODEL] = "model",         [GODWIT_WRITER_MAPPING] = "mapping",
        [GODWIT_WRITER_BLOCK] = "block",
    };

    return writer < GODWIT_WRITERS ? names[writer] : NULL;
}
