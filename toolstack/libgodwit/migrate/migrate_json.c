/* SPDX-License-Identifier: MIT */
#include "migrate_json.h"

#include "migrate_limits.h"

static void add_number(struct json_object *object, const char *key, uint64_t value)
{
    json_object_object_add(object, key, json_object_new_int64((int64_t)value));
}

static void add_text(struct json_object *object, const char *key, const char *value)
{
    json_object_object_add(object, key, value ? json_object_new_string(value) : NULL);
}

static struct json_object *limits_as_json(const struct migrate_report *r,
                                          const struct gw_migrate_limits *limits)
{
    struct json_object *object = json_object_new_object();

    migrate_limits_put(object, limits, ~0u);
    add_number(object, "streams", r->streams);
    add_text(object, "compress", r->compress_level ? "zstd" : "none");
    add_number(object, "compress_level", (uint64_t)r->compress_level);
    return object;
}

static struct json_object *throttle_as_json(const struct precopy_round *round)
{
    struct json_object *array = json_object_new_array();

    for (unsigned i = 0; i < round->vcpus; i++) {
        if (!round->throttle_percent[i])
            continue;
        struct json_object *one = json_object_new_object();
        add_number(one, "vcpu", i);
        add_number(one, "percent", round->throttle_percent[i]);
        json_object_array_add(array, one);
    }
    return array;
}

static struct json_object *heat_as_json(const struct precopy *p, const struct precopy_round *round)
{
    struct json_object *array = json_object_new_array();
    uint64_t buckets =
        p->bucket_pages ? (p->source->memory_pages + p->bucket_pages - 1) / p->bucket_pages : 0;

    for (uint64_t i = 0; round->heat && i < buckets; i++)
        json_object_array_add(array, json_object_new_int64(round->heat[i]));
    return array;
}

static struct json_object *round_as_json(const struct precopy *p, unsigned n, bool with_heat)
{
    const struct precopy_round *round = &p->rounds[n];
    struct json_object *one = json_object_new_object();
    uint64_t ms = round->ms ? round->ms : 1;

    add_number(one, "n", n + 1);
    add_number(one, "start_ms", round->start_ms);
    add_number(one, "ms", round->ms);
    add_number(one, "pages", round->pages);
    add_number(one, "zero_pages", round->zero_pages);
    add_number(one, "skipped_pages", round->skipped);
    add_number(one, "dirtied_pages", round->dirtied);
    add_number(one, "bytes", round->bytes);
    add_number(one, "dirty_pages_per_s", round->final ? 0 : round->dirtied * 1000 / ms);
    add_number(one, "bytes_per_s", round->bytes * 1000 / ms);
    add_number(one, "estimate_ms", round->estimate_ms);
    json_object_object_add(one, "throttle", throttle_as_json(round));
    if (with_heat)
        json_object_object_add(one, "heat", heat_as_json(p, round));
    if (round->final)
        json_object_object_add(one, "final", json_object_new_boolean(true));
    return one;
}

static struct json_object *phases_as_json(const struct migrate_report *r, const struct precopy *p)
{
    struct json_object *object = json_object_new_object();

    for (unsigned i = 0; p->source && i < MIGRATE_PHASES; i++)
        add_number(object, migrate_phase_name((enum migrate_phase)i),
                   migrate_times_ms(&p->source->times, (enum migrate_phase)i));
    /* The other side's part of the comparison is downtime as well. */
    add_number(object, migrate_phase_name(MIGRATE_CHECK), r->verify_ms);
    add_number(object, "handover", r->handover_ms);
    return object;
}

static struct json_object *vcpus_as_json(const struct precopy *p)
{
    struct json_object *array = json_object_new_array();

    for (unsigned i = 0; i < p->throttle.n; i++) {
        const struct migrate_vcpu *vcpu = &p->throttle.counts[i];
        struct json_object *one = json_object_new_object();
        add_number(one, "vcpu", i);
        add_number(one, "faults", vcpu->faults);
        add_number(one, "dirty_pages", vcpu->pages_per_count ? vcpu->dirty_pages : 0);
        json_object_object_add(one, "counted", json_object_new_boolean(vcpu->pages_per_count != 0));
        add_number(one, "stall_fault_ns", vcpu->stall_fault_ns);
        add_number(one, "stall_throttle_ns", vcpu->stall_throttle_ns);
        add_number(one, "stall_harvest_ns", vcpu->stall_harvest_ns);
        add_number(one, "stall_pause_ns", vcpu->stall_pause_ns);
        json_object_array_add(array, one);
    }
    return array;
}

static struct json_object *events_as_json(const struct migrate_report *r)
{
    struct json_object *array = json_object_new_array();

    for (unsigned i = 0; i < r->events_n; i++) {
        struct json_object *one = json_object_new_object();
        add_number(one, "ms", r->events[i].ms);
        add_text(one, "what", r->events[i].what);
        json_object_array_add(array, one);
    }
    return array;
}

/* Sums over all rounds. */
static void add_totals(struct json_object *top, const struct migrate_report *r,
                       const struct precopy *p)
{
    uint64_t skipped = 0;

    for (unsigned i = 0; i < p->n; i++)
        skipped += p->rounds[i].skipped;
    add_number(top, "memory_pages", r->memory_pages);
    add_number(top, "pages", r->pages);
    add_number(top, "zero_pages", r->zero_pages);
    add_number(top, "skipped_pages", skipped);
    add_number(top, "resent_pages", p->resent);
    add_number(top, "verified_pages", r->verified_pages);
    add_number(top, "raw_bytes", r->raw_bytes);
    add_number(top, "bytes", r->bytes);
}

static void add_outcome(struct json_object *top, const struct migrate_report *r,
                        const struct precopy *p, const struct gw_error *error)
{
    bool failed = error && error->code;

    add_text(top, "schema", "godwit.migrate.v1");
    add_text(top, "guest", r->guest);
    add_text(top, "source", r->source);
    add_text(top, "destination", r->destination);
    add_text(top, "result", r->result);
    add_text(top, "phase", r->phase);
    add_text(top, "runs_at", r->runs_at);
    add_number(top, "exit", failed ? (uint64_t)error->code : 0);
    add_text(top, "error", failed ? error->message : NULL);
    add_text(top, "stopped_because", p->stopped ? p->why : NULL);
    add_number(top, "began_unix_ms", r->began_unix_ms);
    add_number(top, "total_ms", r->total_ms);
    add_number(top, "downtime_ms", r->downtime_ms);
    add_number(top, "downtime_estimate_ms", p->estimate_ms);
}

struct json_object *migrate_json(const struct migrate_report *r, const struct precopy *p,
                                 const struct gw_error *error, bool with_heat)
{
    struct json_object *top = json_object_new_object(), *rounds = json_object_new_array();

    add_outcome(top, r, p, error);
    json_object_object_add(top, "limits", limits_as_json(r, &p->limits));
    add_totals(top, r, p);
    for (unsigned i = 0; i < p->n; i++)
        json_object_array_add(rounds, round_as_json(p, i, with_heat));
    json_object_object_add(top, "rounds", rounds);
    add_number(top, "heat_pages_per_bucket", p->bucket_pages);
    json_object_object_add(top, "phases_ms", phases_as_json(r, p));
    json_object_object_add(top, "vcpus", vcpus_as_json(p));
    json_object_object_add(top, "events", events_as_json(r));
    return top;
}
