/* SPDX-License-Identifier: MIT */
#include <libgodwit/migrate.h>

#include "cli.h"

#define DEFAULT_LEVEL 1
#define HIGHEST_LEVEL 19

enum { OPT_SINCE = CLI_OPT_OWN, OPT_VERIFY, OPT_COMPRESS };

static const struct option options[] = {
    {"checkpoint", no_argument, NULL, 'c'},    {"compress", optional_argument, NULL, OPT_COMPRESS},
    {"help", no_argument, NULL, 'h'},          {"incremental", no_argument, NULL, 'i'},
    {"live", no_argument, NULL, 'l'},          {"paused", no_argument, NULL, 'p'},
    {"quiet", no_argument, NULL, 'q'},         {"since", required_argument, NULL, OPT_SINCE},
    {"verify", no_argument, NULL, OPT_VERIFY}, {0}};

static int set_option(struct gw_save_options *save, int c, const char *command)
{
    unsigned long level = DEFAULT_LEVEL;

    switch (c) {
    case 'c':
        save->after = GW_SAVE_RUN_ON;
        return 0;
    case 'p':
        save->after = GW_SAVE_STAY_PAUSED;
        return 0;
    case 'i':
        save->incremental = true;
        return 0;
    case 'l':
        save->live = true;
        return 0;
    case 'q':
        save->progress = GW_PROGRESS_NONE;
        return 0;
    case OPT_SINCE:
        save->since = optarg;
        return 0;
    case OPT_VERIFY:
        save->verify = true;
        return 0;
    default: /* OPT_COMPRESS */
        if (optarg && cli_parse_number(optarg, 1, HIGHEST_LEVEL, &level) < 0)
            return cli_usage(command, "'%s' is not a level from 1 to %d", optarg, HIGHEST_LEVEL);
        save->compress_level = (int)level;
        return 0;
    }
}

int cmd_save(int argc, char **argv)
{
    struct gw_save_options save = {.progress = cli_progress()};
    struct gw_error err = {0};
    int c, rc;

    while ((c = cli_getopt(argc, argv, "cilpq", options, &rc)) != -1) {
        if (c == CLI_OPT_EXIT)
            return rc;
        rc = set_option(&save, c, argv[0]);
        if (rc)
            return rc;
    }
    if (argc - optind != 2)
        return cli_usage(argv[0], "needs the name of a guest and of a file");
    save.name = argv[optind];
    save.path = argv[optind + 1];
    rc = gw_save(&save, &err);
    return rc ? cli_fail(argv[0], &err) : GW_EXIT_OK;
}
