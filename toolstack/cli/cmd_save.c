/* SPDX-License-Identifier: MIT */
#include <libgodwit/migrate.h>

#include "cli.h"

int cmd_save(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'},
                                            {"checkpoint", no_argument, NULL, 'c'},
                                            {"paused", no_argument, NULL, 'p'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {0}};
    struct gw_save_options save = {.progress = GW_PROGRESS_LINES};
    struct gw_error err = {0};
    int c, rc;

    while ((c = cli_getopt(argc, argv, "cpq", options, &rc)) != -1) {
        if (c == CLI_OPT_EXIT)
            return rc;
        if (c == 'c')
            save.after = GW_SAVE_RUN_ON;
        if (c == 'p')
            save.after = GW_SAVE_STAY_PAUSED;
        if (c == 'q')
            save.progress = GW_PROGRESS_NONE;
    }
    if (argc - optind != 2)
        return cli_usage(argv[0], "needs the name of a guest and of a file");
    save.name = argv[optind];
    save.path = argv[optind + 1];
    rc = gw_save(&save, &err);
    return rc ? cli_fail(argv[0], &err) : GW_EXIT_OK;
}
