/* SPDX-License-Identifier: MIT */
/* stream-check: needs no hypervisor, so it works on any machine that has the file. */
#include <ctype.h>
#include <inttypes.h>
#include <libgodwit/migrate.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

struct listing {
    bool json, all, quiet;
    struct json_object *records;
    struct gw_stream_record first, last; /* of a run of alike records */
    uint32_t alike;
};

static bool holds_memory(const struct gw_stream_record *r)
{
    return r->pages > 0;
}

static void print_run(struct listing *l)
{
    const struct gw_stream_record *r = &l->first;
    char numbers[32];

    if (l->alike == 0)
        return;
    if (l->alike == 1)
        snprintf(numbers, sizeof(numbers), "%" PRIu32, r->number);
    else
        snprintf(numbers, sizeof(numbers), "%" PRIu32 "-%" PRIu32, r->number, l->last.number);
    printf("%13s %14" PRIu64 " %14" PRIu64 "  %s", numbers, r->offset,
           l->last.offset + l->last.length - r->offset, gw_stream_record_name(r->type));
    if (holds_memory(r))
        printf(": %" PRIu32 " pages, %" PRIu32 " of them zero, frames 0x%" PRIx64 " to 0x%" PRIx64,
               r->pages, r->zero_pages, r->first_gfn, r->last_gfn);
    putchar('\n');
    l->alike = 0;
}

/* Records of memory, and the checksums between them, become one line. */
static void list_record(struct listing *l, const struct gw_stream_record *r)
{
    bool joins =
        !l->all && l->alike && holds_memory(&l->first) &&
        (r->type == l->first.type || !strcmp(gw_stream_record_name(r->type), "GODWIT_DIGEST"));

    if (!joins) {
        print_run(l);
        l->first = *r;
        l->alike = 0;
    } else if (holds_memory(r)) {
        l->first.pages += r->pages;
        l->first.zero_pages += r->zero_pages;
        l->first.first_gfn = r->first_gfn < l->first.first_gfn ? r->first_gfn : l->first.first_gfn;
        l->first.last_gfn = r->last_gfn > l->first.last_gfn ? r->last_gfn : l->first.last_gfn;
    }
    l->last = *r;
    l->alike++;
}

static void add(struct json_object *o, const char *key, uint64_t value)
{
    json_object_object_add(o, key, json_object_new_uint64(value));
}

static void add_text(struct json_object *o, const char *key, const char *text)
{
    json_object_object_add(o, key, json_object_new_string(text));
}

static void record_json(struct listing *l, const struct gw_stream_record *r)
{
    struct json_object *o = json_object_new_object();

    add(o, "record", r->number);
    add(o, "offset", r->offset);
    add(o, "type", r->type);
    add_text(o, "name", gw_stream_record_name(r->type));
    add(o, "body_bytes", r->length);
    if (holds_memory(r)) {
        add(o, "pages", r->pages);
        add(o, "zero_pages", r->zero_pages);
        add(o, "first_gfn", r->first_gfn);
        add(o, "last_gfn", r->last_gfn);
    }
    json_object_array_add(l->records, o);
}

static void on_record(void *arg, const struct gw_stream_record *record)
{
    struct listing *l = arg;

    if (l->json)
        record_json(l, record);
    else if (!l->quiet)
        list_record(l, record);
}

static void print_summary(const char *path, const struct gw_stream_summary *s)
{
    printf("%s: %s, version %" PRIu32 ", %" PRIu32 " vCPUs, %" PRIu64 " MiB; %" PRIu64
           " pages, %" PRIu64 " of them zero; %" PRIu32 " records, %" PRIu64 " bytes; whole\n",
           path, s->name, s->version, s->vcpus, s->memory_bytes >> 20, s->pages, s->zero_pages,
           s->records, s->bytes);
}

static struct json_object *damages_json(const struct gw_stream_summary *s)
{
    struct json_object *list = json_object_new_array();

