/* SPDX-License-Identifier: MIT */
/*
 * A guest into a file: docs/design/migration.md. The functions stand in the order in which they
 * run. Whatever fails, the guest is as before, and no part of a file is left behind.
 */
#include "handover/handover_guard.h"
#include "migrate/migrate_step.h"
#include "precopy/precopy.h"
#include "progress_line.h"
#include "restore/restore_files.h"
#include "save_chain.h"
#include "save_file.h"
#include "save_rounds.h"
#include "save_sums.h"
#include <libgodwit/migrate.h>
#include <stdio.h>
#include <string.h>

#define STALL_MS 60000

struct saver {
    const struct gw_save_options *options;
    struct gw_error *err;
    struct handover_guard *guard;
    struct save_file file;
    struct migrate_host host;
    struct handover_io io;
    struct save_source source;
    struct save_link link;   /* with --since: the end of that save */
    struct stream_base base; /* and what is written about it */
    struct save_rounds rounds;
    bool chain_broken; /* the log had been left on for us, and cannot be used any more */
    uint64_t stopped_at_ms, stopped_ms;
    struct progress_line line;
};

static const struct migrate_opener *opener_of(const struct gw_save_options *options)
{
    return options->opener ? options->opener : &migrate_this_host;
}

/* --- what is said meanwhile
 * ------------------------------------------------------------------------
 */

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
    struct saver *s = arg;
    char who[160], phase[32] = "memory";

    if (!progress_line_is_due(&s->line, done))
        return;
    snprintf(who, sizeof(who), "%.60s -> %.90s", s->options->name, s->options->path);
    if (s->options->live && s->stopped_at_ms)
        snprintf(phase, sizeof(phase), "stopped");
    else if (s->options->live)
        snprintf(phase, sizeof(phase), "round %u", s->rounds.n + 1);
    progress_line_open(&s->line, who, phase, "written", save_source_bytes(&s->source));
    progress_line_close(done, total);
}

/* --- before anything is touched -----------------------------------------------------------------
 */

static int check_options(const struct gw_save_options *o, struct gw_error *err)
{
    if (o->incremental && o->after == GW_SAVE_DESTROY)
        return gw_error_set(err, GW_EXIT_USAGE,
                            "nothing can follow a save that ends the guest: --incremental needs "
                            "--checkpoint or --paused");
    return 0;
}

/* A new file in the place of one that it is based on would make all of the chain worthless. */
static int keep_chain(const struct gw_save_options *o, struct gw_error *err)
{
    const struct gw_restore_options last = {.path = o->since};
    struct restore_files files = {0};
    struct gw_error unused = {0};
    int rc = 0;

    restore_files_open(&files, &last, &handover_cancelled, &unused); /* those that can be found */
    for (unsigned i = 0; i < files.n && rc == 0; i++)
        if (save_file_replaces(o->path, files.paths[i]))
            rc =
                gw_error_set(err, GW_EXIT_USAGE,
                             "%.200s would be based on itself, by way of %.200s: give the new file "
                             "another name",
                             files.paths[i], o->since);
    restore_files_close(&files);
    return rc;
}

static int find_base(struct saver *s)
{
    const char *since = s->options->since;

    if (!since)
        return 0;
    if (save_chain_read(since, &s->link, s->err) ||
        save_chain_follow(&s->link, since, &s->source, &s->base, s->err))
        return -1;
    s->source.base = &s->base;
    return 0;
}

static int open_all(struct saver *s)
{
    const struct gw_save_options *o = s->options;

    if (check_options(o, s->err) || (o->since && keep_chain(o, s->err)) ||
        opener_of(o)->open(opener_of(o)->arg, &s->host, s->err) ||
        save_source_open(&s->source, &s->host, &s->io, o->name, s->err))
        return -1;
    s->source.compress_level = o->compress_level;
    s->source.on_progress = show_progress;
    s->source.progress_arg = s;
    atomic_store_explicit(&s->guard->domid, s->source.guest.domid, memory_order_relaxed);
    s->guard->was_paused = s->source.guest.config.paused;
    if (s->host.ops->log_claim(s->host.ctx, s->source.guest.domid, s->err) || find_base(s) ||
        save_rounds_open(&s->rounds, &s->source, s->err) ||
        save_file_open(&s->file, o->path, s->err))
        return -1;
    s->io.out_fd = s->file.fd;
    return 0;
}

/* The log of the save before: from here on it is switched off if this save fails. */
static int resume_log(struct saver *s)
{
    struct migrate_log_mark mark = {.epoch = s->link.chain.epoch, .domid = s->link.chain.domid};

    if (!s->options->since)
        return 0;
    memcpy(mark.boot_id, s->link.chain.boot_id, sizeof(mark.boot_id));
    if (s->host.ops->log_resume(s->host.ctx, s->source.guest.domid, &mark, s->err))
        return -1;
    handover_guard_add(s->guard, HANDOVER_LOGGING);
    s->chain_broken = true; /* until this save has succeeded */
    return migrate_step("save-resumed", s->err);
}

