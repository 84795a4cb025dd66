/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "report_html.h"
#include "report_parts.h"

enum { ROUNDS_Y = 8, THROTTLE_Y = 44, DOWNTIME_Y = 80, EVENTS_Y = 116, AXIS_Y = 148, HEIGHT = 176 };
enum { BAND = 28 };

double report_nice(double value)
{
    static const double steps[] = {1, 2, 5};
    double power;

    if (value <= 0)
        return 1;
    power = pow(10, floor(log10(value)));
    for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        if (steps[i] * power >= value * 0.9999)
            return steps[i] * power;
    return 10 * power;
}

int64_t report_throttle_most(const struct report_round *round)
{
    int64_t most = 0;

    for (size_t i = 0; i < round->throttle_n; i++)
        if (round->throttle[i].percent > most)
            most = round->throttle[i].percent;
    return most;
}

int64_t report_stopped_at(const struct report *r)
{
    for (size_t i = 0; i < r->rounds_n; i++)
        if (r->rounds[i].final)
            return r->rounds[i].start_ms;
    return REPORT_UNKNOWN;
}

/* The end of the axis: no round, event or downtime lies behind it. */
static double duration_ms(const struct report *r)
{
    double end = report_known(r->total_ms);

    for (size_t i = 0; i < r->rounds_n; i++)
        end = fmax(end, report_known(r->rounds[i].start_ms) + report_known(r->rounds[i].ms));
    for (size_t i = 0; i < r->events_n; i++)
        end = fmax(end, report_known(r->events[i].ms));
    if (report_stopped_at(r) >= 0)
        end = fmax(end, report_known(report_stopped_at(r)) + report_known(r->downtime_ms));
    return end > 0 ? end : 1;
}

static double x_of(double ms, double end)
{
    return REPORT_LEFT + ms / end * REPORT_PLOT;
}

/* Something that lasts; narrow ones stay visible. */
static void put_bar(FILE *f, const char *class, double from_ms, double ms, double end, double y,
                    double height)
{
    double x = x_of(from_ms, end), width = fmax(ms / end * REPORT_PLOT, 1.5);

    fprintf(f, "<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\">", class,
            fmin(x, REPORT_LEFT + REPORT_PLOT - 1.5), y, width, height);
}

static void put_label(FILE *f, int y, const char *text)
{
    fprintf(f, "<text class=\"name\" x=\"%d\" y=\"%d\">%s</text>\n", REPORT_LEFT - 10,
            y + BAND / 2 + 4, text);
}

static void put_rounds(FILE *f, const struct report *r, double end)
{
    put_label(f, ROUNDS_Y, "rounds");
    for (size_t i = 0; i < r->rounds_n; i++) {
        const struct report_round *round = &r->rounds[i];
        double start = report_known(round->start_ms), ms = report_known(round->ms);

        put_bar(f,
                round->final ? "round final"
                : i % 2      ? "round odd"
                             : "round",
                start, ms, end, ROUNDS_Y, BAND);
        fprintf(f, "<title>%s %lld: from ", round->final ? "last round, guest stopped," : "round",
                (long long)round->n);
        report_put_ms(f, round->start_ms);
        fputs(", took ", f);
        report_put_ms(f, round->ms);
        fputs("</title></rect>\n", f);
        if (ms / end * REPORT_PLOT >= 22)
            fprintf(f, "<text class=\"on\" x=\"%.2f\" y=\"%d\">%lld</text>\n",
                    x_of(start + ms / 2, end), ROUNDS_Y + BAND / 2 + 4, (long long)round->n);
    }
}

/* A round's throttle holds in the round after it. */
static void put_throttle(FILE *f, const struct report *r, double end)
{
    put_label(f, THROTTLE_Y, "throttle");
    fprintf(f, "<path class=\"grid\" d=\"M%d %d h%d\"/>\n", REPORT_LEFT, THROTTLE_Y + BAND,
            REPORT_PLOT);
    for (size_t i = 0; i + 1 < r->rounds_n; i++) {
        const struct report_round *next = &r->rounds[i + 1];
        double percent = report_known(report_throttle_most(&r->rounds[i]));

        if (percent <= 0 || next->final)
            continue;
        put_bar(f, "throttle", report_known(next->start_ms), report_known(next->ms), end,
                THROTTLE_Y + BAND * (1 - percent / 100), BAND * percent / 100);
        fprintf(f, "<title>round %lld: up to %.0f %% of a vCPU's time taken away</title></rect>\n",
                (long long)next->n, percent);
    }
}

