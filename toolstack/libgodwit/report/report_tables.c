/* SPDX-License-Identifier: MIT */
#include "report_html.h"
#include "report_parts.h"

/* A table of its own width scrolls, also with the keyboard. */
static void begin(FILE *f, const char *id, const char *caption)
{
    fprintf(f,
            "<div class=\"wide\" role=\"region\" aria-labelledby=\"%s-caption\" tabindex=\"0\">"
            "<table id=\"%s\"><caption id=\"%s-caption\">%s</caption>\n",
            id, id, id, caption);
}

static void end(FILE *f)
{
    fputs("</tbody></table></div>\n", f);
}

static void put_heads(FILE *f, const char *const *heads, size_t n)
{
    fputs("<thead><tr>", f);
    for (size_t i = 0; i < n; i++)
        fprintf(f, "<th scope=\"col\">%s</th>", heads[i]);
    fputs("</tr></thead>\n<tbody>\n", f);
}

static void put_cell(FILE *f, int64_t n)
{
    fputs("<td>", f);
    report_put_count(f, n);
    fputs("</td>", f);
}

static void put_throttle(FILE *f, const struct report_round *round)
{
    fputs("<td>", f);
    for (size_t i = 0; i < round->throttle_n; i++)
        fprintf(f, "%svCPU %lld: %lld %%", i ? ", " : "", (long long)round->throttle[i].vcpu,
                (long long)round->throttle[i].percent);
    if (!round->throttle_n)
        fputs("none", f);
    fputs("</td>", f);
}

static void put_rounds(FILE *f, const struct report *r)
{
    static const char *const heads[] = {
        "round",           "began, ms",      "took, ms",      "pages sent",
        "of them zero",    "left for later", "dirtied pages", "bytes",
        "dirtied pages/s", "sent bytes/s",   "estimate, ms",  "throttle",
    };

    begin(f, "table-rounds", "Rounds");
    put_heads(f, heads, sizeof(heads) / sizeof(heads[0]));
    for (size_t i = 0; i < r->rounds_n; i++) {
        const struct report_round *round = &r->rounds[i];
        const int64_t numbers[] = {
            round->start_ms,      round->ms,
            round->pages,         round->zero_pages,
            round->skipped_pages, round->dirtied_pages,
            round->bytes,         round->dirty_pages_per_s,
            round->bytes_per_s,   round->estimate_ms,
        };

        fprintf(f, "<tr%s><th scope=\"row\">%lld%s</th>", round->final ? " class=\"final\"" : "",
                (long long)round->n, round->final ? " (guest stopped)" : "");
        for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++)
            put_cell(f, numbers[n]);
        put_throttle(f, round);
        fputs("</tr>\n", f);
    }
    end(f);
}

/* One part of memory that was written in any round. */
static void put_heat_row(FILE *f, const struct report *r, struct report_columns columns,
                         size_t bucket)
{
    int64_t bytes = report_pages_bytes(r->heat_pages_per_bucket), any = 0;

    for (size_t i = 0; i < columns.n && !any; i++)
        any = report_heat_pages(r, columns, i, bucket);
    if (!any)
        return;
    fputs("<tr><th scope=\"row\">", f);
    report_put_bytes(f, report_known(bytes) * (double)bucket);
    fputs("</th>", f);
    for (size_t i = 0; i < columns.n; i++)
        put_cell(f, report_heat_pages(r, columns, i, bucket));
    fputs("</tr>\n", f);
}

static void put_heat(FILE *f, const struct report *r)
{
    struct report_columns columns = report_heat_columns(r);

    if (!r->heat_n)
        return;
    fputs("<details><summary>Dirty pages in each part of memory</summary>\n", f);
    begin(f, "table-heat",
          columns.rounds_each > 1
              ? "Dirty pages: a row for each part of memory that was written, named after its "
                "beginning; each column is the hottest of several rounds"
              : "Dirty pages: a row for each part of memory that was written, named after its "
                "beginning");
    fputs("<thead><tr><th scope=\"col\">memory from</th>", f);
    for (size_t i = 0; i < columns.n; i++)
        fprintf(f, "<th scope=\"col\">round %lld</th>",
                (long long)r->rounds[i * columns.rounds_each].n);
    fputs("</tr></thead>\n<tbody>\n", f);
    for (size_t i = 0; i < r->heat_n; i++)
        put_heat_row(f, r, columns, i);
    end(f);
    fputs("</details>\n", f);
}