/* --- the guest as a stream ----------------------------------------------------------------------
 */

static int stop_guest(struct saver *s)
{
    const struct migrate_host_ops *ops = s->host.ops;
    uint32_t domid = s->source.guest.domid;
    bool paused;

    s->stopped_at_ms = precopy_now_ms();
    handover_guard_add(s->guard, HANDOVER_STOPPED);
    if (ops->pause(s->host.ctx, domid, s->err)) {
        handover_guard_drop(s->guard, HANDOVER_STOPPED);
        return -1;
    }
    if (save_source_take_state(&s->source, s->err) ||
        ops->is_paused(s->host.ctx, domid, &paused, s->err))
        return -1;
    ops->settle_console(s->host.ctx, domid);
    return migrate_step("save-stopped", s->err);
}

static int start_log(struct saver *s)
{
    handover_guard_add(s->guard, HANDOVER_LOGGING);
    if (s->host.ops->log_start(s->host.ctx, s->source.guest.domid, s->err) == 0)
        return 0;
    handover_guard_drop(s->guard, HANDOVER_LOGGING);
    return -1;
}

/* What was written since the save before, or since the last round. */
static int send_logged(struct saver *s)
{
    return save_rounds_take(&s->rounds, true, s->err) || save_rounds_send(&s->rounds, s->err) ? -1
                                                                                              : 0;
}

/* All memory. A chain begins with the log on before the first page is read. */
static int send_stopped(struct saver *s)
{
    if (s->options->incremental && start_log(s))
        return -1;
    return save_source_send_pages(&s->source, NULL, s->source.memory_pages, s->err);
}

static int send_live(struct saver *s)
{
    if (s->options->since ? save_rounds_take(&s->rounds, false, s->err) : start_log(s))
        return -1;
    return save_rounds_run(&s->rounds, !s->options->since, s->err);
}

static int send_memory(struct saver *s)
{
    const struct gw_save_options *o = s->options;

    if ((o->live && send_live(s)) || stop_guest(s))
        return -1;
    return o->live || o->since ? send_logged(s) : send_stopped(s);
}

static int send_chain(struct saver *s)
{
    struct migrate_log_mark mark = {0};

    if (!s->options->incremental)
        return 0;
    return s->host.ops->log_mark(s->host.ctx, s->source.guest.domid, &mark, s->err) ||
                   save_chain_send(&s->source, &mark, s->base.depth, s->err)
               ? -1
               : 0;
}

static int write_stream(struct saver *s)
{
    if (save_source_send_head(&s->source, s->err) || migrate_step("save-head", s->err) ||
        send_memory(s) || migrate_step("save-pages", s->err) ||
        save_source_send_state(&s->source, s->err) ||
        (s->options->verify && save_sums_send(&s->source, s->err)) || send_chain(s) ||
        stream_write_end(&s->source.writer, s->err))
        return -1;
    return migrate_step("save-end", s->err);
}

/* --- afterwards ----------------------------------------------------------------------------------
 */

/* A guest that runs on anyway need not wait for the disk. */
static int release_early(struct saver *s)
{
    if (s->options->after != GW_SAVE_RUN_ON)
        return 0;
    if (s->host.ops->unpause(s->host.ctx, s->source.guest.domid, s->err))
        return -1;
    handover_guard_drop(s->guard, HANDOVER_STOPPED);
    s->stopped_ms = precopy_now_ms() - s->stopped_at_ms;
    return 0;
}

static int leave_log(struct saver *s)
{
    bool logging = handover_guard_has(s->guard, HANDOVER_LOGGING);

    handover_guard_drop(s->guard, HANDOVER_LOGGING);
    if (!logging || s->options->incremental)
        return 0;
    return s->host.ops->log_stop(s->host.ctx, s->source.guest.domid, s->err);
}

static int leave_guest(struct saver *s)
{
    const struct migrate_host_ops *ops = s->host.ops;
    uint32_t domid = s->source.guest.domid;

    handover_guard_drop(s->guard, HANDOVER_STOPPED);
    switch (s->options->after) {
    case GW_SAVE_RUN_ON: /* it runs already */
        return leave_log(s);
    case GW_SAVE_STAY_PAUSED: /* by one pause in all, so that one unpause wakes it */
        if (s->guard->was_paused && ops->unpause(s->host.ctx, domid, s->err))
            return -1;
        return leave_log(s);
    default:
        handover_guard_drop(s->guard, HANDOVER_LOGGING);
        return ops->destroy(s->host.ctx, domid, s->err);
    }
}

