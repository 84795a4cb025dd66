/* SPDX-License-Identifier: MIT */
#include <libgodwit/console.h>
#include <unistd.h>

#include "cli.h"
#include "terminal.h"

int cmd_console(int argc, char **argv)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'}, {"timeout", required_argument, NULL, 't'}, {0}};
    struct gw_error err = {0};
    unsigned timeout_ms = 0;
    struct gw_guest guest;
    struct gw_hv *hv;
    int c, fd, rc;

    while ((c = cli_getopt(argc, argv, "t:", options, &rc)) != -1) {
        if (c == CLI_OPT_EXIT)
            return rc;
        if (c == 't' && cli_parse_seconds(optarg, &timeout_ms) < 0)
            return cli_usage(argv[0], "'%s' is not a number of seconds", optarg);
    }
    if (argc - optind != 1)
        return cli_usage(argv[0], "needs the name of one guest");
    if (cli_open_guest(argv[optind], &hv, &guest, &err) < 0)
        return cli_fail(argv[0], &err);
    gw_hv_close(hv);
    fd = gw_console_connect(guest.name, &err);
    if (fd < 0)
        return cli_fail(argv[0], &err);
    rc = terminal_run(fd, timeout_ms, &err);
    close(fd);
    return rc < 0 ? cli_fail(argv[0], &err) : GW_EXIT_OK;
}
