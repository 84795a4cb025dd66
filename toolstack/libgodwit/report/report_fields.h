/* SPDX-License-Identifier: MIT */
/* Takes checked values out of a JSON object. The first thing that is wrong is kept in err. */
#ifndef REPORT_FIELDS_H
#define REPORT_FIELDS_H

#include <json-c/json.h>
#include <libgodwit/error.h>
#include <stddef.h>
#include <stdint.h>

struct report_fields {
    const char *what;           /* the file's name, for messages */
    char where[64];             /* "rounds[3].", or "" at the top */
    struct json_object *object; /* whose members are taken */
    struct gw_error *err;
};

/* A table of numbers: the member called key goes to the int64_t at offset of a structure. */
struct report_number {
    const char *key;
    size_t offset;
};

/* Fills numbers in. Absent or null: REPORT_UNKNOWN. Not a whole number of 0 or more: error. */
int report_take_numbers(const struct report_fields *f, void *to, const struct report_number *table,
                        size_t n);
/* A text of the object, owned by it. Absent or null: if_absent. */
int report_take_text(const struct report_fields *f, const char *key, const char *if_absent,
                     const char **ret);
/* An array of at most max members; absent or null: *ret_array NULL and *ret_n 0. */
int report_take_array(const struct report_fields *f, const char *key, size_t max,
                      struct json_object **ret_array, size_t *ret_n);
/* Looks into member i of an array called key: it must be an object. */
int report_fields_enter(struct report_fields *ret, const struct report_fields *parent,
                        const char *key, struct json_object *array, size_t i);
/* A number of its own, such as a member of an array of numbers. name is for the message. */
int report_check_number(const struct report_fields *f, const char *name, struct json_object *value,
                        int64_t *ret);

#endif
