/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <libgodwit/report.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "report_html.h"
#include "report_parts.h"

/* A report of as many rounds as there can be, with all of its heat, has a tenth of this. */
#define JSON_BYTES_MAX (32u << 20)

/* The policy forbids the browser to load or run anything, should the page ever ask for it. */
static void put_page(FILE *f, const struct report *r)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
          "style-src 'unsafe-inline'\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta name=\"generator\" content=\"godwit " GODWIT_VERSION "\">\n<title>",
          f);
    report_put_text(f, r->guest[0] ? r->guest : "a guest");
    fputs(" to ", f);
    report_put_text(f, r->destination[0] ? r->destination : "?");
    fputs(": migration</title>\n<style>\n", f);
    fputs(report_style, f);
    fputs("</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#numbers\">Skip the pictures, go to "
          "the numbers</a>\n<main>\n",
          f);
    report_put_summary(f, r);
    report_put_timeline(f, r);
    report_put_rounds(f, r);
    report_put_heat(f, r);
    report_put_tables(f, r);
    fputs("</main>\n<footer><p>Made by <code>godwit report</code>, version " GODWIT_VERSION
          ". What the numbers mean: godwit-migration(7).</p></footer>\n</body>\n</html>\n",
          f);
}

int gw_report_page(const char *what, const void *text, size_t length, char **ret_page,
                   size_t *ret_length, struct gw_error *err)
{
    struct report report;
    char *page = NULL;
    size_t bytes = 0;
    FILE *f = NULL;
    int rc = -1, bad;

    if (report_read(&report, what, text, length, err) < 0)
        goto out;
    f = open_memstream(&page, &bytes);
    if (!f) {
        gw_error_set(err, GW_EXIT_FAILED, "cannot draw %s: out of memory", what);
        goto out;
    }
    put_page(f, &report);
    bad = ferror(f);
    if (fclose(f) || bad) {
        gw_error_set(err, GW_EXIT_FAILED, "cannot draw %s: out of memory", what);
        goto out;
    }
    *ret_page = page;
    *ret_length = bytes;
    page = NULL;
    rc = 0;
out:
    free(page);
    report_free(&report);
    return rc;
}

/* All of standard input, which may be a pipe. */
static int read_input(struct gw_file *file, struct gw_error *err)
{
    size_t room = 0, n;

    do {
        if (file->bytes == room) {
            uint8_t *more = realloc(file->data, room ? 2 * room : 65536);

            if (!more)
                return gw_error_set(err, GW_EXIT_FAILED,
                                    "cannot read standard input: out of memory");
            file->data = more;
            room = room ? 2 * room : 65536;
        }
        n = fread(file->data + file->bytes, 1, room - file->bytes, stdin);
        file->bytes += n;
    } while (n && file->bytes <= JSON_BYTES_MAX);
    if (ferror(stdin))
        return gw_error_errno(err, errno, "cannot read standard input");
    if (file->bytes > JSON_BYTES_MAX)
        return gw_error_set(err, GW_EXIT_CONFIG, "standard input is too large: at most %u bytes",
                            JSON_BYTES_MAX);
    return 0;
}

static int write_all(const char *name, FILE *f, const char *page, size_t length,
                     struct gw_error *err)
{
    if (fwrite(page, 1, length, f) != length || fflush(f))
        return gw_error_errno(err, errno, "cannot write %s", name);
    return 0;
}

static int write_file(const char *to, const char *page, size_t length, struct gw_error *err)
{
    char *partial = NULL;
    FILE *f = NULL;
    int rc = -1;

    if (asprintf(&partial, "%s.partial", to) < 0) {
        partial = NULL;
        gw_error_set(err, GW_EXIT_FAILED, "cannot write %s: out of memory", to);
        goto out;
    }
    f = fopen(partial, "we");
    if (!f) {
        gw_error_errno(err, errno, "cannot write %s", to);
        goto out;
    }
    rc = write_all(to, f, page, length, err);
    if (fclose(f) && !rc)
        rc = gw_error_errno(err, errno, "cannot write %s", to);
    if (!rc && rename(partial, to) < 0)
        rc = gw_error_errno(err, errno, "cannot write %s", to);
    if (rc)
        unlink(partial);
out:
    free(partial);
    return rc;
}

int gw_report_write(const char *from, const char *to, struct gw_error *err)
{
    bool input = !strcmp(from, "-");
    struct gw_file file = {0};
    char *page = NULL;
    size_t length = 0;
    int rc;

    rc = input ? read_input(&file, err) : gw_file_read(&file, from, JSON_BYTES_MAX, err);
    if (!rc)
        rc = gw_report_page(input ? "standard input" : from, file.data, file.bytes, &page, &length,
                            err);
    if (!rc && to && strcmp(to, "-") != 0)
        rc = write_file(to, page, length, err);
    else if (!rc)
        rc = write_all("standard output", stdout, page, length, err);
    free(page);
    gw_file_free(&file);
    return rc;
}
