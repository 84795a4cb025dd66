/* SPDX-License-Identifier: MIT */
/* The command as a program on this machine, for the test in a browser. */
#include "../../cli/cli.h"

int main(int argc, char **argv)
{
    return cli_run(argc, argv);
}
