/* SPDX-License-Identifier: MIT */
#include "report_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report_fields.h"

#define SCHEMA "godwit.migrate.v1"
#define AT(type, field)                                                                            \
    {                                                                                              \
#field, offsetof(struct type, field)                                                       \
    }
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const struct report_number top_numbers[] = {
    AT(report, exit),           AT(report, began_unix_ms),
    AT(report, total_ms),       AT(report, downtime_ms),
    AT(report, memory_pages),   AT(report, downtime_estimate_ms),
    AT(report, pages),          AT(report, zero_pages),
    AT(report, skipped_pages),  AT(report, resent_pages),
    AT(report, verified_pages), AT(report, raw_bytes),
    AT(report, bytes),          AT(report, heat_pages_per_bucket),
};

static const struct report_number limit_numbers[] = {
    AT(report, max_downtime_ms), AT(report, bandwidth_bytes_per_s),
    AT(report, timeout_ms),      AT(report, max_rounds),
    AT(report, streams),
};

static const struct report_number round_numbers[] = {
    AT(report_round, n),
    AT(report_round, start_ms),
    AT(report_round, ms),
    AT(report_round, pages),
    AT(report_round, zero_pages),
    AT(report_round, skipped_pages),
    AT(report_round, dirtied_pages),
    AT(report_round, bytes),
    AT(report_round, dirty_pages_per_s),
    AT(report_round, bytes_per_s),
    AT(report_round, estimate_ms),
};

static const struct report_number throttle_numbers[] = {
    AT(report_throttle, vcpu),
    AT(report_throttle, percent),
};

static const struct report_number vcpu_numbers[] = {
    AT(report_vcpu, vcpu),
    AT(report_vcpu, faults),
    AT(report_vcpu, dirty_pages),
    AT(report_vcpu, stall_fault_ns),
    AT(report_vcpu, stall_harvest_ns),
    AT(report_vcpu, stall_throttle_ns),
    AT(report_vcpu, stall_pause_ns),
};

static const struct report_number event_numbers[] = {AT(report_event, ms)};

static int no_memory(const struct report_fields *f)
{
    return gw_error_set(f->err, GW_EXIT_FAILED, "cannot read %s: out of memory", f->what);
}

/* An array of n structures, at least one, so that NULL is a failure. */
static void *new_array(size_t n, size_t size)
{
    return calloc(n ? n : 1, size);
}

static int read_throttle(const struct report_fields *f, struct report_round *r)
{
    struct json_object *array;
    struct report_fields one;
    size_t n;

    if (report_take_array(f, "throttle", REPORT_VCPUS_MAX, &array, &n) < 0)
        return -1;
    r->throttle = new_array(n, sizeof(*r->throttle));
    if (!r->throttle)
        return no_memory(f);
    for (size_t i = 0; i < n; i++) {
        struct report_throttle *t = &r->throttle[i];

        if (report_fields_enter(&one, f, "throttle", array, i) < 0 ||
            report_take_numbers(&one, t, throttle_numbers, COUNT(throttle_numbers)) < 0)
            return -1;
        if (t->percent > 100)
            return gw_error_set(f->err, GW_EXIT_CONFIG,
                                "%s is no report of a migration: %spercent is more than 100",
                                f->what, one.where);
        r->throttle_n = i + 1;
    }
    return 0;
}

static int read_heat(const struct report_fields *f, struct report_round *r)
{
    struct json_object *array;

    if (report_take_array(f, "heat", REPORT_HEAT_MAX, &array, &r->heat_n) < 0)
        return -1;
    r->heat = new_array(r->heat_n, sizeof(*r->heat));
    if (!r->heat)
        return no_memory(f);
    for (size_t i = 0; i < r->heat_n; i++)
        if (report_check_number(f, "a member of heat", json_object_array_get_idx(array, i),
                                &r->heat[i]) < 0)
            return -1;
    return 0;
}

