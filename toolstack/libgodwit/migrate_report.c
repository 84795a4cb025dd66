/* SPDX-License-Identifier: MIT */
#include "migrate_report.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>

#define REWRITE_MS 500

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

void migrate_report_pass(struct migrate_report *r, const char *phase, uint64_t done, uint64_t total)
{
    uint64_t now = precopy_now_ms();

    if (r->progress != GW_PROGRESS_TERMINAL || now - r->shown_ms < REWRITE_MS)
        return;
    r->shown_ms = now;
    fprintf(stderr, "\r%s -> %s: %s, %.1f of %.1f MiB, %.1f s\033[K", r->guest, r->host, phase,
            mib(done * STREAM_PAGE_BYTES), mib(total * STREAM_PAGE_BYTES),
            (double)(now - r->began_ms) / 1000);
    fflush(stderr);
}

/* Ends the rewritten line's life: what follows starts at the left. */
static void wipe_line(struct migrate_report *r)
{
    if (r->progress == GW_PROGRESS_TERMINAL)
        fputs("\r\033[K", stderr);
}

static void print_line(struct migrate_report *r, const char *format, va_list args)
{
    wipe_line(r);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

void migrate_report_say(struct migrate_report *r, const char *format, ...)
{
    va_list args;

    if (r->progress == GW_PROGRESS_NONE)
        return;
    va_start(args, format);
    print_line(r, format, args);
    va_end(args);
}

void migrate_report_round(struct migrate_report *r, const struct precopy *p)
{
    const struct precopy_round *round = &p->rounds[p->n - 1];

    r->round = p->n;
    if (r->progress == GW_PROGRESS_TERMINAL)
        migrate_report_pass(r, "round done", round->pages, round->pages);
    else if (r->progress == GW_PROGRESS_LINES && p->why_stopped && p->stopped_at_ms)
        migrate_report_say(r, "stopped:  sent %8llu pages (%llu zero) in %llu ms",
                           (unsigned long long)round->pages, (unsigned long long)round->zero_pages,
                           (unsigned long long)round->ms);
    else if (r->progress == GW_PROGRESS_LINES)
        migrate_report_say(r, "round %2u: sent %8llu pages (%llu zero) in %llu ms, dirtied %llu",
                           p->n, (unsigned long long)round->pages,
                           (unsigned long long)round->zero_pages, (unsigned long long)round->ms,
                           (unsigned long long)round->dirtied);
}

uint64_t migrate_report_dirty_rate(const struct precopy *p)
{
    uint64_t dirtied = 0, ms = 0;

    for (unsigned i = 0; i < p->n; i++) {
        dirtied += p->rounds[i].dirtied;
        ms += p->rounds[i].ms;
    }
    return ms ? dirtied * 1000 / ms : 0;
}

void migrate_report_summary(struct migrate_report *r, const struct precopy *p)
{
    migrate_report_say(r,
                       "%s moved to %s in %.2f s, downtime %llu ms, %u rounds (%s), %llu pages "
                       "(%llu zero), %.1f MiB sent, %llu pages/s dirtied",
                       r->guest, r->host, (double)r->total_ms / 1000,
                       (unsigned long long)r->downtime_ms, p->n, p->why_stopped,
                       (unsigned long long)r->pages, (unsigned long long)r->zero_pages,
                       mib(r->bytes), (unsigned long long)migrate_report_dirty_rate(p));
    if (r->verified_pages)
        migrate_report_say(r, "every page compared: equal (%llu pages, %llu ms of the downtime)",
                           (unsigned long long)r->verified_pages, (unsigned long long)r->verify_ms);
}

static void add_number(struct json_object *object, const char *key, uint64_t value)
{
    json_object_object_add(object, key, json_object_new_int64((int64_t)value));
}

static struct json_object *rounds_as_json(const struct precopy *p)
{
    struct json_object *rounds = json_object_new_array();

    for (unsigned i = 0; i < p->n; i++) {
        const struct precopy_round *round = &p->rounds[i];
        struct json_object *one = json_object_new_object();

        add_number(one, "round", i + 1);
        add_number(one, "pages", round->pages);
        add_number(one, "zero_pages", round->zero_pages);
        add_number(one, "dirtied_pages", round->dirtied);
        add_number(one, "sent_bytes", round->bytes);
        add_number(one, "duration_ms", round->ms);
        json_object_object_add(one, "guest_runs",
                               json_object_new_boolean(i + 1 < p->n || !p->stopped_at_ms));
        json_object_array_add(rounds, one);
    }
    return rounds;
}

void migrate_report_json(const struct migrate_report *r, const struct precopy *p,
                         const struct gw_error *error)
{
    struct json_object *top = json_object_new_object();

    json_object_object_add(top, "schema", json_object_new_string("godwit.migrate.v1"));
    json_object_object_add(top, "name", json_object_new_string(r->guest));
    json_object_object_add(top, "destination", json_object_new_string(r->host));
    json_object_object_add(top, "result", json_object_new_string(r->result));
    json_object_object_add(top, "runs_at", json_object_new_string(r->runs_at));
    add_number(top, "exit_status", error ? (uint64_t)error->code : 0);
    if (error)
        json_object_object_add(top, "error", json_object_new_string(error->message));
    add_number(top, "total_ms", r->total_ms);
    add_number(top, "downtime_ms", r->downtime_ms);
    add_number(top, "verify_ms", r->verify_ms);
    add_number(top, "rounds", p->n);
    if (p->why_stopped)
        json_object_object_add(top, "stopped_because", json_object_new_string(p->why_stopped));
    add_number(top, "memory_pages", r->memory_pages);
    add_number(top, "pages", r->pages);
    add_number(top, "zero_pages", r->zero_pages);
    add_number(top, "verified_pages", r->verified_pages);
    add_number(top, "sent_bytes", r->bytes);
    add_number(top, "dirty_pages_per_s", migrate_report_dirty_rate(p));
    json_object_object_add(top, "round_table", rounds_as_json(p));
    puts(json_object_to_json_string_ext(top, JSON_C_TO_STRING_PRETTY));
    json_object_put(top);
}
