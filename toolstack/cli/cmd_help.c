/* SPDX-License-Identifier: MIT */
#include "cli.h"

int cmd_help(int argc, char **argv)
{
    const struct cli_command *command;

    if (argc < 2) {
        cli_help();
        return GW_EXIT_OK;
    }
    command = cli_command_find(argv[1]);
    if (!command)
        return cli_usage(argv[0], "there is no command '%s'", argv[1]);
    cli_command_help(command);
    return GW_EXIT_OK;
}