static void put_downtime(FILE *f, const struct report *r, double end)
{
    double from = report_known(report_stopped_at(r)), x;

    put_label(f, DOWNTIME_Y, "downtime");
    fprintf(f, "<path class=\"grid\" d=\"M%d %d h%d\"/>\n", REPORT_LEFT, DOWNTIME_Y + BAND,
            REPORT_PLOT);
    if (r->downtime_ms <= 0)
        return;
    if (report_stopped_at(r) < 0)
        from = fmax(end - report_known(r->downtime_ms), 0);
    x = x_of(from, end);
    put_bar(f, "downtime", from, report_known(r->downtime_ms), end, DOWNTIME_Y, BAND);
    fputs("<title>the guest stood still for ", f);
    report_put_ms(f, r->downtime_ms);
    fputs("</title></rect>\n", f);
    fprintf(f, "<text class=\"value\" text-anchor=\"%s\" x=\"%.2f\" y=\"%d\">",
            x > REPORT_WIDTH / 2.0 ? "end" : "start", x + (x > REPORT_WIDTH / 2.0 ? -6 : 6),
            DOWNTIME_Y + BAND / 2 + 4);
    report_put_ms(f, r->downtime_ms);
    fputs("</text>\n", f);
}

static void put_events(FILE *f, const struct report *r, double end)
{
    put_label(f, EVENTS_Y, "events");
    for (size_t i = 0; i < r->events_n; i++) {
        fprintf(f, "<path class=\"event\" d=\"M%.2f %d l5 8 l-5 8 l-5 -8 z\"><title>",
                x_of(report_known(r->events[i].ms), end), EVENTS_Y + BAND / 2 - 8);
        report_put_ms(f, r->events[i].ms);
        fputs(": ", f);
        report_put_text(f, r->events[i].what);
        fputs("</title></path>\n", f);
    }
}

static void put_axis(FILE *f, double end)
{
    double step = report_nice(end / 6);

    for (unsigned i = 0; i <= 8 && i * step <= end; i++) {
        double x = x_of(i * step, end);

        fprintf(f, "<path class=\"grid\" d=\"M%.2f %d V%d\"/>", x, ROUNDS_Y, AXIS_Y);
        fprintf(f, "<text class=\"tick\" x=\"%.2f\" y=\"%d\">%g %s</text>\n", x, AXIS_Y + 18,
                end >= 2000 ? i * step / 1000 : i * step, end >= 2000 ? "s" : "ms");
    }
}

void report_put_timeline(FILE *f, const struct report *r)
{
    double end = duration_ms(r);

    fputs("<section aria-labelledby=\"timeline-title\"><h2 id=\"timeline-title\">Timeline</h2>\n"
          "<figure><div class=\"wide\" role=\"region\" aria-label=\"Timeline\" tabindex=\"0\">",
          f);
    fprintf(f,
            "<svg id=\"timeline\" role=\"img\" aria-labelledby=\"timeline-name\" "
            "viewBox=\"0 0 %d %d\">\n<title id=\"timeline-name\">%zu rounds in ",
            REPORT_WIDTH, HEIGHT, r->rounds_n);
    report_put_ms(f, r->total_ms);
    fputs(", downtime ", f);
    report_put_ms(f, r->downtime_ms);
    fputs("</title>\n", f);
    put_axis(f, end);
    put_rounds(f, r, end);
    put_throttle(f, r, end);
    put_downtime(f, r, end);
    put_events(f, r, end);
    fputs("</svg></div>\n<figcaption>When each round was sent, how much CPU time was taken from "
          "the guest, and when it stood still.</figcaption></figure></section>\n",
          f);
}