static int read_round(const struct report_fields *f, struct report_round *r)
{
    struct json_object *final = NULL;

    json_object_object_get_ex(f->object, "final", &final);
    r->final = final && json_object_get_boolean(final);
    if (report_take_numbers(f, r, round_numbers, COUNT(round_numbers)) < 0 ||
        read_throttle(f, r) < 0)
        return -1;
    return read_heat(f, r);
}

static int read_rounds(const struct report_fields *f, struct report *r)
{
    struct json_object *array;
    struct report_fields one;
    size_t n;

    if (report_take_array(f, "rounds", REPORT_ROUNDS_MAX, &array, &n) < 0)
        return -1;
    r->rounds = new_array(n, sizeof(*r->rounds));
    if (!r->rounds)
        return no_memory(f);
    for (size_t i = 0; i < n; i++) {
        r->rounds_n = i + 1;
        if (report_fields_enter(&one, f, "rounds", array, i) < 0 ||
            read_round(&one, &r->rounds[i]) < 0)
            return -1;
        if (r->rounds[i].n == REPORT_UNKNOWN)
            r->rounds[i].n = (int64_t)i + 1;
        if (r->rounds[i].heat_n > r->heat_n)
            r->heat_n = r->rounds[i].heat_n;
    }
    return 0;
}

static int read_vcpus(const struct report_fields *f, struct report *r)
{
    struct json_object *array;
    struct report_fields one;

    if (report_take_array(f, "vcpus", REPORT_VCPUS_MAX, &array, &r->vcpus_n) < 0)
        return -1;
    r->vcpus = new_array(r->vcpus_n, sizeof(*r->vcpus));
    if (!r->vcpus)
        return no_memory(f);
    for (size_t i = 0; i < r->vcpus_n; i++) {
        struct json_object *counted = NULL;

        if (report_fields_enter(&one, f, "vcpus", array, i) < 0 ||
            report_take_numbers(&one, &r->vcpus[i], vcpu_numbers, COUNT(vcpu_numbers)) < 0)
            return -1;
        if (json_object_object_get_ex(one.object, "counted", &counted) &&
            !json_object_get_boolean(counted))
            r->vcpus[i].dirty_pages = REPORT_UNKNOWN;
    }
    return 0;
}

static int read_events(const struct report_fields *f, struct report *r)
{
    struct json_object *array;
    struct report_fields one;

    if (report_take_array(f, "events", REPORT_EVENTS_MAX, &array, &r->events_n) < 0)
        return -1;
    r->events = new_array(r->events_n, sizeof(*r->events));
    if (!r->events)
        return no_memory(f);
    for (size_t i = 0; i < r->events_n; i++)
        if (report_fields_enter(&one, f, "events", array, i) < 0 ||
            report_take_numbers(&one, &r->events[i], event_numbers, COUNT(event_numbers)) < 0 ||
            report_take_text(&one, "what", "", &r->events[i].what) < 0)
            return -1;
    return 0;
}

/* A member that is an object of its own; absent: an empty one. */
static int enter_member(struct report_fields *ret, const struct report_fields *f, const char *key)
{
    *ret = *f;
    ret->object = NULL;
    json_object_object_get_ex(f->object, key, &ret->object);
    if (ret->object && !json_object_is_type(ret->object, json_type_object))
        return gw_error_set(f->err, GW_EXIT_CONFIG,
                            "%s is no report of a migration: %s is not an object", f->what, key);
    snprintf(ret->where, sizeof(ret->where), "%s.", key);
    return 0;
}

static int read_phases(const struct report_fields *top, struct report *r)
{
    struct report_fields f;

    if (enter_member(&f, top, "phases_ms") < 0)
        return -1;
    r->phases = new_array(REPORT_PHASES_MAX, sizeof(*r->phases));
    if (!r->phases)
        return no_memory(top);
    if (!f.object)
        return 0;
    json_object_object_foreach(f.object, name, value)
    {
        struct report_phase *phase = &r->phases[r->phases_n];

        if (r->phases_n == REPORT_PHASES_MAX)
            return gw_error_set(top->err, GW_EXIT_CONFIG,
                                "%s is no report of a migration: it has more than %d phases",
                                top->what, REPORT_PHASES_MAX);
        phase->name = name;
        if (report_check_number(&f, "a member", value, &phase->ms) < 0)
            return -1;
        r->phases_n++;
    }
    return 0;
}

