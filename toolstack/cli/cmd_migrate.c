/* SPDX-License-Identifier: MIT */
#include <libgodwit/migrate.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "migrate_limits.h"
#include "transport_options.h"

enum { OPT_VERIFY = CLI_OPT_OWN, OPT_COMPRESS, OPT_STREAMS, OPT_STALL };

static const struct option migrate_options[] = {
    {"dry-run", no_argument, NULL, 'n'},
    {"help", no_argument, NULL, 'h'},
    {"json", no_argument, NULL, CLI_OPT_JSON},
    {"paused", no_argument, NULL, 'p'},
    {"quiet", no_argument, NULL, 'q'},
    {"ssh", required_argument, NULL, 's'},
    CLI_TRANSPORT_OPTIONS,
    {"tls-name", required_argument, NULL, CLI_OPT_TLS_NAME},
    {"streams", required_argument, NULL, OPT_STREAMS},
    {"compress", optional_argument, NULL, OPT_COMPRESS},
    CLI_LIMIT_OPTIONS,
    {"stall", required_argument, NULL, OPT_STALL},
    {"verify", no_argument, NULL, OPT_VERIFY},
    {"debug", no_argument, NULL, OPT_VERIFY}, /* xl's name for it */
    {0},
};

/* --compress, --compress=LEVEL, --compress=none. */
static int parse_compress(const char *name, struct gw_migrate_options *m)
{
    unsigned long level = optarg && !strcmp(optarg, "none") ? 0 : 1;

    if (optarg && level && cli_parse_number(optarg, 1, 19, &level) < 0)
        return cli_usage(name, "'%s' is not a level from 1 to 19, nor \"none\"", optarg);
    m->compress_level = (int)level;
    return 0;
}

static int parse_option(int c, const char *name, struct gw_migrate_options *m,
                        struct cli_transport *t)
{
    unsigned long number;
    unsigned set = 0;

    if (cli_transport_take(t, c))
        return 0;
    switch (c) {
    case 's':
        t->command = optarg;
        return 0;
    case 'n':
        m->dry_run = true;
        return 0;
    case 'p':
        m->paused = true;
        return 0;
    case 'q':
        m->progress = GW_PROGRESS_NONE;
        return 0;
    case CLI_OPT_JSON:
        m->json = true;
        return 0;
    case OPT_VERIFY:
        m->verify = true;
        return 0;
    case OPT_STREAMS:
        if (cli_parse_number(optarg, 1, 16, &number) < 0)
            return cli_usage(name, "'%s' is not a number of connections from 1 to 16", optarg);
        m->streams = (unsigned)number;
        return 0;
    case OPT_COMPRESS:
        return parse_compress(name, m);
    case OPT_STALL:
        if (cli_parse_seconds(optarg, &m->stall_ms) < 0)
            return cli_usage(name, "'%s' is not a number of seconds", optarg);
        return 0;
    default:
        return cli_take_limit(c, name, optarg, &m->limits, &set);
    }
}

int cmd_migrate(int argc, char **argv)
{
    struct gw_migrate_options migrate = {.progress = cli_progress()};
    struct cli_transport transport = {0};
    struct gw_error err = {0};
    int c, rc;

    while ((c = cli_getopt(argc, argv, "npqs:", migrate_options, &rc)) != -1) {
        if (c == CLI_OPT_EXIT)
            return rc;
        rc = parse_option(c, argv[0], &migrate, &transport);
        if (rc)
            return rc;
    }
    if (argc - optind != 2)
        return cli_usage(argv[0], "needs the name of a guest and of a host");
    migrate.name = argv[optind];
    migrate.host = argv[optind + 1];
    rc = cli_transport_resolve(&transport, argv[0], migrate.host);
    if (rc)
        return rc;
    migrate.transport = transport.how;
    if (transport.how.kind != GW_TRANSPORT_COMMAND)
        migrate.host = transport.how.host;
    if (!migrate.host[0])
        return cli_usage(argv[0], "needs the name of a host");
    rc = gw_migrate(&migrate, &err);
    return rc ? cli_fail(argv[0], &err) : GW_EXIT_OK;
}
