/* SPDX-License-Identifier: MIT */
#include <libgodwit/migrate.h>
#include <stdio.h>
#include <unistd.h>

#include "cli.h"
#include "transport_options.h"

enum { OPT_LISTEN = CLI_OPT_OWN, OPT_CONNECTIONS, OPT_STALL };

static const struct option options[] = {
    {"help", no_argument, NULL, 'h'},
    {"paused", no_argument, NULL, 'p'},
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"max-connections", required_argument, NULL, OPT_CONNECTIONS},
    {"stall", required_argument, NULL, OPT_STALL},
    CLI_TRANSPORT_OPTIONS,
    {0},
};

struct receive_command {
    const char *url; /* NULL: one guest from standard input */
    bool paused;
    unsigned max_connections, stall_ms;
    struct cli_transport transport;
};

static int take_option(struct receive_command *r, int c, const char *name)
{
    unsigned long number = 0;

    switch (c) {
    case 'p':
        r->paused = true;
        return 0;
    case OPT_LISTEN:
        r->url = optarg;
        return 0;
    case OPT_CONNECTIONS:
        if (cli_parse_number(optarg, 1, 256, &number) < 0)
            return cli_usage(name, "'%s' is not a number of connections from 1 to 256", optarg);
        r->max_connections = (unsigned)number;
        return 0;
    case OPT_STALL:
        if (cli_parse_seconds(optarg, &r->stall_ms) < 0)
            return cli_usage(name, "'%s' is not a number of seconds", optarg);
        return 0;
    default:
        cli_transport_take(&r->transport, c);
        return 0;
    }
}

/* One write a line: several processes share the log. */
static void log_line(void *arg, const char *line)
{
    dprintf(STDERR_FILENO, "godwit migrate-receive: %s\n", line);
}

static int listen_on(struct receive_command *r, const char *name)
{
    struct gw_listen_options listening = {.paused = r->paused,
                                          .max_connections = r->max_connections,
                                          .stall_ms = r->stall_ms,
                                          .log = log_line};
    struct gw_error err = {0};
    int rc;

    if (!cli_transport_is_url(r->url))
        return cli_usage(name, "--listen needs tls://ADDRESS:PORT");
    rc = cli_transport_resolve(&r->transport, name, r->url);
    if (rc)
        return rc;
    listening.where = r->transport.how;
    return gw_migrate_listen(&listening, &err) ? cli_fail(name, &err) : GW_EXIT_OK;
}

static int receive_one(const struct receive_command *r, const char *name)
{
    const struct gw_receive_options receive = {.paused = r->paused, .stall_ms = r->stall_ms};
    struct gw_error err = {0};

    if (isatty(STDIN_FILENO))
        return cli_usage(name, "reads a guest from another host: `godwit migrate` runs it");
    /* The source has been told why, and says it to whoever started the migration. */
    return gw_migrate_receive(&receive, STDIN_FILENO, STDOUT_FILENO, &err);
}

int cmd_migrate_receive(int argc, char **argv)
{
    struct receive_command receive = {0};
    int c, rc;

    while ((c = cli_getopt(argc, argv, "p", options, &rc)) != -1) {
        if (c == CLI_OPT_EXIT)
            return rc;
        rc = take_option(&receive, c, argv[0]);
        if (rc)
            return rc;
    }
    if (argc != optind)
        return cli_usage(argv[0], "takes no arguments: `godwit migrate` runs it");
    return receive.url ? listen_on(&receive, argv[0]) : receive_one(&receive, argv[0]);
}
