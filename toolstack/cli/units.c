/* SPDX-License-Identifier: MIT */
#include "units.h"

#include <stdlib.h>
#include <string.h>

#define DAY_MS (24.0 * 3600 * 1000)

struct unit {
    const char *name;
    double factor;
};

static const struct unit durations[] = {{"ms", 1},     {"s", 1e3},    {"m", 60e3}, {"min", 60e3},
                                        {"h", 3600e3}, {"d", DAY_MS}, {0}};

static const struct unit rates[] = {{"", 1},         {"B", 1},
                                    {"K", 0x1p10},   {"M", 0x1p20},
                                    {"G", 0x1p30},   {"T", 0x1p40},
                                    {"KiB", 0x1p10}, {"MiB", 0x1p20},
                                    {"GiB", 0x1p30}, {"TiB", 0x1p40},
                                    {"kB", 1e3},     {"KB", 1e3},
                                    {"MB", 1e6},     {"GB", 1e9},
                                    {"TB", 1e12},    {"bit", 0.125},
                                    {"kbit", 125},   {"Kbit", 125},
                                    {"Mbit", 125e3}, {"Gbit", 125e6},
                                    {"Tbit", 125e9}, {0}};

/* A number and what stands behind it. */
static int split(const char *text, double *ret_number, const char **ret_rest)
{
    char *end;

    /* strtod() knows more than people mean: "inf", "nan", hexadecimal, signs, exponents. */
    if (strspn(text, "0123456789.") == 0 || !strncmp(text, "0x", 2))
        return -1;
    *ret_number = strtod(text, &end);
    if ((size_t)(end - text) != strspn(text, "0123456789."))
        return -1;
    *ret_rest = end;
    return 0;
}

static int find(const struct unit *units, const char *name, size_t length, double *ret_factor)
{
    for (; units->name; units++) {
        if (strlen(units->name) == length && !memcmp(units->name, name, length)) {
            *ret_factor = units->factor;
            return 0;
        }
    }
    return -1;
}

int cli_parse_duration(const char *text, const char *unit, uint64_t *ret_ms)
{
    double number, factor;
    const char *rest;

    if (split(text, &number, &rest))
        return -1;
    rest = *rest ? rest : unit;
    if (find(durations, rest, strlen(rest), &factor) || number * factor > 30 * DAY_MS)
        return -1;
    *ret_ms = (uint64_t)(number * factor + 0.5);
    return number > 0 && *ret_ms == 0 ? -1 : 0; /* 0 has a meaning of its own */
}

int cli_parse_rate(const char *text, uint64_t *ret_bytes_per_s)
{
    double number, factor;
    const char *rest;
    size_t length;

    if (!strcmp(text, "unlimited")) {
        *ret_bytes_per_s = 0;
        return 0;
    }
    if (split(text, &number, &rest))
        return -1;
    length = strlen(rest);
    if (length >= 2 && (!strcmp(rest + length - 2, "/s") || !strcmp(rest + length - 2, "ps")))
        length -= 2;
    if (find(rates, rest, length, &factor) || number * factor > 0x1p60)
        return -1;
    *ret_bytes_per_s = (uint64_t)(number * factor);
    return number > 0 && *ret_bytes_per_s == 0 ? -1 : 0;
}
