/* SPDX-License-Identifier: MIT */
/* check-stream: needs no hypervisor, so it works on any machine that has the file. */
#include <ctype.h>
#include <inttypes.h>
#include <libgodwit/migrate.h>
#include <stdio.h>

#include "cli.h"

static void print_text(const struct gw_stream_summary *s)
{
    printf("%s: %" PRIu32 " vCPUs, %" PRIu64 " MiB; %" PRIu64 " pages, %" PRIu64
           " of them zero; %" PRIu32 " records, %" PRIu64 " bytes; whole\n",
           s->name, s->vcpus, s->memory_bytes >> 20, s->pages, s->zero_pages, s->records, s->bytes);
}

static void add(struct json_object *o, const char *key, uint64_t value)
{
    json_object_object_add(o, key, json_object_new_uint64(value));
}

static void print_json(struct gw_stream_summary *s)
{
    struct json_object *o = json_object_new_object();

    for (char *c = s->versions; *c; c++)
        if (!isprint((unsigned char)*c))
            *c = '.';
    json_object_object_add(o, "schema", json_object_new_string("godwit.stream.v1"));
    json_object_object_add(o, "name", json_object_new_string(s->name));
    json_object_object_add(o, "versions", json_object_new_string(s->versions));
    add(o, "vcpus", s->vcpus);
    add(o, "memory_bytes", s->memory_bytes);
    add(o, "pages", s->pages);
    add(o, "zero_pages", s->zero_pages);
    add(o, "records", s->records);
    add(o, "bytes", s->bytes);
    cli_print_json(o);
}

int cmd_check_stream(int argc, char **argv)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'}, {"json", no_argument, NULL, CLI_OPT_JSON}, {0}};
    struct gw_stream_summary summary;
    struct gw_error err = {0};
    bool json = false;
    int c, rc;

    while ((c = cli_getopt(argc, argv, "", options, &rc)) != -1) {
        if (c == CLI_OPT_EXIT)
            return rc;
        json |= c == CLI_OPT_JSON;
    }
    if (argc - optind != 1)
        return cli_usage(argv[0], "needs the name of a file");
    if (gw_check_stream(argv[optind], &summary, &err))
        return cli_fail(argv[0], &err);
    if (json)
        print_json(&summary);
    else
        print_text(&summary);
    return GW_EXIT_OK;
}
