/* SPDX-License-Identifier: MIT */
#include <inttypes.h>

#include "report_html.h"

static const char dash[] = "&ndash;";

static const char *entity(unsigned char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default: /* HTML allows no other control characters */
        return (c < ' ' && c != '\t' && c != '\n') || c == 0x7f ? "\xef\xbf\xbd" : NULL;
    }
}

void report_put_text(FILE *f, const char *text)
{
    for (; *text; text++) {
        const char *instead = entity((unsigned char)*text);

        if (instead)
            fputs(instead, f);
        else
            fputc(*text, f);
    }
}

void report_put_foreign(FILE *f, const char *text)
{
    fputs("<bdi>", f);
    report_put_text(f, text);
    fputs("</bdi>", f);
}

void report_put_count(FILE *f, int64_t n)
{
    char digits[24];
    size_t length;

    if (n < 0) {
        fputs(dash, f);
        return;
    }
    length = (size_t)snprintf(digits, sizeof(digits), "%" PRId64, n);
    for (size_t i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            fputc(',', f);
        fputc(digits[i], f);
    }
}

void report_put_bytes(FILE *f, double bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
    unsigned unit = 0;

    if (bytes < 0) {
        fputs(dash, f);
        return;
    }
    if (bytes < 1024) {
        fprintf(f, "%.0f bytes", bytes);
        return;
    }
    for (bytes /= 1024; bytes >= 1024 && unit < 4; unit++)
        bytes /= 1024;
    fprintf(f, "%.*f %s", bytes < 100, bytes, units[unit]);
}

void report_put_ms(FILE *f, int64_t ms)
{
    if (ms < 0)
        fputs(dash, f);
    else if (ms < 1000)
        fprintf(f, "%" PRId64 " ms", ms);
    else if (ms < 120000)
        fprintf(f, "%.2f s", (double)ms / 1000);
    else
        fprintf(f, "%" PRId64 " min %" PRId64 " s", ms / 60000, ms / 1000 % 60);
}

void report_put_ns(FILE *f, int64_t ns)
{
    if (ns < 0)
        fputs(dash, f);
    else
        fprintf(f, "%.3f", (double)ns / 1e6);
}

void report_put_rate(FILE *f, int64_t per_second)
{
    report_put_bytes(f, (double)per_second);
    if (per_second >= 0)
        fputs("/s", f);
}

int64_t report_pages_bytes(int64_t pages)
{
    if (pages < 0)
        return REPORT_UNKNOWN;
    return pages > INT64_MAX / REPORT_PAGE_BYTES ? INT64_MAX : pages * REPORT_PAGE_BYTES;
}

double report_known(int64_t n)
{
    return n < 0 ? 0 : (double)n;
}
