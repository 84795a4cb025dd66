/* SPDX-License-Identifier: MIT */
#include "held_note.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const kinds[] = {
    [GW_TRANSPORT_COMMAND] = "command", [GW_TRANSPORT_TLS] = "tls", [GW_TRANSPORT_TCP] = "tcp"};

static void add_text(struct json_object *object, const char *key, const char *value)
{
    if (value)
        json_object_object_add(object, key, json_object_new_string(value));
}

static void add_transport(struct json_object *note, const struct gw_transport *how)
{
    struct json_object *words = json_object_new_array();

    add_text(note, "transport", kinds[how->kind]);
    for (char *const *word = how->command; how->kind == GW_TRANSPORT_COMMAND && *word; word++)
        json_object_array_add(words, json_object_new_string(*word));
    json_object_object_add(note, "command", words);
    add_text(note, "host", how->host);
    add_text(note, "port", how->port);
    add_text(note, "tls_dir", how->tls.dir);
    add_text(note, "tls_psk", how->tls.psk_file);
    add_text(note, "tls_name", how->tls.name);
}

char *held_note_make(const struct gw_migrate_options *options, bool was_paused)
{
    struct json_object *note = json_object_new_object();
    struct timespec now;
    const char *text;
    char *copy;

    clock_gettime(CLOCK_REALTIME, &now);
    add_text(note, "destination", options->host);
    json_object_object_add(
        note, "since_unix_ms",
        json_object_new_int64((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000));
    json_object_object_add(note, "was_paused", json_object_new_boolean(was_paused));
    add_transport(note, &options->transport);
    text = json_object_to_json_string_ext(note, JSON_C_TO_STRING_PLAIN);
    copy = text ? strdup(text) : NULL;
    json_object_put(note);
    return copy;
}

static const char *text_of(struct json_object *note, const char *key)
{
    struct json_object *value = json_object_object_get(note, key);

    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

static int read_held(struct json_object *note, struct gw_held *ret_held)
{
    const char *destination = text_of(note, "destination");

    if (!destination)
        return -1;
    memset(ret_held, 0, sizeof(*ret_held));
    snprintf(ret_held->destination, sizeof(ret_held->destination), "%s", destination);
    ret_held->since_unix_ms =
        (uint64_t)json_object_get_int64(json_object_object_get(note, "since_unix_ms"));
    ret_held->was_paused = json_object_get_boolean(json_object_object_get(note, "was_paused"));
    return 0;
}

static int read_command(struct json_object *note, struct held_note *n)
{
    struct json_object *words = json_object_object_get(note, "command");
    size_t count =
        json_object_is_type(words, json_type_array) ? json_object_array_length(words) : 0;

    if (count == 0 || count > HELD_COMMAND_WORDS)
        return -1;
    for (size_t i = 0; i < count; i++)
        n->command[i] =
            (char *)(uintptr_t)json_object_get_string(json_object_array_get_idx(words, i));
    n->command[count] = NULL;
    n->transport.command = n->command;
    return 0;
}

static int read_transport(struct json_object *note, struct held_note *n)
{
    const char *kind = text_of(note, "transport");

    for (unsigned i = 0; kind && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kind, kinds[i]) != 0)
            continue;
        n->transport = (struct gw_transport){
            .kind = (enum gw_transport_kind)i,
            .host = text_of(note, "host"),
            .port = text_of(note, "port"),
            .tls = {text_of(note, "tls_dir"), text_of(note, "tls_psk"), text_of(note, "tls_name")},
        };
        if (i == GW_TRANSPORT_COMMAND)
            return read_command(note, n);
        return n->transport.host && n->transport.port ? 0 : -1;
    }
    return -1;
}

int held_note_read(const char *text, struct held_note *ret_note, struct gw_error *err)
{
    ret_note->json = json_tokener_parse(text);
    if (json_object_is_type(ret_note->json, json_type_object) &&
        read_held(ret_note->json, &ret_note->held) == 0 &&
        read_transport(ret_note->json, ret_note) == 0)
        return 0;
    json_object_put(ret_note->json);
    return gw_error_set(err, GW_EXIT_CONFIG, "the note about its migration is damaged");
}

int gw_held_parse(const char *text, struct gw_held *ret_held)
{
    struct json_object *note = json_tokener_parse(text);
    int rc = json_object_is_type(note, json_type_object) ? read_held(note, ret_held) : -1;

    json_object_put(note);
    return rc;
}
