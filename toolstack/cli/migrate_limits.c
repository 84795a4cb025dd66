/* SPDX-License-Identifier: MIT */
#include "migrate_limits.h"

#include <string.h>

#include "cli.h"
#include "units.h"

static int take_duration(const char *command, const char *argument, const char *unit, unsigned low,
                         unsigned *ret_ms)
{
    uint64_t ms;

    if (cli_parse_duration(argument, unit, &ms) < 0 || ms < low || ms > GW_LIMIT_MS_MAX)
        return cli_usage(command, "'%s' is not a time such as 300ms, 2s or 10m", argument);
    *ret_ms = (unsigned)ms;
    return 0;
}

static int take_rate(const char *command, const char *argument, uint64_t *ret_rate)
{
    if (cli_parse_rate(argument, ret_rate) == 0)
        return 0;
    return cli_usage(command, "'%s' is not a speed such as 40MiB/s, 1Gbit, 512M or unlimited",
                     argument);
}

static int take_rounds(const char *command, const char *argument, unsigned *ret_rounds)
{
    unsigned long number;

    if (cli_parse_number(argument, 1, GW_ROUNDS_MAX, &number) < 0)
        return cli_usage(command, "'%s' is not a number of rounds from 1 to %u", argument,
                         GW_ROUNDS_MAX);
    *ret_rounds = (unsigned)number;
    return 0;
}

/* One of two words: 0 or 1 into *ret_choice. */
static int take_word(const char *command, const char *option, const char *argument,
                     const char *const words[2], unsigned *ret_choice)
{
    *ret_choice = strcmp(argument, words[1]) == 0;
    if (*ret_choice || !strcmp(argument, words[0]))
        return 0;
    return cli_usage(command, "%s is '%s' or '%s', not '%s'", option, words[0], words[1], argument);
}

int cli_take_limit(int c, const char *command, const char *argument,
                   struct gw_migrate_limits *limits, unsigned *set)
{
    static const char *const endings[] = {"cancel", "stop"}, *const throttles[] = {"auto", "off"};
    unsigned choice = GW_THROTTLE_OFF;
    int rc;

    switch (c) {
    case CLI_LIMIT_MAX_DOWNTIME:
        *set |= GW_LIMIT_MAX_DOWNTIME;
        return take_duration(command, argument, "ms", 1, &limits->max_downtime_ms);
    case CLI_LIMIT_BANDWIDTH:
        *set |= GW_LIMIT_BANDWIDTH;
        return take_rate(command, argument, &limits->bandwidth_bytes_per_s);
    case CLI_LIMIT_TIMEOUT:
        *set |= GW_LIMIT_TIMEOUT;
        return take_duration(command, argument, "s", 0, &limits->timeout_ms);
    case CLI_LIMIT_MAX_ROUNDS:
        *set |= GW_LIMIT_MAX_ROUNDS;
        return take_rounds(command, argument, &limits->max_rounds);
    case CLI_LIMIT_ON_TIMEOUT:
        rc = take_word(command, "--on-timeout", argument, endings, &choice);
        limits->on_timeout = (enum gw_on_timeout)choice;
        *set |= GW_LIMIT_ON_TIMEOUT;
        return rc;
    default: /* CLI_LIMIT_THROTTLE, CLI_LIMIT_NO_THROTTLE */
        rc = c == CLI_LIMIT_THROTTLE
                 ? take_word(command, "--throttle", argument, throttles, &choice)
                 : 0;
        limits->throttle = (enum gw_throttle)choice;
        *set |= GW_LIMIT_THROTTLE;
        return rc;
    }
}
