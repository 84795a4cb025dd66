/* SPDX-License-Identifier: MIT */
#include <signal.h>

#include "cli.h"

int main(int argc, char **argv)
{
    /* A reader that went away shows as an error of the write, with a message and a cleanup. */
    signal(SIGPIPE, SIG_IGN);
    return cli_run(argc, argv);
}
