/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "report_fields.h"
#include "report_read.h"

/* More than any of the numbers can be, and sums of a thousand still fit. */
#define NUMBER_MAX (INT64_C(1) << 52)

static int wrong(const struct report_fields *f, const char *key, const char *is_not)
{
    return gw_error_set(f->err, GW_EXIT_CONFIG, "%s is no report of a migration: %s%s is not %s",
                        f->what, f->where, key, is_not);
}

/* A member; NULL if it is absent or null. */
static struct json_object *member(const struct report_fields *f, const char *key)
{
    struct json_object *value = NULL;

    json_object_object_get_ex(f->object, key, &value);
    return value;
}

int report_check_number(const struct report_fields *f, const char *name, struct json_object *value,
                        int64_t *ret)
{
    int64_t number;

    if (!json_object_is_type(value, json_type_int))
        return wrong(f, name, "a whole number");
    number = json_object_get_int64(value);
    if (number < 0 || number > NUMBER_MAX)
        return wrong(f, name, "within 0 and 2^52");
    *ret = number;
    return 0;
}

int report_take_numbers(const struct report_fields *f, void *to, const struct report_number *table,
                        size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct json_object *value = member(f, table[i].key);
        int64_t number = REPORT_UNKNOWN;

        if (value && report_check_number(f, table[i].key, value, &number) < 0)
            return -1;
        memcpy((char *)to + table[i].offset, &number, sizeof(number));
    }
    return 0;
}

int report_take_text(const struct report_fields *f, const char *key, const char *if_absent,
                     const char **ret)
{
    struct json_object *value = member(f, key);

    if (value && !json_object_is_type(value, json_type_string))
        return wrong(f, key, "a text");
    *ret = value ? json_object_get_string(value) : if_absent;
    return 0;
}

int report_take_array(const struct report_fields *f, const char *key, size_t max,
                      struct json_object **ret_array, size_t *ret_n)
{
    struct json_object *value = member(f, key);
    char most[48];

    *ret_array = NULL;
    *ret_n = 0;
    if (!value)
        return 0;
    if (!json_object_is_type(value, json_type_array))
        return wrong(f, key, "a list");
    if (json_object_array_length(value) > max) {
        snprintf(most, sizeof(most), "a list of at most %zu", max);
        return wrong(f, key, most);
    }
    *ret_array = value;
    *ret_n = json_object_array_length(value);
    return 0;
}

int report_fields_enter(struct report_fields *ret, const struct report_fields *parent,
                        const char *key, struct json_object *array, size_t i)
{
    char name[64];

    *ret = *parent;
    ret->object = json_object_array_get_idx(array, i);
    snprintf(name, sizeof(name), "%s[%zu]", key, i);
    if (!json_object_is_type(ret->object, json_type_object))
        return wrong(parent, name, "an object");
    snprintf(ret->where, sizeof(ret->where), "%.40s%.20s.", parent->where, name);
    return 0;
}
