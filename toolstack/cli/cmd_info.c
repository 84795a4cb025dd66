/* SPDX-License-Identifier: MIT */
/* Facts and counters as "name: value" lines or as one JSON object, from the same list of fields. */
#include <inttypes.h>
#include <libgodwit/registry.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "counters.h"
#include "info_vcpus.h"

struct field {
    const char *name;
    uint64_t value;
    const char *text; /* instead of value, if not NULL */
};

static struct field number(const char *name, uint64_t value)
{
    return (struct field){.name = name, .value = value};
}

static struct field text(const char *name, const char *value)
{
    return (struct field){.name = name, .text = value};
}

static void print_field(const struct field *field)
{
    printf("%s:%*s", field->name, (int)(24 - snprintf(NULL, 0, "%s", field->name)), "");
    if (field->text)
        printf("%s\n", field->text);
    else
        printf("%" PRIu64 "\n", field->value);
}

/* vcpus: NULL, or what stands behind the fields in JSON; it belongs to us from here on. */
static void print_fields(const char *schema, const char *name, const struct field *fields,
                         unsigned n, bool json, struct json_object *vcpus)
{
    struct json_object *object;

    if (!json) {
        printf("%-24s %s\n", "name:", name);
        for (unsigned i = 0; i < n; i++)
            print_field(&fields[i]);
        return;
    }
    object = json_object_new_object();
    json_object_object_add(object, "schema", json_object_new_string(schema));
    json_object_object_add(object, "name", json_object_new_string(name));
    for (unsigned i = 0; i < n; i++)
        json_object_object_add(object, fields[i].name,
                               fields[i].text ? json_object_new_string(fields[i].text)
                                              : json_object_new_uint64(fields[i].value));
    if (vcpus)
        json_object_object_add(object, "vcpu_stalls", vcpus);
    cli_print_json(object);
}

/* 0 is what a hypervisor leaves that has no such field. */
static const char *in_use(const char *(*name)(uint32_t), uint32_t value)
{
    return value ? name(value) : "unknown";
}

static int host_info(struct gw_hv *hv, bool json, struct gw_error *err)
{
    struct godwit_host_info host = {0};
    struct gw_hv_physinfo phys = {0};
    struct gw_hv_version version = {0};
    struct godwit_stats own = {0}; /* of the control domain, for which nobody chooses */
    int rc = gw_hv_version(hv, &version);

    if (rc == 0)
        rc = gw_hv_physinfo(hv, &phys);
    if (rc == 0 && version.godwit_abi)
        rc = gw_hv_host_info(hv, &host);
    if (rc == 0 && version.godwit_abi)
        rc = gw_hv_stats(hv, 0, &own);
    if (rc < 0)
        return gw_error_errno(err, rc, "cannot ask the hypervisor");
    const struct field fields[] = {
        number("cpus", phys.cpus),
        number("cpu_khz", phys.cpu_khz),
        number("total_bytes", phys.total_pages << GW_PAGE_SHIFT),
        number("free_bytes", phys.free_pages << GW_PAGE_SHIFT),
        number("hypervisor_bytes", host.hv_pages << GW_PAGE_SHIFT),
        number("timer_hz", host.cntfrq_hz),
        number("gic_list_registers", host.lr_count),
        number("xen_major", version.xen_major),
        number("xen_minor", version.xen_minor),
        number("godwit_abi", version.godwit_abi),
        text("logdirty_tracking", in_use(gw_tracking_name, own.tracking)),
        text("logdirty_split", in_use(gw_split_name, own.split)),
        text("host_tracking", in_use(gw_tracking_name, own.host_tracking)),
    };
    print_fields("godwit.host.v1", "host", fields, sizeof(fields) / sizeof(fields[0]), json, NULL);
    return 0;
}

/* The host that may run the guest by now; "" if nobody else may. */
static void find_holder(const char *name, char *ret_holder, size_t bytes)
{
    struct gw_error unused = {0};
    struct gw_record record;
    struct gw_held held;

    *ret_holder = '\0';
    if (gw_registry_find(name, &record, &unused) < 0)
        return;
    if (record.held)
        snprintf(ret_holder, bytes, "%s",
                 gw_held_parse(record.held, &held) == 0 ? held.destination : "unknown");
    gw_record_free(&record);
}

static int guest_info(struct gw_hv *hv, const char *name, bool json, struct gw_error *err)
{
    struct gw_guest guest;
    struct godwit_stats s;
    int rc;

    if (gw_guest_find(hv, name, &guest, err) < 0)
        return -1;
    rc = gw_hv_stats(hv, guest.info.domid, &s);
    if (rc < 0)
        return gw_error_errno(err, rc, "cannot read the counters of %s", guest.name);
    const struct field fields[] = {
        number("domid", guest.info.domid),
        number("memory_bytes", guest.info.tot_pages << GW_PAGE_SHIFT),
        number("vcpus", guest.info.vcpus),
        number("cpu_time_ms", guest.info.cpu_time_ns / 1000000),
        number("logdirty", s.logdirty),
        text("logdirty_tracking", in_use(gw_tracking_name, s.tracking)),
        text("logdirty_split", in_use(gw_split_name, s.split)),
        text("host_tracking", in_use(gw_tracking_name, s.host_tracking)),
        number("leaves_1gib", s.leaves[1]),
        number("leaves_2mib", s.leaves[2]),
        number("leaves_4kib", s.leaves[3]),
        number("tables", s.tables),
        number("tables_prepaid", s.tables_prepaid),
        number("hypervisor_bytes", s.hv_bytes),
        number("console_dropped_bytes", s.console_dropped_bytes),
    };
    struct field all[sizeof(fields) / sizeof(fields[0]) + CLI_COUNTERS + 1];
    char holder[256];
    unsigned n = sizeof(fields) / sizeof(fields[0]);

    memcpy(all, fields, sizeof(fields));
    for (unsigned i = 0; i < CLI_COUNTERS; i++)
        all[n++] = number(cli_counters[i].name, cli_counter_value(&cli_counters[i], &s));
    find_holder(guest.name, holder, sizeof(holder));
    if (holder[0])
        all[n++] = text("held_for", holder);
    print_fields("godwit.guest.v1", guest.name, all, n, json,
                 json ? info_vcpus_json(hv, guest.info.domid) : NULL);
    if (!json && s.logdirty)
        info_vcpus_print(hv, guest.info.domid);
    return 0;
}

int cmd_info(int argc, char **argv)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'}, {"json", no_argument, NULL, CLI_OPT_JSON}, {0}};
    struct gw_error err = {0};
    struct gw_hv *hv;
    bool json = false;
    int c, rc;

    while ((c = cli_getopt(argc, argv, "", options, &rc)) != -1) {
        if (c == CLI_OPT_EXIT)
            return rc;
        json = true;
    }
    if (argc - optind > 1)
        return cli_usage(argv[0], "takes at most one guest");
    if (gw_hv_open(&hv, &err) < 0)
        return cli_fail(argv[0], &err);
    rc = optind < argc ? guest_info(hv, argv[optind], json, &err) : host_info(hv, json, &err);
    gw_hv_close(hv);
    return rc < 0 ? cli_fail(argv[0], &err) : GW_EXIT_OK;
}
