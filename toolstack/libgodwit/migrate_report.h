/* SPDX-License-Identifier: MIT */
/* What a migration tells its user: lines while it runs, a summary at the end, and the same as JSON.
 */
#ifndef MIGRATE_REPORT_H
#define MIGRATE_REPORT_H

#include "precopy.h"
#include <libgodwit/migrate.h>

struct migrate_report {
    const char *guest, *host;
    enum gw_progress progress;
    uint64_t began_ms; /* monotonic clock */
    uint64_t shown_ms; /* when the line on the terminal was last rewritten */
    unsigned round;    /* now being sent */
    uint64_t total_ms, downtime_ms, verify_ms;
    uint64_t pages, zero_pages, bytes, memory_pages, verified_pages;
    const char *result;  /* for JSON: "moved", "failed", "cancelled", "unknown" */
    const char *runs_at; /* "destination", "source", "nowhere" */
};

/* Rewrites the line, at most twice a second, on a terminal. */
void migrate_report_pass(struct migrate_report *report, const char *phase, uint64_t done,
                         uint64_t total);
/* One round is over. */
void migrate_report_round(struct migrate_report *report, const struct precopy *precopy);
/* A plain line, whatever the output is. */
void migrate_report_say(struct migrate_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Pages per second that the guest dirtied while it was being sent. */
uint64_t migrate_report_dirty_rate(const struct precopy *precopy);
/* The end of a migration that worked. */
void migrate_report_summary(struct migrate_report *report, const struct precopy *precopy);
/* On stdout. error: NULL if it worked. */
void migrate_report_json(const struct migrate_report *report, const struct precopy *precopy,
                         const struct gw_error *error);

#endif
