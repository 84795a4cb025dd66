/* SPDX-License-Identifier: MIT */
/*
 * The source of a migration. The functions stand in the order in which they run;
 * docs/design/migration.md has the states. Up to send_go() every failure ends in undo(), which
 * leaves the guest running here.
 */
#include "handover.h"
#include "handover_guard.h"
#include "held_note.h"
#include "migrate_control.h"
#include "migrate_json.h"
#include "migrate_overdue.h"
#include "migrate_report.h"
#include "migrate_status.h"
#include "migrate_step.h"
#include "migrate_streams.h"
#include "migrate_transport.h"
#include "precopy.h"
#include <libgodwit/migrate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_STALL_MS 60000
#define WRITE_STATUS_MS  1000 /* for who asks after the process was killed */

struct sender {
    const struct gw_migrate_options *options;
    struct handover_guard *guard;
    struct gw_error *err;
    struct migrate_host host;
    struct migrate_transport transport;
    struct migrate_streams streams;
    struct save_source source;
    struct rate_limit bandwidth;
    struct precopy precopy;
    struct migrate_report report;
    struct migrate_control control;
    uint64_t written_ms; /* when the status was last written to its file */
};

static const struct migrate_opener *opener_of(const struct gw_migrate_options *options)
{
    return options->opener ? options->opener : &migrate_this_host;
}

/* What others are told of the migration, now and should this process be killed. */
static struct json_object *publish(struct sender *s)
{
    struct json_object *status;

    migrate_report_count(&s->report, &s->source);
    status = migrate_json(&s->report, &s->precopy, NULL, false);
    migrate_control_publish(&s->control, json_object_get(status));
    return status;
}

static void publish_and_write(struct sender *s)
{
    struct json_object *status = publish(s);
    struct gw_error unused = {0};

    /* A disk that is full now must not end the migration. */
    migrate_status_write(s->control.name, status, &unused);
    s->written_ms = precopy_now_ms();
    json_object_put(status);
}

static void enter_phase(struct sender *s, const char *phase)
{
    s->report.phase = phase;
    if (!s->precopy.stopped)
        publish_and_write(s);
    else /* writing a file is downtime */
        json_object_put(publish(s));
}

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
    struct sender *s = arg;

    migrate_report_count(&s->report, &s->source);
    if (migrate_control_is_asked(&s->control))
        json_object_put(publish(s));
    migrate_report_pass(&s->report, &s->precopy, done, total);
}

/* Called often, while the guest runs. */
static void on_refresh(void *arg, struct gw_migrate_limits *limits)
{
    struct sender *s = arg;

    if (migrate_control_take_limits(&s->control, limits))
        migrate_report_event(&s->report, "limits were changed");
    if (migrate_control_is_asked(&s->control))
        json_object_put(publish(s));
}

static void on_stop(void *arg)
{
    struct sender *s = arg;

    migrate_control_note_stop(&s->control);
    /* The comparison is downtime that was asked for; a guest that is paused has none. */
    if (!s->options->verify && !s->guard->was_paused)
        migrate_overdue_begin(migrate_overdue_limit(&s->precopy.limits));
    enter_phase(s, "stop");
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
    struct sender *s = arg;

    migrate_report_count(&s->report, &s->source);
    if (!p->stopped) {
        note_throttle(&s->report, p);
    } else {
        migrate_report_event(&s->report, "stopped %llu ms ago: %s",
                             (unsigned long long)(precopy_now_ms() - p->stopped_at_ms), p->why);
    }
    migrate_report_round(&s->report, p);
    if (!p->stopped && precopy_now_ms() - s->written_ms >= WRITE_STATUS_MS)
        publish_and_write(s);
}

static int connect_receiver(struct sender *s)
{
    struct handover_hello hello;
    struct handover_io *io = &s->transport.io;

    *io = (struct handover_io){
        .stall_ms = s->options->stall_ms ? s->options->stall_ms : DEFAULT_STALL_MS,
        .cancelled = &handover_cancelled,
        .peer = s->options->host,
    };
    if (migrate_transport_start(&s->transport, &s->options->transport, s->err) ||
        handover_expect(io, HANDOVER_HELLO, &hello, sizeof(hello), s->err))
        return -1;
    if (hello.version != HANDOVER_VERSION)
        return gw_error_set(s->err, GW_EXIT_UNSUPPORTED,
                            "%s speaks version %u of the handover, this is version %u",
                            s->options->host, hello.version, HANDOVER_VERSION);
    if (migrate_step("source-hello", s->err))
        return -1;
    return migrate_streams_open(&s->streams, s->options, &hello, io, &s->source, s->err);
}

static int introduce_guest(struct sender *s)
{
    if (save_source_send_head(&s->source, s->err) || migrate_step("source-head", s->err) ||
        handover_expect(&s->transport.io, HANDOVER_ACCEPT, NULL, 0, s->err))
        return -1;
    return migrate_step("source-accepted", s->err);
}