static void put_phases(FILE *f, const struct report *r)
{
    static const char *const heads[] = {"phase", "ms"};

    if (!r->phases_n)
        return;
    begin(f, "table-phases", "Where the time went, summed over threads");
    put_heads(f, heads, 2);
    for (size_t i = 0; i < r->phases_n; i++) {
        fputs("<tr><th scope=\"row\">", f);
        report_put_foreign(f, r->phases[i].name);
        fputs("</th>", f);
        put_cell(f, r->phases[i].ms);
        fputs("</tr>\n", f);
    }
    end(f);
}

static void put_ns(FILE *f, int64_t ns)
{
    fputs("<td>", f);
    report_put_ns(f, ns);
    fputs("</td>", f);
}

static void put_vcpus(FILE *f, const struct report *r)
{
    static const char *const heads[] = {
        "vCPU", "faults", "dirtied pages", "faults, ms", "throttle, ms", "harvest, ms", "pause, ms",
    };

    if (!r->vcpus_n)
        return;
    begin(f, "table-vcpus", "What each vCPU wrote, and the time that it lost");
    put_heads(f, heads, sizeof(heads) / sizeof(heads[0]));
    for (size_t i = 0; i < r->vcpus_n; i++) {
        const struct report_vcpu *v = &r->vcpus[i];

        fputs("<tr><th scope=\"row\">", f);
        report_put_count(f, v->vcpu);
        fputs("</th>", f);
        put_cell(f, v->faults);
        put_cell(f, v->dirty_pages);
        put_ns(f, v->stall_fault_ns);
        put_ns(f, v->stall_throttle_ns);
        put_ns(f, v->stall_harvest_ns);
        put_ns(f, v->stall_pause_ns);
        fputs("</tr>\n", f);
    }
    end(f);
}

static void put_events(FILE *f, const struct report *r)
{
    static const char *const heads[] = {"ms", "event"};

    if (!r->events_n)
        return;
    begin(f, "table-events", "Events");
    put_heads(f, heads, 2);
    for (size_t i = 0; i < r->events_n; i++) {
        fputs("<tr><th scope=\"row\">", f);
        report_put_count(f, r->events[i].ms);
        fputs("</th><td class=\"text\">", f);
        report_put_foreign(f, r->events[i].what);
        fputs("</td></tr>\n", f);
    }
    end(f);
}

static void put_limit_text(FILE *f, const char *name, const char *value)
{
    fprintf(f, "<tr><th scope=\"row\">%s</th><td>", name);
    if (value[0])
        report_put_foreign(f, value);
    else
        fputs("&ndash;", f);
    fputs("</td></tr>\n", f);
}

static void put_limits(FILE *f, const struct report *r)
{
    static const char *const heads[] = {"limit", "value"};

    begin(f, "table-limits", "What was asked for");
    put_heads(f, heads, 2);
    fputs("<tr><th scope=\"row\">downtime, ms</th>", f);
    put_cell(f, r->max_downtime_ms);
    fputs("</tr>\n<tr><th scope=\"row\">bandwidth, bytes/s (0: no limit)</th>", f);
    put_cell(f, r->bandwidth_bytes_per_s);
    fputs("</tr>\n<tr><th scope=\"row\">timeout, ms (0: none)</th>", f);
    put_cell(f, r->timeout_ms);
    fputs("</tr>\n<tr><th scope=\"row\">rounds</th>", f);
    put_cell(f, r->max_rounds);
    fputs("</tr>\n<tr><th scope=\"row\">connections</th>", f);
    put_cell(f, r->streams);
    fputs("</tr>\n", f);
    put_limit_text(f, "at the timeout", r->on_timeout);
    put_limit_text(f, "compression", r->compress);
    put_limit_text(f, "throttle", r->throttle);
    end(f);
}

void report_put_tables(FILE *f, const struct report *r)
{
    fputs("<section id=\"numbers\" aria-labelledby=\"numbers-title\" tabindex=\"-1\">"
          "<h2 id=\"numbers-title\">Numbers</h2>\n",
          f);
    put_rounds(f, r);
    put_heat(f, r);
    fputs("<div class=\"beside\">\n", f);
    put_phases(f, r);
    put_vcpus(f, r);
    put_events(f, r);
    put_limits(f, r);
    fputs("</div></section>\n", f);
}
