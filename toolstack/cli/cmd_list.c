/* SPDX-License-Identifier: MIT */
#include <libgodwit/registry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const char *state_word(const struct gw_domain_info *info)
{
    if (gw_domain_info_dying(info))
        return "dying";
    if (gw_domain_info_shutdown(info))
        return gw_domain_info_shutdown_code(info) == SHUTDOWN_crash ? "crashed" : "shutdown";
    if (gw_domain_info_paused(info))
        return "paused";
    return info->flags & XEN_DOMINF_blocked ? "blocked" : "running";
}

/* The six columns of xl: running, blocked, paused (or held), shutdown, crashed, dying. */
static void state_letters(const struct gw_domain_info *info, bool held, char ret_letters[7])
{
    char paused = held ? 'h' : 'p';
    bool crashed =
        gw_domain_info_shutdown(info) && gw_domain_info_shutdown_code(info) == SHUTDOWN_crash;

    snprintf(ret_letters, 7, "%c%c%c%c%c%c", info->flags & XEN_DOMINF_running ? 'r' : '-',
             info->flags & XEN_DOMINF_blocked ? 'b' : '-',
             gw_domain_info_paused(info) ? paused : '-', gw_domain_info_shutdown(info) ? 's' : '-',
             crashed ? 'c' : '-', gw_domain_info_dying(info) ? 'd' : '-');
}

static void print_row(const struct gw_guest *guest)
{
    struct gw_error unused = {0};
    struct gw_record record = {0};
    char letters[7];

    gw_registry_find(guest->name, &record, &unused);
    state_letters(&guest->info, record.held, letters);
    gw_record_free(&record);
    printf("%-32s %5u %6llu %5u     %s %8.1f\n", guest->name, guest->info.domid,
           (unsigned long long)(guest->info.tot_pages >> (20 - GW_PAGE_SHIFT)), guest->info.vcpus,
           letters, (double)guest->info.cpu_time_ns / 1e9);
}

/* An object without members is a note that is damaged. */
static struct json_object *held_as_json(const char *note)
{
    struct json_object *object = json_object_new_object();
    struct gw_held held;

    if (gw_held_parse(note, &held) == 0) {
        json_object_object_add(object, "destination", json_object_new_string(held.destination));
        json_object_object_add(object, "since_unix_ms", json_object_new_uint64(held.since_unix_ms));
    }
    return object;
}

static struct json_object *json_row(const struct gw_guest *guest, bool with_config)
{
    struct json_object *row = json_object_new_object();
    struct gw_record record;
    struct gw_error ignored;
    char uuid[37];

    gw_uuid_format(guest->info.uuid, uuid);
    json_object_object_add(row, "name", json_object_new_string(guest->name));
    json_object_object_add(row, "domid", json_object_new_int64(guest->info.domid));
    json_object_object_add(row, "uuid", json_object_new_string(uuid));
    json_object_object_add(row, "memory_bytes",
                           json_object_new_uint64(guest->info.tot_pages << GW_PAGE_SHIFT));
    json_object_object_add(row, "vcpus", json_object_new_int64(guest->info.vcpus));
    json_object_object_add(row, "state", json_object_new_string(state_word(&guest->info)));
    json_object_object_add(row, "cpu_time_ms",
                           json_object_new_uint64(guest->info.cpu_time_ns / 1000000));
    if (gw_registry_find(guest->name, &record, &ignored) == 0) {
        if (with_config)
            json_object_object_add(row, "config", json_object_new_string(record.config_text));
        if (record.held)
            json_object_object_add(row, "held", held_as_json(record.held));
        gw_record_free(&record);
    }
    return row;
}

static bool is_wanted(const struct gw_guest *guest, char *const *names, int n)
{
    char domid[16];

    snprintf(domid, sizeof(domid), "%u", guest->info.domid);
    for (int i = 0; i < n; i++)
        if (!strcmp(names[i], guest->name) || !strcmp(names[i], domid))
            return true;
    return n == 0;
}

static void print_guests(const struct gw_guest *guests, size_t n, char *const *names, int names_n,
                         bool json, bool with_config)
{
    struct json_object *document = json ? json_object_new_object() : NULL;
    struct json_object *rows = json ? json_object_new_array() : NULL;

    if (!json)
        printf("%-32s %5s %6s %5s  %9s %8s\n", "Name", "ID", "Mem", "VCPUs", "State", "Time(s)");
    for (size_t i = 0; i < n; i++) {
        if (!is_wanted(&guests[i], names, names_n))
            continue;
        if (json)
            json_object_array_add(rows, json_row(&guests[i], with_config));
        else
            print_row(&guests[i]);
    }
    if (!json)
        return;
    json_object_object_add(document, "schema", json_object_new_string("godwit.list.v1"));
    json_object_object_add(document, "guests", rows);
    cli_print_json(document);
}

/* Every name that was asked for must exist. */
static int check_names(struct gw_hv *hv, char *const *names, int n, struct gw_error *err)
{
    struct gw_guest guest;

    for (int i = 0; i < n; i++)
        if (gw_guest_find(hv, names[i], &guest, err) < 0)
            return -1;
    return 0;
}

int cmd_list(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'},
                                            {"json", no_argument, NULL, CLI_OPT_JSON},
                                            {"long", no_argument, NULL, 'l'},
                                            {0}};
    bool json = false, with_config = false;
    struct gw_guest *guests = NULL;
    struct gw_error err = {0};
    struct gw_hv *hv;
    size_t n = 0;
    int c, rc;

    while ((c = cli_getopt(argc, argv, "l", options, &rc)) != -1) {
        if (c == CLI_OPT_EXIT)
            return rc;
        json = true;
        with_config |= c == 'l';
    }
    if (gw_hv_open(&hv, &err) < 0)
        return cli_fail(argv[0], &err);
    rc = check_names(hv, argv + optind, argc - optind, &err);
    if (rc == 0)
        rc = gw_guest_list(hv, &guests, &n, &err);
    gw_hv_close(hv);
    if (rc < 0)
        return cli_fail(argv[0], &err);
    print_guests(guests, n, argv + optind, argc - optind, json, with_config);
    free(guests);
    return GW_EXIT_OK;
}