/* How the guest is now. failed: of putting it right. */
static const char *what_became(struct handover_guard *guard, struct migrate_host *host,
                               const struct gw_error *failed)
{
    uint32_t domid = atomic_load_explicit(&guard->domid, memory_order_relaxed);
    struct gw_error why = {0};
    bool paused = guard->was_paused;

    if (failed->code)
        return failed->message;
    host->ops->is_paused(host->ctx, domid, &paused, &why);
    return why.code == GW_EXIT_NO_GUEST || why.code == GW_EXIT_STATE ? "has ended"
           : paused                                                  ? "stays paused"
                                                                     : "runs on";
}

static void undo(struct saver *s)
{
    struct gw_error second = {0};

    precopy_undo(s->guard, &s->host, &second);
    save_file_drop(&s->file);
    gw_error_prefix(s->err, "\"%s\" was not saved and %s%s", s->options->name,
                    what_became(s->guard, &s->host, &second),
                    s->chain_broken ? "; the next save must be a full one" : "");
}

static int save(struct saver *s)
{
    if (open_all(s))
        return -1;
    if (resume_log(s) || write_stream(s) || release_early(s) || save_file_keep(&s->file, s->err)) {
        undo(s);
        return -1;
    }
    if (leave_guest(s))
        return gw_error_prefix(s->err, "saved to %s, but", s->options->path);
    return 0;
}

static void report(const struct saver *s)
{
    const struct gw_save_options *o = s->options;

    fprintf(stderr, "%s saved to %s: %llu pages, %llu of them zero, %.1f MiB", o->name, o->path,
            (unsigned long long)s->source.pages, (unsigned long long)s->source.zero_pages,
            (double)s->source.writer.bytes / (1 << 20));
    if (o->since)
        fprintf(stderr, ", since %s", o->since);
    if (o->after == GW_SAVE_RUN_ON)
        fprintf(stderr, "; it was stopped for %llu ms", (unsigned long long)s->stopped_ms);
    fputc('\n', stderr);
}

static int work(struct handover_guard *guard, void *arg)
{
    const struct gw_save_options *options = arg;
    struct saver s = {
        .options = options,
        .err = &guard->error,
        .guard = guard,
        .file = SAVE_FILE_CLOSED,
        .io = {.out_fd = -1,
               .in_fd = -1,
               .stall_ms = STALL_MS,
               .cancelled = &handover_cancelled,
               .peer = options->path},
        .line = {.progress = options->progress,
                 .detached = &guard->detached,
                 .began_ms = precopy_now_ms()},
    };

    int rc = save(&s);
    progress_line_wipe(&s.line);
    if (rc == 0 && options->progress != GW_PROGRESS_NONE)
        report(&s);
    save_file_close(&s.file);
    save_source_close(&s.source);
    save_rounds_close(&s.rounds);
    if (s.host.ops)
        s.host.ops->close(s.host.ctx);
    if (s.err->code == GW_EXIT_MIGRATE_CANCELLED)
        s.err->code = GW_EXIT_FAILED; /* that code is about migrations */
    return (int)s.err->code;
}

static int mend(struct handover_guard *guard, void *arg, int signal_number)
{
    const struct gw_save_options *options = arg;
    struct migrate_host host = {0};
    struct gw_error unused = {0}, second = {0};
    bool paused = true, logging = handover_guard_has(guard, HANDOVER_LOGGING);
    const struct progress_line line = {.progress = options->progress};

    progress_line_wipe(&line);
    save_file_mend(options->path);
    gw_error_set(&guard->error, GW_EXIT_FAILED, "saving was killed by signal %d", signal_number);
    if (!handover_guard_has(guard, HANDOVER_STOPPED | HANDOVER_LOGGING) ||
        opener_of(options)->open(opener_of(options)->arg, &host, &unused))
        return GW_EXIT_FAILED;
    host.ops->is_paused(host.ctx, guard->domid, &paused, &unused);
    if (guard->was_paused || !paused)
        handover_guard_drop(guard, HANDOVER_STOPPED);
    precopy_undo(guard, &host, &second);
    gw_error_set(&guard->error, GW_EXIT_FAILED, "saving was killed by signal %d; \"%s\" %.250s%s",
                 signal_number, options->name, what_became(guard, &host, &second),
                 options->since && logging ? "; the next save must be a full one" : "");
    host.ops->close(host.ctx);
    return GW_EXIT_FAILED;
}

int gw_save(const struct gw_save_options *options, struct gw_error *err)
{
    const struct handover_work saving = {
        .run = work, .mend = mend, .arg = (void *)(uintptr_t)options, .may_detach = true};

    return handover_guard_run(&saving, err);
}
