/* SPDX-License-Identifier: MIT */
/* A migration as one JSON object: docs/migrate.schema.json. */
#ifndef MIGRATE_JSON_H
#define MIGRATE_JSON_H

#include "migrate_report.h"
#include <json-c/json.h>

/*
 * The caller puts it. error: NULL or without a code if there is none. with_heat: also what takes
 * much room, for a migration that is over.
 */
struct json_object *migrate_json(const struct migrate_report *report, const struct precopy *precopy,
                                 const struct gw_error *error, bool with_heat);

#endif
