/* SPDX-License-Identifier: MIT */
/*
 * The source of a migration. The functions stand in the order in which they run;
 * docs/design/migration.md has the states. Up to send_go() every failure ends in
 * migrate_sender_undo(), which leaves the guest running here.
 */
#include "handover/handover.h"
#include "handover/held_note.h"
#include "migrate_overdue.h"
#include "migrate_sender.h"
#include "migrate_step.h"
#include "migrate_try.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_STALL_MS 60000

int migrate_sender_connect(struct migrate_sender *s)
{
    struct handover_hello *hello = &s->hello;
    struct handover_io *io = &s->transport.io;

    *io = (struct handover_io){
        .stall_ms = s->options->stall_ms ? s->options->stall_ms : DEFAULT_STALL_MS,
        .cancelled = &handover_cancelled,
        .peer = s->options->host,
    };
    if (migrate_transport_start(&s->transport, &s->options->transport, s->err) ||
        handover_expect(io, HANDOVER_HELLO, hello, sizeof(*hello), s->err))
        return -1;
    if (hello->version != HANDOVER_VERSION)
        return gw_error_set(s->err, GW_EXIT_UNSUPPORTED,
                            "%s speaks version %u of the handover, this is version %u",
                            s->options->host, hello->version, HANDOVER_VERSION);
    if (migrate_step("source-hello", s->err))
        return -1;
    return migrate_streams_open(&s->streams, s->options, hello, io, &s->source, s->err);
}

int migrate_sender_introduce(struct migrate_sender *s)
{
    if (save_source_send_head(&s->source, s->err) || migrate_step("source-head", s->err) ||
        handover_expect(&s->transport.io, HANDOVER_ACCEPT, NULL, 0, s->err))
        return -1;
    return migrate_step("source-accepted", s->err);
}

static int send_memory(struct migrate_sender *s)
{
    s->precopy.source = &s->source;
    migrate_sender_listen(s);
    s->source.limit = &s->bandwidth;
    migrate_sender_enter(s, "rounds");
    return precopy_run(&s->precopy, s->err);
}

static int send_rest(struct migrate_sender *s)
{
    uint64_t began;

    if (save_source_send_state(&s->source, s->err) || migrate_step("source-state", s->err))
        return -1;
    began = precopy_now_ms();
    migrate_sender_enter(s, s->options->verify ? "verify" : "handover");
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
static int note_handover(struct migrate_sender *s)
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
    migrate_sender_publish(s);
    return 0;
}

/* The destination says *ready* only for a guest that is complete, and equal if that was asked. */
static int await_ready(struct migrate_sender *s)
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
    migrate_sender_enter(s, "handover");
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
static int send_go(struct migrate_sender *s)
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

static int run(struct migrate_sender *s)
{
    if (migrate_sender_opener(s->options)
            ->open(migrate_sender_opener(s->options)->arg, &s->host, s->err))
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
    migrate_sender_publish(s);
    migrate_report_say(&s->report, "moving %s (%llu MiB) to %s", s->options->name,
                       (unsigned long long)(s->source.memory_pages >> 8), s->options->host);
    if (migrate_sender_connect(s) || migrate_sender_introduce(s) || send_memory(s) ||
        send_rest(s) || await_ready(s) || send_go(s))
        return -1;
    return 0;
}

static int work(struct handover_guard *guard, void *arg)
{
    const struct gw_migrate_options *options = arg;
    struct migrate_sender s = {
        .options = options,
        .guard = guard,
        .err = &guard->error,
        .bandwidth = RATE_LIMIT_INIT,
        .precopy = {.guard = guard, .limits = precopy_limits_fill(options->limits)},
    };
    migrate_report_begin(&s.report, options->name, options->host, options->progress);
    s.report.line.detached = &guard->detached;
    s.precopy.began_ms = s.report.began_ms;
    bool moved = run(&s) == 0;
    bool gone = handover_guard_has(guard, HANDOVER_GONE);

    if (moved)
        migrate_sender_finish(&s);
    else if (gone)
        migrate_sender_hold(&s);
    else
        migrate_sender_undo(&s);
    migrate_sender_report(&s, moved, gone);
    precopy_free(&s.precopy);
    save_source_close(&s.source);
    if (s.host.ops)
        s.host.ops->close(s.host.ctx);
    return (int)s.err->code;
}

int gw_migrate(const struct gw_migrate_options *options, struct gw_error *err)
{
    const struct handover_work sending = {.run = work,
                                          .mend = migrate_sender_mend,
                                          .arg = (void *)(uintptr_t)options,
                                          .may_detach = true};
    int status = options->dry_run ? migrate_try(options, err) : handover_guard_run(&sending, err);
    size_t used = strlen(err->message);

    if (status == GW_EXIT_DETACHED)
        snprintf(err->message + used, sizeof(err->message) - used,
                 "; `godwit migrate-status %s` says how it ends", options->name);
    return status;
}
