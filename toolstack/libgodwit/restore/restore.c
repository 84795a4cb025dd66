/* SPDX-License-Identifier: MIT */
/* A guest from a file. */
#include "handover/handover_guard.h"
#include "migrate/migrate_step.h"
#include "precopy/precopy.h"
#include "progress_line.h"
#include "restore_build.h"
#include "restore_files.h"
#include <libgodwit/migrate.h>
#include <stdio.h>
#include <unistd.h>

#define STALL_MS 60000

static const struct migrate_opener *opener_of(const struct gw_restore_options *options)
{
    return options->opener ? options->opener : &migrate_this_host;
}

struct shown {
    const struct gw_restore_options *options;
    struct progress_line line;
};

static void show_progress(void *arg, const struct restore_builder *b)
{
    const struct restore_lane *lane = &b->lanes[0];
    struct shown *shown = arg;
    char who[160];

    if (!progress_line_is_due(&shown->line, shown->line.shown_ms)) /* 0: the first time */
        return;
    snprintf(who, sizeof(who), "%.90s -> %.60s", shown->options->path, b->config.name);
    progress_line_open(&shown->line, who, "memory", "read",
                       (lane->pages - lane->zero_pages) * STREAM_PAGE_BYTES);
    progress_line_close(lane->seen_pages, b->memory_pages);
}

static int start_guest(struct restore_builder *b, bool paused, struct gw_error *err)
{
    void *ctx = b->host->ctx;

    if (migrate_step("restore-finish", err) ||
        b->host->ops->rename(ctx, b->domid, b->incoming_name, b->config.name, err))
        return -1;
    if (paused || b->config.paused)
        return 0;
    return b->host->ops->unpause(ctx, b->domid, err);
}

static int build_and_start(struct shown *shown, struct restore_builder *b, struct gw_error *err)
{
    const struct gw_restore_options *options = shown->options;
    int rc = restore_build(b, err);

    progress_line_wipe(&shown->line);
    if (rc || start_guest(b, options->paused, err)) {
        restore_build_undo(b);
        return -1;
    }
    handover_guard_drop(b->guard, HANDOVER_BUILDING);
    if (options->progress != GW_PROGRESS_NONE)
        fprintf(stderr, "%s restored from %s: %llu pages, %llu of them zero\n", b->config.name,
                options->path, (unsigned long long)b->pages, (unsigned long long)b->zero_pages);
    return 0;
}

static int work(struct handover_guard *guard, void *arg)
{
    const struct gw_restore_options *options = arg;
    struct gw_error *err = &guard->error;
    struct stream_parser parser = {0};
    struct migrate_host host = {0};
    struct restore_builder builder = {
        .host = &host, .parser = &parser, .guard = guard, .compare_sums = options->verify};
    struct restore_files files = {0};
    struct shown shown = {.options = options,
                          .line = {.progress = options->progress,
                                   .detached = &guard->detached,
                                   .began_ms = precopy_now_ms()}};

    builder.on_pages = show_progress;
    builder.pages_arg = &shown;
    /* The parser comes first: it must not inherit what the builder opens. */
    if (restore_files_open(&files, options, &handover_cancelled, err) == 0 &&
        stream_parser_start_chain(&parser, files.fds, (const char *const *)files.paths, files.n,
                                  STALL_MS, &handover_cancelled, err) == 0 &&
        opener_of(options)->open(opener_of(options)->arg, &host, err) == 0)
        build_and_start(&shown, &builder, err);
    stream_parser_stop(&parser);
    restore_build_free(&builder);
    if (host.ops)
        host.ops->close(host.ctx);
    restore_files_close(&files);
    if (err->code == GW_EXIT_MIGRATE_CANCELLED)
        err->code = GW_EXIT_FAILED; /* that code is about a guest that runs on elsewhere */
    return (int)err->code;
}

static int mend(struct handover_guard *guard, void *arg, int signal_number)
{
    const struct gw_restore_options *options = arg;
    const struct progress_line line = {.progress = options->progress};

    progress_line_wipe(&line);
    restore_build_mend(guard, opener_of(options));
    gw_error_set(&guard->error, GW_EXIT_FAILED, "restoring was killed by signal %d", signal_number);
    return GW_EXIT_FAILED;
}

int gw_restore(const struct gw_restore_options *options, struct gw_error *err)
{
    const struct handover_work restoring = {
        .run = work, .mend = mend, .arg = (void *)(uintptr_t)options, .may_detach = true};

    return handover_guard_run(&restoring, err);
}
