/* SPDX-License-Identifier: MIT */
/* migrate-set, migrate-status, migrate-cancel: a migration as seen from another shell. */
#include <inttypes.h>
#include <libgodwit/migrate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "migrate_limits.h"

static struct json_object *member(struct json_object *object, const char *name)
{
    return object ? json_object_object_get(object, name) : NULL;
}

static int64_t number(struct json_object *object, const char *name)
{
    return json_object_get_int64(member(object, name));
}

static const char *text(struct json_object *object, const char *name)
{
    struct json_object *value = member(object, name);

    return value ? json_object_get_string(value) : "";
}

/* 0 for what is no array: the file may say anything. */
static size_t length(struct json_object *array)
{
    return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

static void print_text(const char *name, const char *value)
{
    printf("%s:%*s%s\n", name, (int)(20 - strlen(name)), "", value);
}

static void print_number(const char *name, int64_t value, const char *unit)
{
    printf("%s:%*s%" PRId64 "%s\n", name, (int)(20 - strlen(name)), "", value, unit);
}

static void print_limits(struct json_object *limits)
{
    int64_t rate = number(limits, "bandwidth_bytes_per_s"), timeout = number(limits, "timeout_ms");

    print_number("max downtime", number(limits, "max_downtime_ms"), " ms");
    if (rate)
        print_number("bandwidth", rate, " bytes/s");
    else
        print_text("bandwidth", "unlimited");
    if (timeout)
        print_number("timeout", timeout, " ms");
    else
        print_text("timeout", "none");
    print_text("on timeout", text(limits, "on_timeout"));
    print_number("max rounds", number(limits, "max_rounds"), "");
    print_text("throttle", text(limits, "throttle"));
}

static void print_throttle(struct json_object *round)
{
    struct json_object *throttle = member(round, "throttle");
    size_t n = length(throttle);

    for (size_t i = 0; i < n; i++) {
        struct json_object *one = json_object_array_get_idx(throttle, i);
        printf("%-20s vCPU %" PRId64 " gets %" PRId64 " %% less CPU time\n",
               i == 0 ? "throttled:" : "", number(one, "vcpu"), number(one, "percent"));
    }
}

/* What the last round measured. */
static void print_rounds(struct json_object *status)
{
    struct json_object *rounds = member(status, "rounds");
    size_t n = length(rounds);
    struct json_object *last = n ? json_object_array_get_idx(rounds, n - 1) : NULL;

    print_number("rounds", (int64_t)n, "");
    if (!last)
        return;
    print_number("dirtied", number(last, "dirty_pages_per_s"), " pages/s");
    print_number("est. downtime", number(status, "downtime_estimate_ms"), " ms");
    print_throttle(last);
}

static void print_status(struct json_object *status)
{
    printf("%s:%*s%s -> %s\n", text(status, "guest"),
           (int)(20 - strnlen(text(status, "guest"), 19)), "", text(status, "source"),
           text(status, "destination"));
    print_text("result", text(status, "result"));
    print_text("phase", text(status, "phase"));
    print_text("runs at", text(status, "runs_at"));
    if (member(status, "error"))
        print_text("error", text(status, "error"));
    print_number("took", number(status, "total_ms"), " ms");
    print_number("sent", number(status, "bytes"), " bytes");
    print_number("pages", number(status, "pages"), "");
    print_number("memory", number(status, "memory_pages"), " pages");
    print_rounds(status);
    if (!strcmp(text(status, "result"), "moved"))
        print_number("downtime", number(status, "downtime_ms"), " ms");
    print_limits(member(status, "limits"));
}

/* Prints what the library gave us as it is, or for people. Frees it. */
static int print_result(const char *command, char *result, bool json,
                        void (*print)(struct json_object *object))
{
    struct json_object *object = json_tokener_parse(result);

    if (!object) {
        struct gw_error err = {0};
        gw_error_set(
            &err, GW_EXIT_FAILED,
            "what is known of the migration is damaged: see godwit list for where the guest "
            "is; its next migration is written anew");
        free(result);
        return cli_fail(command, &err);
    }
    if (json)
        puts(result);
    else
        print(object);
    json_object_put(object);
    free(result);
    return GW_EXIT_OK;
}

int cmd_migrate_status(int argc, char **argv)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'}, {"json", no_argument, NULL, CLI_OPT_JSON}, {0}};
    struct gw_error err = {0};
    bool json = false;
    char *status;
    int c, rc;

    while ((c = cli_getopt(argc, argv, "", options, &rc)) != -1) {
        if (c == CLI_OPT_EXIT)
            return rc;
        json = true;
    }
    if (argc - optind != 1)
        return cli_usage(argv[0], "needs the name of one guest");
    if (gw_migrate_status(argv[optind], &status, &err))
        return cli_fail(argv[0], &err);
    return print_result(argv[0], status, json, print_status);
}

int cmd_migrate_set(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'},
                                            {"json", no_argument, NULL, CLI_OPT_JSON},
                                            CLI_LIMIT_OPTIONS,
                                            {0}};
    struct gw_migrate_limits limits = {0};
    struct gw_error err = {0};
    unsigned set = 0;
    bool json = false;
    char *force;
    int c, rc;

    while ((c = cli_getopt(argc, argv, "", options, &rc)) != -1) {
        if (c == CLI_OPT_EXIT)
            return rc;
        if (c == CLI_OPT_JSON)
            json = true;
        else if ((rc = cli_take_limit(c, argv[0], optarg, &limits, &set)))
            return rc;
    }
    if (argc - optind != 1)
        return cli_usage(argv[0], "needs the name of one guest");
    if (!set)
        return cli_usage(argv[0], "needs a limit to change");
    if (gw_migrate_set(argv[optind], &limits, set, &force, &err))
        return cli_fail(argv[0], &err);
    return print_result(argv[0], force, json, print_limits);
}

int cmd_migrate_cancel(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
    struct gw_error err = {0};
    int rc;

    if (cli_getopt(argc, argv, "", options, &rc) == CLI_OPT_EXIT)
        return rc;
    if (argc - optind != 1)
        return cli_usage(argv[0], "needs the name of one guest");
    return gw_migrate_cancel(argv[optind], &err) ? cli_fail(argv[0], &err) : GW_EXIT_OK;
}