static int read_limits(const struct report_fields *top, struct report *r)
{
    struct report_fields f;

    if (enter_member(&f, top, "limits") < 0 ||
        report_take_numbers(&f, r, limit_numbers, COUNT(limit_numbers)) < 0 ||
        report_take_text(&f, "on_timeout", "", &r->on_timeout) < 0 ||
        report_take_text(&f, "compress", "", &r->compress) < 0)
        return -1;
    return report_take_text(&f, "throttle", "", &r->throttle);
}

static int read_top(const struct report_fields *f, struct report *r)
{
    const char *schema;

    if (report_take_text(f, "schema", "", &schema) < 0)
        return -1;
    if (strcmp(schema, SCHEMA) != 0)
        return gw_error_set(f->err, GW_EXIT_CONFIG,
                            "%s is no report of a migration: its schema is not \"" SCHEMA
                            "\"; it should come from godwit migrate --json",
                            f->what);
    if (report_take_text(f, "guest", "", &r->guest) < 0 ||
        report_take_text(f, "source", "", &r->source) < 0 ||
        report_take_text(f, "destination", "", &r->destination) < 0 ||
        report_take_text(f, "result", "", &r->result) < 0 ||
        report_take_text(f, "phase", "", &r->phase) < 0 ||
        report_take_text(f, "runs_at", "", &r->runs_at) < 0 ||
        report_take_text(f, "error", NULL, &r->error) < 0 ||
        report_take_text(f, "stopped_because", NULL, &r->stopped_because) < 0 ||
        report_take_numbers(f, r, top_numbers, COUNT(top_numbers)) < 0)
        return -1;
    if (read_limits(f, r) < 0 || read_rounds(f, r) < 0 || read_phases(f, r) < 0 ||
        read_vcpus(f, r) < 0)
        return -1;
    return read_events(f, r);
}

static int parse(struct report *r, const char *what, const void *text, size_t length,
                 struct gw_error *err)
{
    struct json_tokener *tokener = json_tokener_new();
    enum json_tokener_error why;

    if (!tokener)
        return gw_error_set(err, GW_EXIT_FAILED, "cannot read %s: out of memory", what);
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    r->json = json_tokener_parse_ex(tokener, text, (int)length);
    why = json_tokener_get_error(tokener);
    if (why == json_tokener_continue)
        gw_error_set(err, GW_EXIT_CONFIG, "%s is no JSON: it ends too early", what);
    else if (why != json_tokener_success)
        gw_error_set(err, GW_EXIT_CONFIG, "%s is no JSON: %s at byte %zu", what,
                     json_tokener_error_desc(why), json_tokener_get_parse_end(tokener));
    json_tokener_free(tokener);
    if (why == json_tokener_success && !json_object_is_type(r->json, json_type_object))
        return gw_error_set(err, GW_EXIT_CONFIG,
                            "%s is no report of a migration: it is not an object", what);
    return why == json_tokener_success ? 0 : -1;
}

int report_read(struct report *ret, const char *what, const void *text, size_t length,
                struct gw_error *err)
{
    struct report_fields top = {.what = what, .err = err};

    memset(ret, 0, sizeof(*ret));
    if (length > INT32_MAX)
        return gw_error_set(err, GW_EXIT_CONFIG, "%s is too large", what);
    if (parse(ret, what, text, length, err) < 0)
        return -1;
    top.object = ret->json;
    return read_top(&top, ret);
}

void report_free(struct report *r)
{
    for (size_t i = 0; i < r->rounds_n; i++) {
        free(r->rounds[i].throttle);
        free(r->rounds[i].heat);
    }
    free(r->rounds);
    free(r->phases);
    free(r->vcpus);
    free(r->events);
    json_object_put(r->json);
    memset(r, 0, sizeof(*r));
}
