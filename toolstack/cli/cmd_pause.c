/* SPDX-License-Identifier: MIT */
/* pause, unpause, destroy, domid: one guest, one call. */
#include <errno.h>
#include <libgodwit/registry.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

typedef int (*guest_action)(struct gw_hv *hv, const struct gw_guest *guest, struct gw_error *err);

static int with_guest(int argc, char **argv, bool control_too, guest_action action)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
    struct gw_guest guest;
    struct gw_error err = {0};
    struct gw_hv *hv;
    int rc;

    if (cli_getopt(argc, argv, "", options, &rc) == CLI_OPT_EXIT)
        return rc;
    if (argc - optind != 1)
        return cli_usage(argv[0], "needs the name of one guest");
    if (cli_open_guest(argv[optind], &hv, &guest, &err) < 0)
        return cli_fail(argv[0], &err);
    if (guest.info.domid == 0 && !control_too)
        rc = gw_error_set(&err, GW_EXIT_USAGE, "the control domain itself cannot be meant");
    else
        rc = action(hv, &guest, &err);
    gw_hv_close(hv);
    return rc < 0 ? cli_fail(argv[0], &err) : GW_EXIT_OK;
}

/* Pausing a paused guest is fine; the hypervisor would count a second pause. */
static int action_pause(struct gw_hv *hv, const struct gw_guest *guest, struct gw_error *err)
{
    int rc;

    if (gw_domain_info_paused(&guest->info))
        return 0;
    rc = gw_hv_domain_pause(hv, guest->info.domid);
    return rc < 0 ? gw_error_errno(err, rc, "cannot pause %s", guest->name) : 0;
}

static int check_not_held(const struct gw_guest *guest, struct gw_error *err)
{
    struct gw_error unused = {0};
    struct gw_record record;
    bool held;

    if (gw_registry_find(guest->name, &record, &unused) < 0)
        return 0;
    held = record.held;
    gw_record_free(&record);
    if (!held)
        return 0;
    return gw_error_set(err, GW_EXIT_STATE,
                        "%s was handed over to another host and may run there: godwit resolve %s "
                        "finds out",
                        guest->name, guest->name);
}

static int action_unpause(struct gw_hv *hv, const struct gw_guest *guest, struct gw_error *err)
{
    int rc;

    if (check_not_held(guest, err))
        return -1;
    if (!gw_domain_info_paused(&guest->info))
        return 0;
    rc = gw_hv_domain_unpause(hv, guest->info.domid);
    return rc < 0 ? gw_error_errno(err, rc, "cannot unpause %s", guest->name) : 0;
}

static int action_destroy(struct gw_hv *hv, const struct gw_guest *guest, struct gw_error *err)
{
    return gw_domain_destroy(hv, guest->info.domid, err);
}

static int action_domid(struct gw_hv *hv, const struct gw_guest *guest, struct gw_error *err)
{
    (void)hv;
    (void)err;
    printf("%u\n", guest->info.domid);
    return 0;
}

int cmd_pause(int argc, char **argv)
{
    return with_guest(argc, argv, false, action_pause);
}

int cmd_unpause(int argc, char **argv)
{
    return with_guest(argc, argv, false, action_unpause);
}

int cmd_destroy(int argc, char **argv)
{
    return with_guest(argc, argv, false, action_destroy);
}

int cmd_domid(int argc, char **argv)
{
    return with_guest(argc, argv, true, action_domid);
}
