/* SPDX-License-Identifier: MIT */
#include "migrate_limits.h"

#include <stdbool.h>
#include <string.h>

#define RATE_MAX (1ULL << 60)

enum kind { NUMBER, ENDING, THROTTLE };

/* One row per limit. Numbers have bounds; the rest are words. */
static const struct row {
    const char *name;
    enum gw_limit limit;
    enum kind kind;
    uint64_t low, high;
} rows[] = {
    {"max_downtime_ms", GW_LIMIT_MAX_DOWNTIME, NUMBER, 1, GW_LIMIT_MS_MAX},
    {"bandwidth_bytes_per_s", GW_LIMIT_BANDWIDTH, NUMBER, 0, RATE_MAX},
    {"timeout_ms", GW_LIMIT_TIMEOUT, NUMBER, 0, GW_LIMIT_MS_MAX},
    {"on_timeout", GW_LIMIT_ON_TIMEOUT, ENDING, 0, 0},
    {"max_rounds", GW_LIMIT_MAX_ROUNDS, NUMBER, 1, GW_ROUNDS_MAX},
    {"throttle", GW_LIMIT_THROTTLE, THROTTLE, 0, 0},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static const char *const endings[] = {"cancel", "stop"}, *const throttles[] = {"auto", "off"};

static const char *const *words_of(const struct row *row)
{
    return row->kind == ENDING ? endings : throttles;
}

static uint64_t get(const struct gw_migrate_limits *limits, enum gw_limit limit)
{
    switch (limit) {
    case GW_LIMIT_MAX_DOWNTIME:
        return limits->max_downtime_ms;
    case GW_LIMIT_BANDWIDTH:
        return limits->bandwidth_bytes_per_s;
    case GW_LIMIT_TIMEOUT:
        return limits->timeout_ms;
    case GW_LIMIT_ON_TIMEOUT:
        return limits->on_timeout;
    case GW_LIMIT_MAX_ROUNDS:
        return limits->max_rounds;
    default:
        return limits->throttle;
    }
}

static void set(struct gw_migrate_limits *limits, enum gw_limit limit, uint64_t value)
{
    switch (limit) {
    case GW_LIMIT_MAX_DOWNTIME:
        limits->max_downtime_ms = (unsigned)value;
        return;
    case GW_LIMIT_BANDWIDTH:
        limits->bandwidth_bytes_per_s = value;
        return;
    case GW_LIMIT_TIMEOUT:
        limits->timeout_ms = (unsigned)value;
        return;
    case GW_LIMIT_ON_TIMEOUT:
        limits->on_timeout = (enum gw_on_timeout)value;
        return;
    case GW_LIMIT_MAX_ROUNDS:
        limits->max_rounds = (unsigned)value;
        return;
    default:
        limits->throttle = (enum gw_throttle)value;
    }
}

void migrate_limits_put(struct json_object *object, const struct gw_migrate_limits *limits,
                        unsigned which)
{
    for (size_t i = 0; i < ROWS; i++) {
        uint64_t value = get(limits, rows[i].limit);

        if (!(which & rows[i].limit))
            continue;
        json_object_object_add(object, rows[i].name,
                               rows[i].kind == NUMBER
                                   ? json_object_new_int64((int64_t)value)
                                   : json_object_new_string(words_of(&rows[i])[value != 0]));
    }
}

static bool read_number(const struct row *row, struct json_object *value, uint64_t *ret)
{
    int64_t number;

    if (!json_object_is_type(value, json_type_int))
        return false;
    number = json_object_get_int64(value);
    *ret = (uint64_t)number;
    return number >= 0 && *ret >= row->low && *ret <= row->high;
}

static bool read_word(const struct row *row, struct json_object *value, uint64_t *ret)
{
    if (!json_object_is_type(value, json_type_string))
        return false;
    *ret = !strcmp(json_object_get_string(value), words_of(row)[1]);
    return *ret || !strcmp(json_object_get_string(value), words_of(row)[0]);
}

static const struct row *find_row(const char *name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (!strcmp(rows[i].name, name))
            return &rows[i];
    return NULL;
}

int migrate_limits_take(struct json_object *object, struct gw_migrate_limits *limits,
                        unsigned *ret_which, struct gw_error *err)
{
    struct gw_migrate_limits taken = *limits;
    unsigned which = 0;

    if (!json_object_is_type(object, json_type_object))
        return gw_error_set(err, GW_EXIT_USAGE, "the request names no limits");
    json_object_object_foreach(object, name, value)
    {
        const struct row *row = find_row(name);
        uint64_t number = 0;

        if (!row)
            return gw_error_set(err, GW_EXIT_USAGE, "'%.40s' is not a limit", name);
        if (row->kind == NUMBER ? !read_number(row, value, &number)
                                : !read_word(row, value, &number))
            return gw_error_set(err, GW_EXIT_USAGE, "%s cannot be %.60s", name,
                                json_object_get_string(value));
        set(&taken, row->limit, number);
        which |= row->limit;
    }
    *limits = taken;
    *ret_which = which;
    return 0;
}

void migrate_limits_copy(struct gw_migrate_limits *to, const struct gw_migrate_limits *from,
                         unsigned which)
{
    for (size_t i = 0; i < ROWS; i++)
        if (which & rows[i].limit)
            set(to, rows[i].limit, get(from, rows[i].limit));
}
