/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "cli.h"

int cmd_domid(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
    struct gw_guest guest;
    struct gw_error err = {0};
    struct gw_hv *hv;
    int rc;

    if (cli_getopt(argc, argv, "", options, &rc) == CLI_OPT_EXIT)
        return rc;
    if (argc - optind != 1)
        return cli_usage(argv[0], "needs the name of one guest");
    if (cli_open_guest(argv[optind], &hv, &guest, &err) < 0)
        return cli_fail(argv[0], &err);
    gw_hv_close(hv);
    printf("%u\n", guest.info.domid);
    return GW_EXIT_OK;
}
