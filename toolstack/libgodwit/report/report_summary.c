/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <time.h>

#include "report_html.h"
#include "report_parts.h"

static const struct {
    const char *result, *class, *says;
} verdicts[] = {
    {"moved", "good", "Moved. The guest runs at the destination."},
    {"failed", "bad", "Failed. The guest runs on at the source."},
    {"cancelled", "stopped", "Cancelled. The guest runs on at the source."},
    {"diverged", "bad", "It did not converge. The guest runs on at the source."},
    {"unknown", "bad",
     "Outcome unknown. The guest is held paused at the source: see the runbook before it is touched."},
    {"possible", "good", "A dry run: the guest could move. Nothing was moved."},
    {"refused", "bad", "A dry run: the guest could not move. Nothing was moved."},
    {"active", "stopped", "Under way when this was written."},
};

static void put_verdict(FILE *f, const struct report *r)
{
    size_t i = 0, n = sizeof(verdicts) / sizeof(verdicts[0]);

    while (i < n && strcmp(verdicts[i].result, r->result) != 0)
        i++;
    fprintf(f, "<p class=\"verdict %s\">", i < n ? verdicts[i].class : "stopped");
    if (i < n)
        fputs(verdicts[i].says, f);
    else
        fputs("The file does not say what came of it.", f);
    fputs("</p>\n", f);
    if (r->error) {
        fputs("<p class=\"error\">", f);
        report_put_foreign(f, r->error);
        fputs("</p>\n", f);
    }
}

static void put_name(FILE *f, const char *name, const char *id)
{
    fprintf(f, "<div><dt>%s</dt><dd id=\"%s\">", name, id);
}

static void put_ms(FILE *f, const char *name, const char *id, int64_t ms)
{
    put_name(f, name, id);
    report_put_ms(f, ms);
    fputs("</dd></div>\n", f);
}

static void put_began(FILE *f, const struct report *r)
{
    time_t seconds = (time_t)(r->began_unix_ms / 1000);
    char text[64];
    struct tm tm;

    put_name(f, "began", "fact-began");
    if (r->began_unix_ms < 0 || !gmtime_r(&seconds, &tm) ||
        !strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm))
        fputs("&ndash;", f);
    else
        report_put_text(f, text);
    fputs("</dd></div>\n", f);
}

static void put_downtime(FILE *f, const struct report *r)
{
    put_name(f, "downtime", "fact-downtime");
    report_put_ms(f, r->downtime_ms);
    if (r->max_downtime_ms >= 0) {
        fputs(" <small>limit ", f);
        report_put_ms(f, r->max_downtime_ms);
        fputs("</small>", f);
    }
    fputs("</dd></div>\n", f);
}

static void put_sent(FILE *f, const struct report *r)
{
    put_name(f, "sent", "fact-sent");
    report_put_bytes(f, (double)r->bytes);
    fputs(" <small>of ", f);
    report_put_bytes(f, (double)report_pages_bytes(r->memory_pages));
    fputs(" memory</small></dd></div>\n", f);
}

static void put_pages(FILE *f, const struct report *r)
{
    put_name(f, "pages sent", "fact-pages");
    report_put_count(f, r->pages);
    fputs(" <small>", f);
    report_put_count(f, r->zero_pages);
    fputs(" zero, ", f);
    report_put_count(f, r->resent_pages);
    fputs(" sent again</small></dd></div>\n", f);
}

void report_put_summary(FILE *f, const struct report *r)
{
    fputs("<header><h1>", f);
    report_put_foreign(f, r->guest[0] ? r->guest : "a guest");
    fputs(": ", f);
    report_put_foreign(f, r->source[0] ? r->source : "?");
    fputs(" to ", f);
    report_put_foreign(f, r->destination[0] ? r->destination : "?");
    fputs("</h1>\n", f);
    put_verdict(f, r);
    fputs("</header>\n<dl class=\"facts\">\n", f);
    put_began(f, r);
    put_ms(f, "took", "fact-total", r->total_ms);
    put_downtime(f, r);
    put_name(f, "rounds", "fact-rounds");
    report_put_count(f, (int64_t)r->rounds_n);
    fputs("</dd></div>\n", f);
    put_sent(f, r);
    put_pages(f, r);
    fputs("</dl>\n", f);
    if (r->stopped_because) {
        fputs("<p>Stopped because: ", f);
        report_put_foreign(f, r->stopped_because);
        fputs("</p>\n", f);
    }
}
