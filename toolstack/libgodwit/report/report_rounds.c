/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "report_html.h"
#include "report_parts.h"

enum { TOP = 30, BARS = 84, STEP = 134, FOOT = 30 };
enum { COLUMN_MAX = 104 };

/* One row of columns: bars, perhaps a line of a second quantity, perhaps a limit. */
struct panel {
    const char *id, *title, *unit, *line_name;
    double (*bar)(const struct report *r, const struct report_round *round);
    const char *(*class)(const struct report_round *round);
    double (*line)(const struct report_round *round);
    double limit, scale_min;
};

static double mib(double bytes)
{
    return bytes / (1 << 20);
}

static double bar_sent(const struct report *r, const struct report_round *round)
{
    (void)r;
    return mib(report_known(round->bytes));
}

static double bar_dirtied(const struct report *r, const struct report_round *round)
{
    (void)r;
    return mib(report_known(round->dirty_pages_per_s) * REPORT_PAGE_BYTES);
}

static double line_sent(const struct report_round *round)
{
    return mib(report_known(round->bytes_per_s));
}

/* After the stop the estimate has become a fact. */
static double bar_downtime(const struct report *r, const struct report_round *round)
{
    return report_known(round->final ? r->downtime_ms : round->estimate_ms);
}

static double bar_throttle(const struct report *r, const struct report_round *round)
{
    (void)r;
    return report_known(report_throttle_most(round));
}

static const char *class_sent(const struct report_round *round)
{
    return round->final ? "bar final" : "bar sent";
}

static const char *class_dirty(const struct report_round *round)
{
    (void)round;
    return "bar dirty";
}

static const char *class_downtime(const struct report_round *round)
{
    return round->final ? "bar final" : "bar estimate";
}

static const char *class_throttle(const struct report_round *round)
{
    (void)round;
    return "bar throttle";
}

static double column_width(const struct report *r)
{
    return fmin((double)REPORT_PLOT / (double)(r->rounds_n ? r->rounds_n : 1), COLUMN_MAX);
}

static double scale_of(const struct report *r, const struct panel *p)
{
    double most = fmax(p->scale_min, p->limit);

    for (size_t i = 0; i < r->rounds_n; i++) {
        most = fmax(most, p->bar(r, &r->rounds[i]));
        if (p->line)
            most = fmax(most, p->line(&r->rounds[i]));
    }
    return report_nice(most);
}

static void put_scale(FILE *f, const struct panel *p, double scale, int bottom)
{
    fprintf(f, "<text class=\"head\" x=\"%d\" y=\"%d\">%s</text>\n", REPORT_LEFT,
            bottom - BARS - 10, p->title);
    for (int half = 0; half <= 2; half++) {
        int y = bottom - BARS * half / 2;

        fprintf(f, "<path class=\"grid\" d=\"M%d %d h%d\"/>", REPORT_LEFT, y, REPORT_PLOT);
        fprintf(f, "<text class=\"name\" x=\"%d\" y=\"%d\">%g%s%s</text>\n", REPORT_LEFT - 10,
                y + 4, scale * half / 2, half ? " " : "", half ? p->unit : "");
    }
}

static void put_bars(FILE *f, const struct report *r, const struct panel *p, double scale,
                     int bottom)
{
    double width = column_width(r), gap = width > 6 ? width * 0.15 : 0;

    for (size_t i = 0; i < r->rounds_n; i++) {
        double value = p->bar(r, &r->rounds[i]), height = value / scale * BARS;

        /* What is there is seen, however small. */
        height = value > 0 ? fmax(height, 1) : 0;
        fprintf(f,
                "<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\">"
                "<title>%s%lld: %.2f %s</title></rect>\n",
                p->class(&r->rounds[i]), REPORT_LEFT + (double)i * width + gap / 2, bottom - height,
                width - gap, height, r->rounds[i].final ? "guest stopped, round " : "round ",
                (long long)r->rounds[i].n, value, p->unit);
    }
}

