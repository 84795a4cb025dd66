/* SPDX-License-Identifier: MIT */
/* The JSON object of a migration, checked. Numbers that the object lacks are REPORT_UNKNOWN. */
#ifndef REPORT_READ_H
#define REPORT_READ_H

#include <json-c/json.h>
#include <libgodwit/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPORT_UNKNOWN    (-1)
#define REPORT_ROUNDS_MAX 1001
#define REPORT_HEAT_MAX   256
#define REPORT_VCPUS_MAX  128
#define REPORT_PHASES_MAX 64
#define REPORT_EVENTS_MAX 4096
#define REPORT_PAGE_BYTES 4096

struct report_throttle {
    int64_t vcpu, percent;
};

struct report_round {
    int64_t n, start_ms, ms, pages, zero_pages, skipped_pages, dirtied_pages, bytes;
    int64_t dirty_pages_per_s, bytes_per_s, estimate_ms;
    bool final; /* after the stop */
    struct report_throttle *throttle;
    size_t throttle_n;
    int64_t *heat; /* dirtied pages in each bucket of memory */
    size_t heat_n;
};

struct report_phase {
    const char *name;
    int64_t ms;
};

struct report_vcpu {
    int64_t vcpu, faults, dirty_pages;
    int64_t stall_fault_ns, stall_throttle_ns, stall_harvest_ns, stall_pause_ns;
};

struct report_event {
    int64_t ms;
    const char *what;
};

struct report {
    const char *guest, *source, *destination, *result, *phase, *runs_at; /* "" if absent */
    const char *error, *stopped_because;                                 /* NULL if there is none */
    int64_t exit, began_unix_ms, total_ms, downtime_ms, downtime_estimate_ms;
    int64_t memory_pages, pages, zero_pages, skipped_pages, resent_pages, verified_pages;
    int64_t raw_bytes, bytes, heat_pages_per_bucket;
    int64_t max_downtime_ms, bandwidth_bytes_per_s, timeout_ms, max_rounds, streams;
    const char *on_timeout, *compress, *throttle; /* limits; "" if absent */
    struct report_round *rounds;
    size_t rounds_n, heat_n; /* heat_n: the most buckets of any round */
    struct report_phase *phases;
    size_t phases_n;
    struct report_vcpu *vcpus;
    size_t vcpus_n;
    struct report_event *events;
    size_t events_n;
    struct json_object *json; /* owns the texts */
};

/* Parses and checks hostile bytes; err's message starts with what. Free *ret in both cases. */
int report_read(struct report *ret, const char *what, const void *text, size_t length,
                struct gw_error *err);
void report_free(struct report *report);

#endif
