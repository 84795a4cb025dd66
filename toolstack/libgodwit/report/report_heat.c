/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "report_html.h"
#include "report_parts.h"

enum { TOP = 8, FOOT = 30, COLUMN_MAX = 104 };

/* A cell is one of these if at least so many percent of its pages were written. */
static const struct {
    double percent;
    const char *says;
} levels[] = {{0, "some"}, {1, "1 %"}, {5, "5 %"}, {20, "20 %"}, {50, "50 %"}, {90, "90 %"}};
#define LEVELS (sizeof(levels) / sizeof(levels[0]))

struct report_columns report_heat_columns(const struct report *r)
{
    struct report_columns c;

    c.rounds_each = (r->rounds_n + REPORT_HEAT_COLUMNS - 1) / REPORT_HEAT_COLUMNS;
    c.rounds_each = c.rounds_each ? c.rounds_each : 1;
    c.n = (r->rounds_n + c.rounds_each - 1) / c.rounds_each;
    return c;
}

int64_t report_heat_pages(const struct report *r, struct report_columns columns, size_t column,
                          size_t bucket)
{
    int64_t most = 0;

    for (size_t i = 0; i < columns.rounds_each; i++) {
        size_t n = column * columns.rounds_each + i;

        if (n < r->rounds_n && bucket < r->rounds[n].heat_n && r->rounds[n].heat[bucket] > most)
            most = r->rounds[n].heat[bucket];
    }
    return most;
}

/* Pages in a bucket: the last one may be smaller. */
static double bucket_pages(const struct report *r, size_t bucket)
{
    double each = report_known(r->heat_pages_per_bucket);
    double rest = report_known(r->memory_pages) - (double)bucket * each;

    return rest > 0 ? fmin(rest, each) : each;
}

static unsigned level_of(const struct report *r, size_t bucket, int64_t pages)
{
    double all = bucket_pages(r, bucket), percent = all > 0 ? 100 * (double)pages / all : 100;
    unsigned level = 0;

    while (level + 1 < LEVELS && percent >= levels[level + 1].percent)
        level++;
    return level;
}

static void put_column(FILE *f, const struct report *r, struct report_columns columns,
                       size_t column, double width, double height)
{
    const struct report_round *first = &r->rounds[column * columns.rounds_each];

    fprintf(f, "<g><title>round %lld", (long long)first->n);
    if (columns.rounds_each > 1)
        fprintf(f, " and the next %zu", columns.rounds_each - 1);
    fputs(", from ", f);
    report_put_ms(f, first->start_ms);
    fputs(": ", f);
    report_put_count(f, first->dirtied_pages);
    fputs(" pages dirtied</title>\n", f);
    for (size_t i = 0; i < r->heat_n; i++) {
        int64_t pages = report_heat_pages(r, columns, column, i);

        if (pages)
            fprintf(f,
                    "<rect class=\"h%u\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"/>\n",
                    level_of(r, i, pages), REPORT_LEFT + (double)column * width,
                    TOP + (double)i * height, width, height);
    }
    fputs("</g>\n", f);
}

/* Where in the guest's memory, on the left; which round, below. */
static void put_axes(FILE *f, const struct report *r, struct report_columns columns, double width,
                     double height)
{
    double bottom = TOP + height * (double)r->heat_n;
    double bytes = (double)r->heat_n * report_known(r->heat_pages_per_bucket) * REPORT_PAGE_BYTES;
    size_t each = (size_t)ceil(fmax(30 / width, 1));

    for (int quarter = 0; quarter <= 4; quarter++) {
        fprintf(f, "<text class=\"name\" x=\"%d\" y=\"%.2f\">", REPORT_LEFT - 10,
                TOP + (bottom - TOP) * quarter / 4 + 4);
        report_put_bytes(f, bytes * quarter / 4);
        fputs("</text>\n", f);
    }
    for (size_t i = 0; i < columns.n; i += each)
        fprintf(f, "<text class=\"tick\" x=\"%.2f\" y=\"%.2f\">%lld</text>\n",
                REPORT_LEFT + ((double)i + 0.5) * width, bottom + 18,
                (long long)r->rounds[i * columns.rounds_each].n);
    fprintf(f, "<text class=\"name\" x=\"%d\" y=\"%.2f\">round</text>\n", REPORT_LEFT - 10,
            bottom + 18);
}

static void put_legend(FILE *f)
{
    fputs("<ul class=\"legend\" aria-label=\"Share of a cell's pages that were written\">", f);
    for (unsigned i = 0; i < LEVELS; i++)
        fprintf(f,
                "<li><svg class=\"swatch\" viewBox=\"0 0 12 12\" aria-hidden=\"true\">"
                "<rect class=\"h%u\" width=\"12\" height=\"12\"/></svg>%s%s</li>",
                i, i ? "at least " : "", levels[i].says);
    fputs("</ul>\n", f);
}

void report_put_heat(FILE *f, const struct report *r)
{
    struct report_columns columns = report_heat_columns(r);
    double width = fmin((double)REPORT_PLOT / (double)(columns.n ? columns.n : 1), COLUMN_MAX);
    double height = r->heat_n ? fmin(fmax(384.0 / (double)r->heat_n, 1.5), 16) : 0;

    fputs("<section aria-labelledby=\"heat-title\"><h2 id=\"heat-title\">Dirty pages over memory "
          "and time</h2>\n",
          f);
    if (!r->heat_n) {
        fputs("<p class=\"none\">Not in the file: it is there once a migration is over, if a "
              "round was sent.</p></section>\n",
              f);
        return;
    }
    fprintf(f,
            "<figure><div class=\"wide\" role=\"region\" aria-label=\"Heat map\" tabindex=\"0\">"
            "<svg id=\"heat\" role=\"img\" aria-labelledby=\"heat-name\" viewBox=\"0 0 %d %.2f\">\n"
            "<title id=\"heat-name\">Pages that the guest wrote: %zu parts of its memory in %zu "
            "rounds; the numbers are in the table of dirty pages</title>\n"
            "<rect class=\"ground\" x=\"%d\" y=\"%d\" width=\"%.2f\" height=\"%.2f\"/>\n",
            REPORT_WIDTH, TOP + height * (double)r->heat_n + FOOT, r->heat_n, r->rounds_n,
            REPORT_LEFT, TOP, width * (double)columns.n, height * (double)r->heat_n);
    for (size_t i = 0; i < columns.n; i++)
        put_column(f, r, columns, i, width, height);
    put_axes(f, r, columns, width, height);
    fputs("</svg></div>\n", f);
    put_legend(f);
    fputs("<figcaption>Downwards the guest's memory from its beginning, to the right the rounds; "
          "each cell is ",
          f);
    report_put_bytes(f, (double)report_pages_bytes(r->heat_pages_per_bucket));
    fputs(" of memory.</figcaption></figure></section>\n", f);
}