/* A stair: the quantity holds for a whole round. */
static void put_line(FILE *f, const struct report *r, const struct panel *p, double scale,
                     int bottom)
{
    double width = column_width(r);

    fputs("<path class=\"line\" d=\"", f);
    for (size_t i = 0; i < r->rounds_n; i++)
        fprintf(f, "%c%.2f %.2f h%.2f ", i ? 'L' : 'M', REPORT_LEFT + (double)i * width,
                bottom - p->line(&r->rounds[i]) / scale * BARS, width);
    fprintf(f, "\"><title>%s</title></path>\n", p->line_name);
}

static void put_panel(FILE *f, const struct report *r, const struct panel *p, int bottom)
{
    double scale = scale_of(r, p);

    fprintf(f, "<g id=\"%s\">\n", p->id);
    put_scale(f, p, scale, bottom);
    put_bars(f, r, p, scale, bottom);
    if (p->line && r->rounds_n)
        put_line(f, r, p, scale, bottom);
    if (p->limit > 0) {
        double y = bottom - p->limit / scale * BARS;

        fprintf(f, "<path class=\"limit\" d=\"M%d %.2f h%d\"><title>limit: %g %s</title></path>\n",
                REPORT_LEFT, y, REPORT_PLOT, p->limit, p->unit);
        fprintf(
            f, "<text class=\"value\" text-anchor=\"end\" x=\"%d\" y=\"%.2f\">limit %g %s</text>\n",
            REPORT_LEFT + REPORT_PLOT, y - 4, p->limit, p->unit);
    }
    fputs("</g>\n", f);
}

static void put_numbers(FILE *f, const struct report *r, int y)
{
    double width = column_width(r);
    size_t each = (size_t)ceil(fmax(30 / width, 1));

    for (size_t i = 0; i < r->rounds_n; i += each)
        fprintf(f, "<text class=\"tick\" x=\"%.2f\" y=\"%d\">%lld</text>\n",
                REPORT_LEFT + ((double)i + 0.5) * width, y, (long long)r->rounds[i].n);
    fprintf(f, "<text class=\"name\" x=\"%d\" y=\"%d\">round</text>\n", REPORT_LEFT - 10, y);
}

void report_put_rounds(FILE *f, const struct report *r)
{
    const struct panel panels[] = {
        {.id = "panel-sent",
         .title = "Sent in each round",
         .unit = "MiB",
         .bar = bar_sent,
         .class = class_sent},
        {.id = "panel-rates",
         .title = "Dirtied (bars) and sent (line) per second",
         .unit = "MiB/s",
         .bar = bar_dirtied,
         .class = class_dirty,
         .line = line_sent,
         .line_name = "sent per second"},
        {.id = "panel-downtime",
         .title = "Downtime: estimated after each round, and measured",
         .unit = "ms",
         .bar = bar_downtime,
         .class = class_downtime,
         .limit = report_known(r->max_downtime_ms)},
        {.id = "panel-throttle",
         .title = "CPU time taken from the most throttled vCPU",
         .unit = "%",
         .bar = bar_throttle,
         .class = class_throttle,
         .scale_min = 100},
    };
    int n = (int)(sizeof(panels) / sizeof(panels[0]));

    fputs("<section aria-labelledby=\"rounds-title\"><h2 id=\"rounds-title\">Round by round</h2>\n",
          f);
    if (!r->rounds_n) {
        fputs("<p class=\"none\">No round was sent.</p></section>\n", f);
        return;
    }
    fprintf(
        f,
        "<figure><div class=\"wide\" role=\"region\" aria-label=\"Round by round\" tabindex=\"0\">"
        "<svg id=\"rounds\" role=\"img\" aria-labelledby=\"rounds-name\" viewBox=\"0 0 %d %d\">\n"
        "<title id=\"rounds-name\">Bytes sent, dirty rate, downtime and throttle of %zu rounds; "
        "the numbers are in the table of rounds</title>\n",
        REPORT_WIDTH, TOP + BARS + STEP * (n - 1) + FOOT, r->rounds_n);
    for (int i = 0; i < n; i++)
        put_panel(f, r, &panels[i], TOP + BARS + STEP * i);
    put_numbers(f, r, TOP + BARS + STEP * (n - 1) + 20);
    fputs(
        "</svg></div>\n<figcaption>One column for each round, in their order; the round after the "
        "stop has another colour.</figcaption></figure></section>\n",
        f);
}
