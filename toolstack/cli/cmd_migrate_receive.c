/* SPDX-License-Identifier: MIT */
#include <libgodwit/migrate.h>
#include <unistd.h>

#include "cli.h"

int cmd_migrate_receive(int argc, char **argv)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'}, {"paused", no_argument, NULL, 'p'}, {0}};
    struct gw_receive_options receive = {0};
    struct gw_error err = {0};
    int c, rc;

    while ((c = cli_getopt(argc, argv, "p", options, &rc)) != -1) {
        if (c == CLI_OPT_EXIT)
            return rc;
        receive.paused |= c == 'p';
    }
    if (argc != optind)
        return cli_usage(argv[0], "takes no arguments: `godwit migrate` runs it");
    if (isatty(STDIN_FILENO))
        return cli_usage(argv[0], "reads a guest from another host: `godwit migrate` runs it");
    /* The source has been told why, and says it to whoever started the migration. */
    return gw_migrate_receive(&receive, STDIN_FILENO, STDOUT_FILENO, &err);
}
