/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"

#define WAIT_STEP_MS    100u
#define WAIT_DEFAULT_MS 120000u

static void sleep_ms(unsigned ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    nanosleep(&t, NULL);
}

static int press(struct gw_hv *hv, const struct gw_guest *guest, struct gw_error *err)
{
    int rc;

    if (guest->info.domid == 0)
        return gw_error_set(err, GW_EXIT_USAGE, "the control domain itself cannot be meant");
    if (gw_domain_info_shutdown(&guest->info) || gw_domain_info_dying(&guest->info))
        return 0;
    if (gw_domain_info_paused(&guest->info))
        return gw_error_set(err, GW_EXIT_STATE, "%s is paused: it cannot see its power key",
                            guest->name);
    rc = gw_hv_power_key(hv, guest->info.domid);
    return rc < 0 ? gw_error_errno(err, rc, "cannot press the power key of %s", guest->name) : 0;
}

/* The domain is gone, or stands there shut down (on_poweroff = "preserve"). */
static bool has_ended(struct gw_hv *hv, const struct gw_guest *guest)
{
    struct gw_domain_info info;

    return gw_hv_domain_info(hv, guest->info.domid, &info) == -ESRCH ||
           memcmp(info.uuid, guest->info.uuid, sizeof(info.uuid)) != 0 ||
           gw_domain_info_shutdown(&info) || gw_domain_info_dying(&info);
}

static int wait_for(struct gw_hv *hv, const struct gw_guest *guest, unsigned *left_ms,
                    struct gw_error *err)
{
    while (!has_ended(hv, guest)) {
        if (*left_ms < WAIT_STEP_MS)
            return gw_error_set(err, GW_EXIT_TIMEOUT,
                                "%s has not shut down in time; it may ignore its power key",
                                guest->name);
        sleep_ms(WAIT_STEP_MS);
        *left_ms -= WAIT_STEP_MS;
    }
    return 0;
}

static int shutdown_guests(struct gw_hv *hv, const struct gw_guest *guests, size_t n, bool wait,
                           unsigned timeout_ms, struct gw_error *err)
{
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = press(hv, &guests[i], err);
    for (size_t i = 0; i < n && rc == 0 && wait; i++)
        rc = wait_for(hv, &guests[i], &timeout_ms, err);
    return rc;
}

/* All guests, without the control domain at their head. */
static int find_all(struct gw_hv *hv, struct gw_guest **ret_guests, size_t *ret_n,
                    struct gw_error *err)
{
    if (gw_guest_list(hv, ret_guests, ret_n, err) < 0)
        return -1;
    if (*ret_n > 0 && (*ret_guests)[0].info.domid == 0) {
        *ret_n -= 1;
        memmove(*ret_guests, *ret_guests + 1, *ret_n * sizeof(**ret_guests));
    }
    return 0;
}

int cmd_shutdown(int argc, char **argv)
{
    static const struct option options[] = {{"all", no_argument, NULL, 'a'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"timeout", required_argument, NULL, 't'},
                                            {"wait", no_argument, NULL, 'w'},
                                            {0}};
    struct gw_guest *guests = NULL, one;
    unsigned timeout_ms = WAIT_DEFAULT_MS;
    bool all = false, wait = false;
    struct gw_error err = {0};
    struct gw_hv *hv;
    size_t n = 1;
    int c, rc;

    while ((c = cli_getopt(argc, argv, "awt:", options, &rc)) != -1) {
        if (c == CLI_OPT_EXIT)
            return rc;
        if (c == 't' && cli_parse_seconds(optarg, &timeout_ms) < 0)
            return cli_usage(argv[0], "'%s' is not a number of seconds", optarg);
        all |= c == 'a';
        wait |= c == 'w';
    }
    if (argc - optind != (all ? 0 : 1))
        return cli_usage(argv[0], "needs the name of one guest, or -a");
    if (gw_hv_open(&hv, &err) < 0)
        return cli_fail(argv[0], &err);
    rc = all ? find_all(hv, &guests, &n, &err) : gw_guest_find(hv, argv[optind], &one, &err);
    if (rc == 0)
        rc = shutdown_guests(hv, all ? guests : &one, n, wait, timeout_ms, &err);
    free(guests);
    gw_hv_close(hv);
    return rc < 0 ? cli_fail(argv[0], &err) : GW_EXIT_OK;
}
