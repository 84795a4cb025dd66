/* SPDX-License-Identifier: MIT */
/* What is noted of a guest that was handed over: enough to ask the other host about it later. */
#ifndef HELD_NOTE_H
#define HELD_NOTE_H

#include <json-c/json.h>
#include <libgodwit/migrate.h>
#include <libgodwit/registry.h>

/* malloc()ed text, or NULL: out of memory. */
char *held_note_make(const struct gw_migrate_options *options, bool was_paused);

#define HELD_COMMAND_WORDS 16u

/* As long as `json` lives; put that. */
struct held_note {
    struct json_object *json;
    struct gw_held held;
    struct gw_transport transport;
    char *command[HELD_COMMAND_WORDS + 1];
};

/* -1: damaged (GW_EXIT_CONFIG); there is nothing to put then. */
int held_note_read(const char *text, struct held_note *ret_note, struct gw_error *err);

#endif
