/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "cli.h"

static void print_version(const struct gw_hv_version *v, bool have, bool json)
{
    struct json_object *object;

    if (!json) {
        printf("godwit %s\n", GODWIT_VERSION);
        if (have)
            printf("hypervisor: %s ABI %u, Xen ABI %u.%u%s\n",
                   v->godwit_abi ? "Godwit" : "not Godwit,", v->godwit_abi, v->xen_major,
                   v->xen_minor, v->extra);
        return;
    }
    object = json_object_new_object();
    json_object_object_add(object, "schema", json_object_new_string("godwit.version.v1"));
    json_object_object_add(object, "toolstack", json_object_new_string(GODWIT_VERSION));
    if (have) {
        json_object_object_add(object, "hypervisor_abi", json_object_new_int64(v->godwit_abi));
        json_object_object_add(object, "xen_major", json_object_new_int64(v->xen_major));
        json_object_object_add(object, "xen_minor", json_object_new_int64(v->xen_minor));
        json_object_object_add(object, "xen_extra", json_object_new_string(v->extra));
    }
    cli_print_json(object);
}

/* Works without a hypervisor too: the version of the toolstack is an answer. */
int cmd_version(int argc, char **argv)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'}, {"json", no_argument, NULL, CLI_OPT_JSON}, {0}};
    struct gw_hv_version version = {0};
    struct gw_error err = {0};
    struct gw_hv *hv = NULL;
    bool json = false;
    int c, rc;

    while ((c = cli_getopt(argc, argv, "", options, &rc)) != -1) {
        if (c == CLI_OPT_EXIT)
            return rc;
        json = true;
    }
    if (gw_hv_open(&hv, &err) < 0) {
        print_version(&version, false, json);
        return GW_EXIT_OK;
    }
    rc = gw_hv_version(hv, &version);
    gw_hv_close(hv);
    print_version(&version, rc == 0, json);
    return GW_EXIT_OK;
}
