/* SPDX-License-Identifier: MIT */
/* The options that `migrate` and `migrate-set` have in common: limits of a migration. */
#ifndef CLI_MIGRATE_LIMITS_H
#define CLI_MIGRATE_LIMITS_H

#include <getopt.h>
#include <libgodwit/migrate.h>

enum {
    CLI_LIMIT_MAX_DOWNTIME = 1024,
    CLI_LIMIT_BANDWIDTH,
    CLI_LIMIT_TIMEOUT,
    CLI_LIMIT_ON_TIMEOUT,
    CLI_LIMIT_MAX_ROUNDS,
    CLI_LIMIT_THROTTLE,
    CLI_LIMIT_NO_THROTTLE,
};

/* Rows for a table of struct option. */
#define CLI_LIMIT_OPTIONS                                                                          \
    {"max-downtime", required_argument, NULL, CLI_LIMIT_MAX_DOWNTIME},                             \
        {"bandwidth", required_argument, NULL, CLI_LIMIT_BANDWIDTH},                               \
        {"timeout", required_argument, NULL, CLI_LIMIT_TIMEOUT},                                   \
        {"on-timeout", required_argument, NULL, CLI_LIMIT_ON_TIMEOUT},                             \
        {"max-rounds", required_argument, NULL, CLI_LIMIT_MAX_ROUNDS},                             \
        {"throttle", required_argument, NULL, CLI_LIMIT_THROTTLE},                                 \
    {                                                                                              \
        "no-throttle", no_argument, NULL, CLI_LIMIT_NO_THROTTLE                                    \
    }

/* Takes option c with its argument into limits and notes it in *set (GW_LIMIT_*). 0, or the exit
 * code of a wrong command line, which it has told. */
int cli_take_limit(int c, const char *command, const char *argument,
                   struct gw_migrate_limits *limits, unsigned *set);

#endif
