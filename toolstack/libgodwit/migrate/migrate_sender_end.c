/* SPDX-License-Identifier: MIT */
/* What follows the way up to GO: put right, hold, or finish; also for a worker that was killed. */
#include "migrate_overdue.h"
#include "migrate_sender.h"
#include "migrate_status.h"
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

int migrate_sender_disconnect(struct migrate_sender *s)
{
    migrate_streams_close(&s->streams);
    return migrate_transport_stop(&s->transport);
}

/* Whatever was under way when the time ran out is not the reason. */
static void explain_overdue(struct migrate_sender *s)
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
void migrate_sender_undo(struct migrate_sender *s)
{
    struct gw_error second = {0}, first;
    bool was_found = s->control.open, overdue = migrate_overdue_end();
    /* The guest first: a transport may take seconds to end. */
    int failed = was_found ? precopy_undo(s->guard, &s->host, &second) : 0;
    int status = migrate_sender_disconnect(s);

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
void migrate_sender_hold(struct migrate_sender *s)
{
    struct gw_error unused = {0};

    migrate_sender_disconnect(s);
    migrate_transport_explain(&s->transport, s->err);
    throttle_undo(s->guard, &s->host, &unused);
    s->host.ops->log_stop(s->host.ctx, s->source.guest.domid, &unused);
    explain_unknown(s->options->name, s->options->host, s->err);
}

void migrate_sender_finish(struct migrate_sender *s)
{
    struct gw_error unused = {0}, why;

    migrate_sender_disconnect(s);
    throttle_read(&s->precopy.throttle, &unused); /* the last counts, for the report */
    if (s->host.ops->destroy(s->host.ctx, s->source.guest.domid, s->err) == 0)
        return;
    if (s->err->code == GW_EXIT_NO_GUEST) { /* somebody was faster */
        *s->err = (struct gw_error){0};
        return;
    }
    throttle_undo(s->guard, &s->host, &unused);
    s->host.ops->log_stop(s->host.ctx, s->source.guest.domid, &unused);
    why = *s->err;
    gw_error_set(s->err, GW_EXIT_FAILED,
                 "\"%s\" runs at %s, but its old copy, which is paused here, could not be "
                 "destroyed (%.200s): try `godwit destroy %s`",
                 s->options->name, s->options->host, why.message, s->options->name);
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
int migrate_sender_mend(struct handover_guard *guard, void *arg, int signal_number)
{
    const struct gw_migrate_options *options = arg;
    uint32_t domid = atomic_load_explicit(&guard->domid, memory_order_relaxed);
    struct gw_error *err = &guard->error, unused = {0};
    bool gone = handover_guard_has(guard, HANDOVER_GONE), paused = true;
    struct migrate_host host;

    gw_error_set(err, GW_EXIT_MIGRATE_FAILED, "the migration was killed%s%.0d",
                 signal_number ? " by signal " : "", signal_number);
    if (migrate_sender_opener(options)->open(migrate_sender_opener(options)->arg, &host, &unused))
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