static int send_memory(struct sender *s)
{
    s->precopy.source = &s->source;
    s->precopy.on_round = on_round;
    s->precopy.on_stop = on_stop;
    s->precopy.refresh = on_refresh;
    s->precopy.arg = s;
    s->source.on_progress = on_progress;
    s->source.progress_arg = s;
    s->source.limit = &s->bandwidth;
    enter_phase(s, "rounds");
    return precopy_run(&s->precopy, s->err);
}

static int send_rest(struct sender *s)
{
    uint64_t began;

    if (save_source_send_state(&s->source, s->err) || migrate_step("source-state", s->err))
        return -1;
    began = precopy_now_ms();
    enter_phase(s, s->options->verify ? "verify" : "handover");
    if (s->options->verify &&
        (migrate_step("source-verify", s->err) || save_source_send_verify(&s->source, s->err)))
        return -1;
    s->report.verify_ms = s->options->verify ? precopy_now_ms() - began : 0;
    return save_source_send_end(&s->source, s->err);
}

/*
 * Notes that the guest may be elsewhere, while the other side still loads: that is not downtime of
 * its own. Should all of us be killed, nobody lets the guest run here without having asked there.
 */
static int note_handover(struct sender *s)
{
    char *note = held_note_make(s->options, s->guard->was_paused);
    int rc;

    if (!note)
        return gw_error_set(s->err, GW_EXIT_FAILED, "out of memory");
    handover_guard_add(s->guard, HANDOVER_NOTED);
    rc = s->host.ops->hold(s->host.ctx, s->source.guest.domid, note, s->err);
    free(note);
    if (rc)
        return -1;
    s->report.phase = "handover";
    s->report.runs_at = "unknown";
    publish_and_write(s);
    return 0;
}

/* The destination says *ready* only for a guest that is complete, and equal if that was asked. */
static int await_ready(struct sender *s)
{
    uint64_t began = precopy_now_ms();
    struct handover_ready ready;
    bool paused;

    if (note_handover(s) || migrate_step("source-end", s->err) ||
        handover_expect(&s->transport.io, HANDOVER_READY, &ready, sizeof(ready), s->err))
        return -1;
    if (s->options->verify)
        s->report.verify_ms += precopy_now_ms() - began;
    if (s->options->verify && ready.verified_pages != s->source.memory_pages)
        return gw_error_set(s->err, GW_EXIT_FAILED, "%s compared %llu of %llu pages",
                            s->options->host, (unsigned long long)ready.verified_pages,
                            (unsigned long long)s->source.memory_pages);
    s->report.verified_pages = ready.verified_pages;
    enter_phase(s, "handover");
    if (migrate_step("source-ready", s->err))
        return -1;
    if (handover_cancelled)
        return gw_error_set(s->err, GW_EXIT_MIGRATE_CANCELLED, "cancelled");
    /* A destination that fell silent for ever after *ready* is found while we can still turn back.
     */
    if (handover_io_has_input(&s->transport.io))
        return handover_expect(&s->transport.io, HANDOVER_REFUSED, NULL, 0, s->err);
    /* What somebody has destroyed here must not come to life there. */
    return s->host.ops->is_paused(s->host.ctx, s->source.guest.domid, &paused, s->err);
}

/*
 * The point of no return. The duty is marked before the message leaves: if it is not certain that
 * *go* did not arrive, the guest counts as gone. From here on ^C is ignored and nothing resumes the
 * guest here.
 */
static int send_go(struct sender *s)
{
    uint64_t began = precopy_now_ms();
    int rc;

    if (migrate_overdue_end() || !migrate_control_commit(&s->control))
        return gw_error_set(s->err, GW_EXIT_MIGRATE_CANCELLED, "cancelled");
    handover_guard_add(s->guard, HANDOVER_GONE);
    s->transport.io.cancelled = NULL;
    rc = migrate_step("source-go", s->err) ||
         handover_send(&s->transport.io, HANDOVER_GO, NULL, 0, s->err) ||
         migrate_step("source-gone", s->err) ||
         handover_expect(&s->transport.io, HANDOVER_RESUMED, NULL, 0, s->err);
    s->report.handover_ms = precopy_now_ms() - began;
    s->report.downtime_ms = precopy_now_ms() - s->precopy.stopped_at_ms;
    return rc ? -1 : 0;
}

