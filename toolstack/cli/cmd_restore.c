/* SPDX-License-Identifier: MIT */
#include <libgodwit/migrate.h>

#include "cli.h"

int cmd_restore(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'},
                                            {"paused", no_argument, NULL, 'p'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"verify", no_argument, NULL, CLI_OPT_OWN},
                                            {0}};
    struct gw_restore_options restore = {.progress = cli_progress()};
    struct gw_error err = {0};
    int c, rc;

    while ((c = cli_getopt(argc, argv, "pq", options, &rc)) != -1) {
        if (c == CLI_OPT_EXIT)
            return rc;
        restore.paused |= c == 'p';
        restore.verify |= c == CLI_OPT_OWN;
        if (c == 'q')
            restore.progress = GW_PROGRESS_NONE;
    }
    if (argc - optind < 1)
        return cli_usage(argv[0], "needs the name of a file");
    restore.path = argv[optind];
    restore.more = (const char *const *)argv + optind + 1;
    restore.more_n = (unsigned)(argc - optind - 1);
    rc = gw_restore(&restore, &err);
    return rc ? cli_fail(argv[0], &err) : GW_EXIT_OK;
}
