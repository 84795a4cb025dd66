/* SPDX-License-Identifier: MIT */
#include "migrate_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double mib(uint64_t pages)
{
    return (double)pages * STREAM_PAGE_BYTES / (1 << 20);
}

void migrate_report_begin(struct migrate_report *r, const char *guest, const char *destination,
                          enum gw_progress progress)
{
    struct timespec now;

    memset(r, 0, sizeof(*r));
    clock_gettime(CLOCK_REALTIME, &now);
    r->began_unix_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    r->began_ms = precopy_now_ms();
    r->guest = guest;
    r->destination = destination;
    if (gethostname(r->source, sizeof(r->source) - 1) < 0)
        snprintf(r->source, sizeof(r->source), "unknown");
    r->line = (struct progress_line){.progress = progress, .began_ms = r->began_ms};
    r->phase = "setup";
    r->result = "active";
    r->runs_at = "source";
    r->streams = 1;
}

void migrate_report_count(struct migrate_report *r, const struct save_source *source)
{
    r->pages = source->pages;
    r->zero_pages = source->zero_pages;
    r->bytes = save_source_bytes(source);
    r->raw_bytes = r->bytes + source->saved_bytes;
    r->streams = source->streams ? source->streams : 1;
    r->compress_level = source->compress_level;
    r->total_ms = precopy_now_ms() - r->began_ms;
}

void migrate_report_event(struct migrate_report *r, const char *format, ...)
{
    va_list args;

    if (r->events_n == MIGRATE_EVENTS_MAX)
        return;
    struct migrate_event *event = &r->events[r->events_n++];
    event->ms = precopy_now_ms() - r->began_ms;
    va_start(args, format);
    vsnprintf(event->what, sizeof(event->what), format, args);
    va_end(args);
}

/* What the last round has measured. */
static void print_rates(const struct precopy *p)
{
    const struct precopy_round *last = &p->rounds[p->n - 1];
    uint64_t ms = last->ms ? last->ms : 1;

    fprintf(stderr, "  dirty %.1f MiB/s  est. downtime %llu ms (limit %u)",
            mib(last->dirtied) * 1000 / (double)ms, (unsigned long long)p->estimate_ms,
            p->limits.max_downtime_ms);
    if (p->why)
        fprintf(stderr, "  %s", p->why);
}

void migrate_report_pass(struct migrate_report *r, const struct precopy *p, uint64_t done,
                         uint64_t total)
{
    char who[160], phase[32];

    if (!progress_line_is_due(&r->line, done))
        return;
    snprintf(who, sizeof(who), "%s -> %s", r->guest, r->destination);
    if (strcmp(r->phase, "rounds") != 0)
        snprintf(phase, sizeof(phase), "%s", r->phase);
    else
        snprintf(phase, sizeof(phase), p->n ? "round %u" : "bulk copy", p->n + 1);
    progress_line_open(&r->line, who, phase, "sent", r->bytes);
    if (p->n && !p->stopped)
        print_rates(p);
    progress_line_close(done, total);
}

void migrate_report_say(struct migrate_report *r, const char *format, ...)
{
    va_list args;

    if (progress_line_kind(&r->line) == GW_PROGRESS_NONE)
        return;
    progress_line_wipe(&r->line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void migrate_report_round(struct migrate_report *r, const struct precopy *p)
{
    const struct precopy_round *round = &p->rounds[p->n - 1];

    if (progress_line_kind(&r->line) != GW_PROGRESS_LINES)
        return;
    if (round->final)
        migrate_report_say(r, "stopped:  sent %8llu pages (%llu zero) in %llu ms",
                           (unsigned long long)round->pages, (unsigned long long)round->zero_pages,
                           (unsigned long long)round->ms);
    else
        migrate_report_say(
            r,
            "round %2u: sent %8llu pages (%llu zero, %llu skipped) in %llu ms, "
            "dirtied %llu; to stop now would take about %llu ms%s%s",
            p->n, (unsigned long long)round->pages, (unsigned long long)round->zero_pages,
            (unsigned long long)round->skipped, (unsigned long long)round->ms,
            (unsigned long long)round->dirtied, (unsigned long long)round->estimate_ms,
            p->why ? "; " : "", p->why ? p->why : "");
}

static uint64_t skipped_pages(const struct precopy *p)
{
    uint64_t skipped = 0;

    for (unsigned i = 0; i < p->n; i++)
        skipped += p->rounds[i].skipped;
    return skipped;
}

void migrate_report_summary(struct migrate_report *r, const struct precopy *p)
{
    migrate_report_say(r,
                       "%s moved to %s in %.2f s, downtime %llu ms (%llu were expected), %u rounds "
                       "(%s), %llu pages (%llu zero, %llu sent again, %llu skipped), %.1f MiB sent",
                       r->guest, r->destination, (double)r->total_ms / 1000,
                       (unsigned long long)r->downtime_ms, (unsigned long long)p->estimate_ms, p->n,
                       p->why, (unsigned long long)r->pages, (unsigned long long)r->zero_pages,
                       (unsigned long long)p->resent, (unsigned long long)skipped_pages(p),
                       (double)r->bytes / (1 << 20));
    if (p->estimate_ms > p->limits.max_downtime_ms)
        migrate_report_say(r,
                           "it did not converge: it was stopped all the same, %s, as --on-timeout "
                           "stop asked",
                           p->why);
    if (r->verified_pages)
        migrate_report_say(r, "every page compared: equal (%llu pages, %llu ms of the downtime)",
                           (unsigned long long)r->verified_pages, (unsigned long long)r->verify_ms);
}
