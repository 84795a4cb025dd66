/* SPDX-License-Identifier: MIT */
/* report: needs no hypervisor, so it works on any machine that has the file. */
#include <libgodwit/report.h>

#include "cli.h"

int cmd_report(int argc, char **argv)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'}, {"output", required_argument, NULL, 'o'}, {0}};
    struct gw_error err = {0};
    const char *to = "-";
    int c, rc;

    while ((c = cli_getopt(argc, argv, "o:", options, &rc)) != -1) {
        if (c == CLI_OPT_EXIT)
            return rc;
        to = optarg;
    }
    if (argc - optind != 1)
        return cli_usage(argv[0], "needs the name of one file, or - for standard input");
    rc = gw_report_write(argv[optind], to, &err);
    return rc ? cli_fail(argv[0], &err) : GW_EXIT_OK;
}