    for (unsigned i = 0; i < s->damages_n; i++) {
        const struct gw_stream_damage *d = &s->damages[i];
        struct json_object *o = json_object_new_object();

        add(o, "from_offset", d->from);
        add(o, "to_offset", d->to);
        json_object_object_add(o, "first_record", json_object_new_int64(d->first_record));
        json_object_object_add(o, "last_record", json_object_new_int64(d->last_record));
        add_text(o, "why", d->why);
        json_object_array_add(list, o);
    }
    return list;
}

static struct json_object *file_json(const char *path, struct gw_stream_summary *s,
                                     struct listing *l, const struct gw_error *err)
{
    struct json_object *o = json_object_new_object();

    for (char *c = s->versions; *c; c++)
        if (!isprint((unsigned char)*c))
            *c = '.';
    add_text(o, "schema", "godwit.stream.v1");
    add_text(o, "path", path);
    json_object_object_add(o, "whole", json_object_new_boolean(err->code == 0));
    add_text(o, "error", err->code ? err->message : "");
    add_text(o, "name", s->name);
    add(o, "version", s->version);
    add_text(o, "versions", s->versions);
    add(o, "vcpus", s->vcpus);
    add(o, "memory_bytes", s->memory_bytes);
    add(o, "pages", s->pages);
    add(o, "zero_pages", s->zero_pages);
    add(o, "records", s->records);
    add(o, "bytes", s->bytes);
    add(o, "damages_total", s->damages_total);
    json_object_object_add(o, "damages", damages_json(s));
    json_object_object_add(o, "record_list", l->records);
    return o;
}

/* One file; into *ret_json if that is wanted. Returns the exit code. */
static int check_file(const char *command, const char *path, struct listing *l,
                      struct json_object **ret_json)
{
    struct gw_stream_watcher watcher = {on_record, l};
    struct gw_stream_summary summary;
    struct gw_error err = {0};

    if (l->json)
        l->records = json_object_new_array();
    else if (!l->quiet)
        printf("%s:\n%13s %14s %14s  %s\n", path, "record", "offset", "bytes", "type");
    gw_stream_check(path, &watcher, &summary, &err);
    print_run(l);
    if (l->json)
        *ret_json = file_json(path, &summary, l, &err);
    else if (err.code == 0)
        print_summary(path, &summary);
    fflush(stdout);
    return err.code ? cli_fail(command, &err) : GW_EXIT_OK;
}

/* One file is one object; several are the members of one. */
static void print_files(struct json_object **files, int n)
{
    struct json_object *all, *list;

    if (n == 1) {
        cli_print_json(files[0]);
        return;
    }
    all = json_object_new_object();
    list = json_object_new_array();
    for (int i = 0; i < n; i++)
        json_object_array_add(list, files[i]);
    add_text(all, "schema", "godwit.streams.v1");
    json_object_object_add(all, "files", list);
    cli_print_json(all);
}

int cmd_stream_check(int argc, char **argv)
{
    static const struct option options[] = {{"all", no_argument, NULL, 'a'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"json", no_argument, NULL, CLI_OPT_JSON},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {0}};
    struct json_object *files[64] = {NULL};
    struct listing listing = {0};
    int c, rc, worst = GW_EXIT_OK, n;

    while ((c = cli_getopt(argc, argv, "aq", options, &rc)) != -1) {
        if (c == CLI_OPT_EXIT)
            return rc;
        listing.all |= c == 'a';
        listing.quiet |= c == 'q';
        listing.json |= c == CLI_OPT_JSON;
    }
    n = argc - optind;
    if (n < 1 || n > (int)(sizeof(files) / sizeof(files[0])))
        return cli_usage(argv[0], "needs the names of 1 to 64 files");
    for (int i = 0; i < n; i++) {
        rc = check_file(argv[0], argv[optind + i], &listing, &files[i]);
        worst = rc ? rc : worst;
    }
    if (listing.json)
        print_files(files, n);
    return worst;
}
