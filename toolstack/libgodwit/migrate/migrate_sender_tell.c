/* SPDX-License-Identifier: MIT */
/* What people hear of a migration at its source, while it runs and at the end. */
#include "migrate_json.h"
#include "migrate_overdue.h"
#include "migrate_sender.h"
#include "migrate_status.h"
#include <stdio.h>

#define WRITE_STATUS_MS 1000 /* for who asks after the process was killed */

/* What others are told of the migration, now and should this process be killed. */
static struct json_object *publish(struct migrate_sender *s)
{
    struct json_object *status;

    migrate_report_count(&s->report, &s->source);
    status = migrate_json(&s->report, &s->precopy, NULL, false);
    migrate_control_publish(&s->control, json_object_get(status));
    return status;
}

void migrate_sender_publish(struct migrate_sender *s)
{
    struct json_object *status = publish(s);
    struct gw_error unused = {0};

    /* A disk that is full now must not end the migration. */
    migrate_status_write(s->control.name, status, &unused);
    s->written_ms = precopy_now_ms();
    json_object_put(status);
}

void migrate_sender_enter(struct migrate_sender *s, const char *phase)
{
    s->report.phase = phase;
    if (!s->precopy.stopped)
        migrate_sender_publish(s);
    else /* writing a file is downtime */
        json_object_put(publish(s));
}

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
    struct migrate_sender *s = arg;

    migrate_report_count(&s->report, &s->source);
    if (migrate_control_is_asked(&s->control))
        json_object_put(publish(s));
    migrate_report_pass(&s->report, &s->precopy, done, total);
}

/* Called often, while the guest runs. */
static void on_refresh(void *arg, struct gw_migrate_limits *limits)
{
    struct migrate_sender *s = arg;

    if (migrate_control_take_limits(&s->control, limits))
        migrate_report_event(&s->report, "limits were changed");
    if (migrate_control_is_asked(&s->control))
        json_object_put(publish(s));
}

static void on_stop(void *arg)
{
    struct migrate_sender *s = arg;

    migrate_control_note_stop(&s->control);
    /* The comparison is downtime that was asked for; a guest that is paused has none. */
    if (!s->options->verify && !s->guard->was_paused)
        migrate_overdue_begin(migrate_overdue_limit(&s->precopy.limits));
    migrate_sender_enter(s, "stop");
}

static void note_throttle(struct migrate_report *r, const struct precopy *p)
{
    const struct precopy_round *last = &p->rounds[p->n - 1], *before = p->n > 1 ? last - 1 : NULL;

    for (unsigned i = 0; i < last->vcpus; i++) {
        unsigned was = before ? before->throttle_percent[i] : 0;
        if (last->throttle_percent[i] != was)
            migrate_report_event(r, "throttle: vCPU %u gets %u %% less CPU time", i,
                                 last->throttle_percent[i]);
    }
}

static void on_round(void *arg, const struct precopy *p)
{
    struct migrate_sender *s = arg;

    migrate_report_count(&s->report, &s->source);
    if (!p->stopped) {
        note_throttle(&s->report, p);
    } else {
        migrate_report_event(&s->report, "stopped %llu ms ago: %s",
                             (unsigned long long)(precopy_now_ms() - p->stopped_at_ms), p->why);
    }
    migrate_report_round(&s->report, p);
    if (!p->stopped && precopy_now_ms() - s->written_ms >= WRITE_STATUS_MS)
        migrate_sender_publish(s);
}

void migrate_sender_listen(struct migrate_sender *s)
{
    s->precopy.on_round = on_round;
    s->precopy.on_stop = on_stop;
    s->precopy.refresh = on_refresh;
    s->precopy.arg = s;
    s->source.on_progress = on_progress;
    s->source.progress_arg = s;
}

static const char *result_of(const struct migrate_sender *s, bool moved, bool gone)
{
    if (moved || gone)
        return moved ? "moved" : "unknown";
    switch (s->err->code) {
    case GW_EXIT_MIGRATE_CANCELLED:
        return "cancelled";
    case GW_EXIT_MIGRATE_DIVERGED:
        return "diverged";
    default:
        return "failed";
    }
}

static void tell(struct migrate_sender *s, bool moved)
{
    struct json_object *json = migrate_json(&s->report, &s->precopy, s->err, true);
    struct gw_error error = {0};

    if (s->control.open && migrate_status_write(s->control.name, json, &error))
        migrate_report_say(&s->report, "%s", error.message);
    if (moved)
        migrate_report_summary(&s->report, &s->precopy);
    else
        migrate_report_say(&s->report, "the migration of %s did not succeed", s->options->name);
    if (s->options->json && !handover_guard_is_detached(s->guard))
        puts(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PRETTY));
    json_object_put(json);
}

void migrate_sender_report(struct migrate_sender *s, bool moved, bool gone)
{
    migrate_report_count(&s->report, &s->source);
    s->report.result = result_of(s, moved, gone);
    s->report.runs_at = moved ? "destination" : gone ? "unknown" : "source";
    if (moved)
        s->report.phase = "done";
    migrate_report_event(&s->report, "%s", s->report.result);
    tell(s, moved);
    migrate_control_close(&s->control);
}
