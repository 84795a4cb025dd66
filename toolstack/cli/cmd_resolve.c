/* SPDX-License-Identifier: MIT */
/* resolve: after exit code 13 of migrate. */
#include <libgodwit/migrate.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

enum { OPT_HERE = CLI_OPT_OWN, OPT_THERE, OPT_CHECKED };

static int parse_checked(const char *command, const char *word, enum gw_checked *ret_checked)
{
    static const char *const words[] = {[GW_CHECKED_RUNS_THERE] = "runs-there",
                                        [GW_CHECKED_NEVER_RAN] = "never-ran",
                                        [GW_CHECKED_NO_POWER] = "no-power"};

    for (unsigned i = GW_CHECKED_RUNS_THERE; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!strcmp(word, words[i])) {
            *ret_checked = (enum gw_checked)i;
            return 0;
        }
    }
    return cli_usage(command, "--checked is 'runs-there', 'never-ran' or 'no-power', not '%s'",
                     word);
}

static int parse_option(int c, const char *command, struct gw_resolve_options *resolve)
{
    enum gw_resolve wanted = c == OPT_HERE ? GW_RESOLVE_HERE : GW_RESOLVE_THERE;

    if (c == OPT_CHECKED)
        return parse_checked(command, optarg, &resolve->checked);
    if (resolve->wanted != GW_RESOLVE_ASK && resolve->wanted != wanted)
        return cli_usage(command, "--here and --there exclude each other");
    resolve->wanted = wanted;
    return 0;
}

static void print_result(const char *name, const struct gw_resolve_result *result)
{
    if (result->done == GW_RESOLVE_THERE)
        printf("%s is at %s; the copy here was destroyed\n", name, result->destination);
    else if (result->was_paused)
        printf("%s is here again, paused as before it was moved\n", name);
    else
        printf("%s runs on here\n", name);
}

int cmd_resolve(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'},
                                            {"here", no_argument, NULL, OPT_HERE},
                                            {"there", no_argument, NULL, OPT_THERE},
                                            {"checked", required_argument, NULL, OPT_CHECKED},
                                            {0}};
    struct gw_resolve_options resolve = {0};
    struct gw_resolve_result result = {0};
    struct gw_error err = {0};
    int c, rc;

    while ((c = cli_getopt(argc, argv, "", options, &rc)) != -1) {
        if (c == CLI_OPT_EXIT)
            return rc;
        rc = parse_option(c, argv[0], &resolve);
        if (rc)
            return rc;
    }
    if (argc - optind != 1)
        return cli_usage(argv[0], "needs the name of one guest");
    resolve.name = argv[optind];
    if (gw_resolve(&resolve, &result, &err))
        return cli_fail(argv[0], &err);
    print_result(resolve.name, &result);
    return GW_EXIT_OK;
}
