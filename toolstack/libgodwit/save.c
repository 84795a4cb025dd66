/* SPDX-License-Identifier: MIT */
/*
 * A guest into a file. The guest stops while it is written. The file gets its name only when it is
 * complete and on the disk; before that it is FILE.partial, and no failure leaves that behind.
 */
#include "handover_guard.h"
#include "migrate_step.h"
#include "precopy.h"
#include "save_source.h"
#include <errno.h>
#include <fcntl.h>
#include <libgodwit/migrate.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STALL_MS 60000

struct saver {
    const struct gw_save_options *options;
    struct gw_error *err;
    struct handover_guard *guard;
    char path[PATH_MAX]; /* what is written to */
    bool renames;        /* false: a device or a pipe, written in place */
    struct migrate_host host;
    struct handover_io io;
    struct save_source source;
};

static const struct migrate_opener *opener_of(const struct gw_save_options *options)
{
    return options->opener ? options->opener : &migrate_this_host;
}

/* Where to write. 0, or -1: the path is too long. */
static int choose_path(struct saver *s)
{
    struct stat status;
    bool exists = stat(s->options->path, &status) == 0;

    s->renames = !exists || S_ISREG(status.st_mode);
    int n =
        snprintf(s->path, sizeof(s->path), "%s%s", s->options->path, s->renames ? ".partial" : "");
    return n < 0 || (size_t)n >= sizeof(s->path) ? -1 : 0;
}

static int open_file(struct saver *s)
{
    if (choose_path(s))
        return gw_error_set(s->err, GW_EXIT_USAGE, "the name of the file is too long");
    int flags = O_WRONLY | O_CLOEXEC | (s->renames ? O_CREAT | O_TRUNC | O_NOFOLLOW : 0);
    s->io.out_fd = open(s->path, flags, 0600); /* a guest's memory is nobody else's business */
    if (s->io.out_fd < 0)
        return gw_error_errno(s->err, errno, "cannot open %s", s->path);
    return 0;
}

static int stop_guest(struct saver *s)
{
    const struct migrate_host_ops *ops = s->host.ops;
    uint32_t domid = s->source.guest.domid;
    bool paused;

    atomic_store_explicit(&s->guard->domid, domid, memory_order_relaxed);
    s->guard->was_paused = s->source.guest.config.paused;
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

static int write_stream(struct saver *s)
{
    if (save_source_send_head(&s->source, s->err) || migrate_step("save-head", s->err) ||
        save_source_send_pages(&s->source, NULL, s->source.memory_pages, s->err) ||
        migrate_step("save-pages", s->err) || save_source_send_state(&s->source, s->err) ||
        stream_write_end(&s->source.writer, s->err))
        return -1;
    return migrate_step("save-end", s->err);
}

/* Only a file that survives a power cut is worth destroying a guest for. */
static int keep_file(struct saver *s)
{
    if (s->renames && fsync(s->io.out_fd) < 0)
        return gw_error_errno(s->err, errno, "cannot write %s", s->options->path);
    if (s->renames && rename(s->path, s->options->path) < 0)
        return gw_error_errno(s->err, errno, "cannot rename %s", s->path);
    return 0;
}

static int leave_guest(struct saver *s)
{
    const struct migrate_host_ops *ops = s->host.ops;
    uint32_t domid = s->source.guest.domid;

    handover_guard_drop(s->guard, HANDOVER_STOPPED);
    switch (s->options->after) {
    case GW_SAVE_RUN_ON:
        return ops->unpause(s->host.ctx, domid, s->err);
    case GW_SAVE_STAY_PAUSED: /* by one pause in all, so that one unpause wakes it */
        return s->guard->was_paused ? ops->unpause(s->host.ctx, domid, s->err) : 0;
    default:
        return ops->destroy(s->host.ctx, domid, s->err);
    }
}

static int save(struct saver *s)
{
    if (opener_of(s->options)->open(opener_of(s->options)->arg, &s->host, s->err) ||
        save_source_open(&s->source, &s->host, &s->io, s->options->name, s->err) || open_file(s))
        return -1;
    if (stop_guest(s) || write_stream(s) || keep_file(s)) {
        struct gw_error second = {0};
        precopy_undo(s->guard, &s->host, &second);
        if (s->renames)
            unlink(s->path);
        gw_error_prefix(s->err, "\"%s\" was not saved and %s", s->options->name,
                        second.code            ? second.message
                        : s->guard->was_paused ? "stays paused"
                                               : "runs on");
        return -1;
    }
    if (leave_guest(s))
        return gw_error_prefix(s->err, "saved to %s, but", s->options->path);
    return 0;
}

static int work(struct handover_guard *guard, void *arg)
{
    const struct gw_save_options *options = arg;
    struct saver s = {
        .options = options,
        .err = &guard->error,
        .guard = guard,
        .io = {.out_fd = -1,
               .in_fd = -1,
               .stall_ms = STALL_MS,
               .cancelled = &handover_cancelled,
               .peer = options->path},
    };

    if (save(&s) == 0 && options->progress != GW_PROGRESS_NONE)
        fprintf(stderr, "%s saved to %s: %llu pages, %llu of them zero, %.1f MiB\n", options->name,
                options->path, (unsigned long long)s.source.pages,
                (unsigned long long)s.source.zero_pages, (double)s.source.writer.bytes / (1 << 20));
    if (s.io.out_fd >= 0)
        close(s.io.out_fd);
    save_source_close(&s.source);
    if (s.host.ops)
        s.host.ops->close(s.host.ctx);
    if (s.err->code == GW_EXIT_MIGRATE_CANCELLED)
        s.err->code = GW_EXIT_FAILED; /* that code is about migrations */
    return (int)s.err->code;
}

static int mend(struct handover_guard *guard, void *arg, int signal_number)
{
    struct saver s = {.options = arg};
    struct gw_error unused = {0};
    bool paused = true;

    if (choose_path(&s) == 0 && s.renames)
        unlink(s.path);
    gw_error_set(&guard->error, GW_EXIT_FAILED, "saving was killed by signal %d", signal_number);
    if (!handover_guard_has(guard, HANDOVER_STOPPED) ||
        opener_of(s.options)->open(opener_of(s.options)->arg, &s.host, &unused))
        return GW_EXIT_FAILED;
    s.host.ops->is_paused(s.host.ctx, guard->domid, &paused, &unused);
    if (guard->was_paused || !paused)
        handover_guard_drop(guard, HANDOVER_STOPPED);
    precopy_undo(guard, &s.host, &guard->error);
    s.host.ops->close(s.host.ctx);
    return GW_EXIT_FAILED;
}

int gw_save(const struct gw_save_options *options, struct gw_error *err)
{
    return handover_guard_run(work, mend, (void *)(uintptr_t)options, err);
}