static int run(struct sender *s)
{
    if (opener_of(s->options)->open(opener_of(s->options)->arg, &s->host, s->err))
        return -1;
    if (save_source_open(&s->source, &s->host, &s->transport.io, s->options->name, s->err))
        return -1;
    /* As it is here: how it is to arrive there is another matter. */
    atomic_store_explicit(&s->guard->domid, s->source.guest.domid, memory_order_relaxed);
    s->guard->was_paused = s->source.guest.config.paused;
    snprintf(s->guard->name, sizeof(s->guard->name), "%s", s->source.guest.config.name);
    if (migrate_control_open(&s->control, s->guard->name, &s->options->limits, &s->bandwidth,
                             s->err))
        return -1;
    s->source.guest.config.paused |= s->options->paused;
    s->report.memory_pages = s->source.memory_pages;
    rate_limit_set(&s->bandwidth, s->options->limits.bandwidth_bytes_per_s);
    publish_and_write(s);
    migrate_report_say(&s->report, "moving %s (%llu MiB) to %s", s->options->name,
                       (unsigned long long)(s->source.memory_pages >> 8), s->options->host);
    if (connect_receiver(s) || introduce_guest(s) || send_memory(s) || send_rest(s) ||
        await_ready(s) || send_go(s))
        return -1;
    return 0;
}

/* What became of the guest, once all was put back: it may have ended for reasons of its own. */
static void add_outcome(const char *name, struct migrate_host *host, struct handover_guard *guard,
                        struct gw_error *err)
{
    uint32_t domid = atomic_load_explicit(&guard->domid, memory_order_relaxed);
    size_t used = strlen(err->message);
    struct gw_error now = {0};
    bool paused;

    if (domid && host->ops->is_paused(host->ctx, domid, &paused, &now) &&
        (now.code == GW_EXIT_STATE || now.code == GW_EXIT_NO_GUEST)) {
        err->code = now.code;
        snprintf(err->message + used, sizeof(err->message) - used, "; \"%s\" has ended here", name);
        return;
    }
    snprintf(err->message + used, sizeof(err->message) - used, "; \"%s\" %s here", name,
             guard->was_paused ? "stays paused" : "runs on");
}

static int stop_transport(struct sender *s)
{
    migrate_streams_close(&s->streams);
    return migrate_transport_stop(&s->transport);
}

/* Whatever was under way when the time ran out is not the reason. */
static void explain_overdue(struct sender *s)
{
    const struct gw_migrate_limits *limits = &s->precopy.limits;

    gw_error_set(s->err, GW_EXIT_MIGRATE_DIVERGED,
                 "the guest stood still for %u ms and was not handed over, where %llu ms were "
                 "expected and %u are allowed: the connection or a host has become slower; try "
                 "again, or allow more with --max-downtime",
                 migrate_overdue_limit(limits), (unsigned long long)s->precopy.estimate_ms,
                 limits->max_downtime_ms);
}

/* Before GO: the guest runs on here. Says so, with the reason first. */
static void undo(struct sender *s)
{
    struct gw_error second = {0}, first;
    bool was_found = s->control.open, overdue = migrate_overdue_end();
    /* The guest first: a transport may take seconds to end. */
    int failed = was_found ? precopy_undo(s->guard, &s->host, &second) : 0;
    int status = stop_transport(s);

    if (!was_found)
        return; /* nothing was touched, and the code of the error is the right one */
    migrate_transport_explain(&s->transport, s->err);
    if (overdue && s->err->code != GW_EXIT_STATE)
        explain_overdue(s);
    if (failed) {
        first = *s->err;
        gw_error_set(s->err, GW_EXIT_FAILED, "%.230s; and then putting it back failed: %.230s",
                     first.message, second.message);
        return;
    }
    if (status > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 255)
        gw_error_prefix(s->err, "no connection to %s", s->options->host);
    if (s->err->code == GW_EXIT_STATE)
        return; /* it ended by itself meanwhile, or may not be moved now */
    if (s->err->code == GW_EXIT_MIGRATE_DIVERGED)
        gw_error_prefix(s->err, "it did not converge");
    else if (s->err->code != GW_EXIT_MIGRATE_CANCELLED)
        s->err->code = GW_EXIT_MIGRATE_FAILED; /* unless it has ended, too */
    add_outcome(s->options->name, &s->host, s->guard, s->err);
}

static void explain_unknown(const char *name, const char *host, struct gw_error *err)
{
    char why[200];

    snprintf(why, sizeof(why), "%.190s", err->message);
    gw_error_set(err, GW_EXIT_MIGRATE_UNKNOWN,
                 "%s, after the guest was handed over; \"%s\" is held paused here, as %s may run "
                 "it: `godwit resolve %s` finds out, and ends one of the two",
                 why, name, host, name);
}

/* After GO without RESUMED: hold. Only the log is switched off, for whoever resumes it. */
static void hold(struct sender *s)
{
    struct gw_error unused = {0};

    stop_transport(s);
    migrate_transport_explain(&s->transport, s->err);
    throttle_undo(s->guard, &s->host, &unused);
    s->host.ops->log_stop(s->host.ctx, s->source.guest.domid, &unused);
    explain_unknown(s->options->name, s->options->host, s->err);
}

