/* SPDX-License-Identifier: MIT */
/* What a migration knows about itself, and what it tells its user while it runs and at the end. */
#ifndef MIGRATE_REPORT_H
#define MIGRATE_REPORT_H

#include "precopy/precopy.h"
#include "progress_line.h"
#include <libgodwit/migrate.h>

#define MIGRATE_EVENTS_MAX 256u

struct migrate_event {
    uint64_t ms; /* since the beginning */
    char what[112];
};

struct migrate_report {
    const char *guest, *destination;
    char source[65]; /* this host's name */
    struct progress_line line;
    const char *phase;   /* "setup", "rounds", "stop", "verify", "handover", "done" */
    const char *result;  /* as in docs/migrate.schema.json */
    const char *runs_at; /* "source", "destination", "unknown" */
    uint64_t began_ms;   /* monotonic clock */
    uint64_t began_unix_ms;
    uint64_t total_ms, downtime_ms, verify_ms, handover_ms;
    uint64_t memory_pages, verified_pages;
    uint64_t pages, zero_pages, raw_bytes, bytes; /* sent so far: migrate_report_count() */
    unsigned streams;
    int compress_level; /* 0: not */
    struct migrate_event events[MIGRATE_EVENTS_MAX];
    unsigned events_n; /* later ones are dropped */
};

/* The beginning: clocks and names. destination must outlive the report. */
void migrate_report_begin(struct migrate_report *report, const char *guest, const char *destination,
                          enum gw_progress progress);
void migrate_report_count(struct migrate_report *report, const struct save_source *source);
void migrate_report_event(struct migrate_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Rewrites the line on a terminal: when a pass begins, and at most twice a second. done, total:
 * pages of this pass. */
void migrate_report_pass(struct migrate_report *report, const struct precopy *precopy,
                         uint64_t done, uint64_t total);
/* One round is over. */
void migrate_report_round(struct migrate_report *report, const struct precopy *precopy);
/* A plain line, whatever the output is. */
void migrate_report_say(struct migrate_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The end of a migration that worked. */
void migrate_report_summary(struct migrate_report *report, const struct precopy *precopy);

#endif
