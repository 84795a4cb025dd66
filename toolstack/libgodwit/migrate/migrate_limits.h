/* SPDX-License-Identifier: MIT */
/* The limits of a migration in JSON: in reports, and in requests to change them. */
#ifndef MIGRATE_LIMITS_H
#define MIGRATE_LIMITS_H

#include <json-c/json.h>
#include <libgodwit/migrate.h>

/* Those of `which` (enum gw_limit), under the names of the report; in place of what is there. */
void migrate_limits_put(struct json_object *object, const struct gw_migrate_limits *limits,
                        unsigned which);

/*
 * Takes what the object names into *limits and *ret_which. Everything is checked first: after an
 * error (GW_EXIT_USAGE) both are as before. A name that is no limit's is an error.
 */
int migrate_limits_take(struct json_object *object, struct gw_migrate_limits *limits,
                        unsigned *ret_which, struct gw_error *err);

/* Copies those of `which`. */
void migrate_limits_copy(struct gw_migrate_limits *to, const struct gw_migrate_limits *from,
                         unsigned which);

#endif