static int finish(struct sender *s)
{
    struct gw_error unused = {0}, why;

    stop_transport(s);
    throttle_read(&s->precopy.throttle, &unused); /* the last counts, for the report */
    if (s->host.ops->destroy(s->host.ctx, s->source.guest.domid, s->err) == 0)
        return 0;
    if (s->err->code == GW_EXIT_NO_GUEST) { /* somebody was faster */
        *s->err = (struct gw_error){0};
        return 0;
    }
    throttle_undo(s->guard, &s->host, &unused);
    s->host.ops->log_stop(s->host.ctx, s->source.guest.domid, &unused);
    why = *s->err;
    gw_error_set(s->err, GW_EXIT_FAILED,
                 "\"%s\" runs at %s, but its old copy, which is paused here, could not be "
                 "destroyed (%.200s): try `godwit destroy %s`",
                 s->options->name, s->options->host, why.message, s->options->name);
    return -1;
}

static const char *result_of(const struct sender *s, bool moved, bool gone)
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

static void tell(struct sender *s, bool moved)
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

static void report(struct sender *s, bool moved, bool gone)
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

static int work(struct handover_guard *guard, void *arg)
{
    const struct gw_migrate_options *options = arg;
    struct sender s = {
        .options = options,
        .guard = guard,
        .err = &guard->error,
        .bandwidth = RATE_LIMIT_INIT,
        .precopy = {.guard = guard, .limits = precopy_limits_fill(options->limits)},
    };
    migrate_report_begin(&s.report, options->name, options->host, options->progress);
    s.report.detached = &guard->detached;
    s.precopy.began_ms = s.report.began_ms;
    bool moved = run(&s) == 0;
    bool gone = handover_guard_has(guard, HANDOVER_GONE);

    if (moved)
        finish(&s);
    else if (gone)
        hold(&s);
    else
        undo(&s);
    report(&s, moved, gone);
    precopy_free(&s.precopy);
    save_source_close(&s.source);
    if (s.host.ops)
        s.host.ops->close(s.host.ctx);
    return (int)s.err->code;
}

static int killed_for_good(struct gw_error *err, const char *why)
{
    gw_error_prefix(err, "%.200s", why);
    err->code = GW_EXIT_FAILED;
    return (int)err->code;
}

/* The status says "active" as the worker left it, unless another migration has begun by now. */
static void bury(const struct handover_guard *guard, const struct gw_error *error)
{
    struct gw_error unused = {0};
    struct json_object *status;
    int lock;

    if (!guard->name[0] || (lock = migrate_status_lock(guard->name, &unused)) < 0)
        return;
    if (migrate_status_read(guard->name, &status, &unused) == 0) {
        migrate_status_bury(status, error);
        migrate_status_write(guard->name, status, &unused);
        json_object_put(status);
    }
    close(lock);
}

/* The working process was killed. A guest that the operator had paused stays paused in doubt. */
static int mend(struct handover_guard *guard, void *arg, int signal_number)
{
    const struct gw_migrate_options *options = arg;
    uint32_t domid = atomic_load_explicit(&guard->domid, memory_order_relaxed);
    struct gw_error *err = &guard->error, unused = {0};
    bool gone = handover_guard_has(guard, HANDOVER_GONE), paused = true;
    struct migrate_host host;

    gw_error_set(err, GW_EXIT_MIGRATE_FAILED, "the migration was killed%s%.0d",
                 signal_number ? " by signal " : "", signal_number);
    if (opener_of(options)->open(opener_of(options)->arg, &host, &unused))
        return killed_for_good(err, unused.message);
    if (gone) {
        throttle_undo(guard, &host, &unused);
        host.ops->log_stop(host.ctx, domid, &unused);
        explain_unknown(options->name, options->host, err);
    } else {
        host.ops->is_paused(host.ctx, domid, &paused, &unused);
        if (guard->was_paused || !paused)
            handover_guard_drop(guard, HANDOVER_STOPPED);
        if (precopy_undo(guard, &host, &unused))
            gw_error_set(err, GW_EXIT_FAILED, "the migration was killed, and %s", unused.message);
        else
            add_outcome(options->name, &host, guard, err);
    }
    host.ops->close(host.ctx);
    bury(guard, err);
    return (int)err->code;
}

int gw_migrate(const struct gw_migrate_options *options, struct gw_error *err)
{
    const struct handover_work sending = {
        .run = work, .mend = mend, .arg = (void *)(uintptr_t)options, .may_detach = true};
    int status = handover_guard_run(&sending, err);
    size_t used = strlen(err->message);

    if (status == GW_EXIT_DETACHED)
        snprintf(err->message + used, sizeof(err->message) - used,
                 "; `godwit migrate-status %s` says how it ends", options->name);
    return status;
}
