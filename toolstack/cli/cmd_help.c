/* SPDX-License-Identifier: MIT */
#include "cli.h"

int cmd_help(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
    const struct cli_command *command;
    int rc;

    if (cli_getopt(argc, argv, "", options, &rc) == CLI_OPT_EXIT)
        return rc;
    if (optind >= argc) {
        cli_help();
        return GW_EXIT_OK;
    }
    command = cli_command_find(argv[optind]);
    if (!command)
        return cli_usage(argv[0], "there is no command '%s'", argv[optind]);
    cli_command_help(command);
    return GW_EXIT_OK;
}
