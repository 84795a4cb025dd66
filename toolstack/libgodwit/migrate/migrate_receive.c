/* SPDX-License-Identifier: MIT */
/* The destination of a migration. The functions stand in the order in which they run. */
#include "handover/handover.h"
#include "handover/handover_guard.h"
#include "migrate_join.h"
#include "migrate_step.h"
#include "restore/restore_build.h"
#include <libgodwit/migrate.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_STALL_MS 60000

struct receiver {
    const struct gw_receive_options *options;
    struct handover_guard *guard;
    struct gw_error *err;
    struct handover_io io;
    struct migrate_joined joined;
    struct stream_parser parser, side_parsers[STREAM_STREAMS_MAX - 1];
    struct migrate_host host;
    struct restore_builder builder;
};

static const struct migrate_opener *opener_of(const struct gw_receive_options *options)
{
    return options->opener ? options->opener : &migrate_this_host;
}

static int greet(struct receiver *r)
{
    const struct handover_hello hello = {.version = HANDOVER_VERSION,
                                         .capabilities = HANDOVER_CAN_ZSTD | HANDOVER_CAN_STREAMS |
                                                         HANDOVER_CAN_TELL | HANDOVER_CAN_MARK |
                                                         HANDOVER_CAN_TRY};

    if (migrate_step("dest-hello", r->err))
        return -1;
    return handover_send(&r->io, HANDOVER_HELLO, &hello, sizeof(hello), r->err);
}

/* Called by the builder when the guest exists, empty. */
static int accept_guest(void *arg, struct gw_error *err)
{
    struct receiver *r = arg;

    if (migrate_step("dest-accept", err))
        return -1;
    return handover_send(&r->io, HANDOVER_ACCEPT, NULL, 0, err);
}

/* Called by the lane that is the last to meet a mark; the source sends nothing until it hears. */
static int answer_mark(void *arg, uint32_t number, struct gw_error *err)
{
    struct receiver *r = arg;
    const struct handover_marked marked = {.number = number};

    if (migrate_step("dest-mark", err))
        return -1;
    return handover_send(&r->io, HANDOVER_MARKED, &marked, sizeof(marked), err);
}

static int build(struct receiver *r)
{
    if (opener_of(r->options)->open(opener_of(r->options)->arg, &r->host, r->err))
        return -1;
    r->builder.host = &r->host;
    r->builder.parser = &r->parser;
    r->builder.sides = r->joined.n;
    r->builder.side_parsers = r->side_parsers;
    r->builder.accept = accept_guest;
    r->builder.only_try = r->joined.only_try;
    r->builder.mark = answer_mark;
    r->builder.accept_arg = r;
    return restore_build(&r->builder, r->err);
}

/* Says *ready* and waits for *go*: anything else, and the guest does not run here. */
static int await_go(struct receiver *r)
{
    const struct handover_ready ready = {.pages = r->builder.pages,
                                         .zero_pages = r->builder.zero_pages,
                                         .verified_pages = r->builder.verified_pages};

    if (migrate_step("dest-ready", r->err) ||
        handover_send(&r->io, HANDOVER_READY, &ready, sizeof(ready), r->err) ||
        migrate_step("dest-wait", r->err) || handover_expect(&r->io, HANDOVER_GO, NULL, 0, r->err))
        return -1;
    handover_guard_add(r->guard, HANDOVER_GONE);
    handover_guard_drop(r->guard, HANDOVER_BUILDING);
    r->io.cancelled = NULL;
    return 0;
}

/* The guest is ours. It never runs under its incoming name: see restore_claim.h. */
static int resume(struct receiver *r)
{
    struct restore_builder *b = &r->builder;

    if (migrate_step("dest-go", r->err) ||
        b->host->ops->rename(b->host->ctx, b->domid, b->incoming_name, b->config.name, r->err))
        return -1;
    if (!r->options->paused && !b->config.paused &&
        b->host->ops->unpause(b->host->ctx, b->domid, r->err))
        return -1;
    if (r->options->received)
        snprintf(r->options->received->name, sizeof(r->options->received->name), "%s",
                 b->config.name);
    return 0;
}

static int receive(struct receiver *r)
{
    struct gw_error deaf = {0};

    if (build(r) || await_go(r) || resume(r)) {
        restore_build_undo(&r->builder);
        handover_refuse(&r->io, r->err);
        return -1;
    }
    /* It runs, whether the source hears of it or not. */
    if (migrate_step("dest-resumed", &deaf) == 0)
        handover_send(&r->io, HANDOVER_RESUMED, NULL, 0, &deaf);
    return 0;
}

/* For a dry run. Whoever hears that the guest would be taken finds nothing of it here. */
static int try_out(struct receiver *r)
{
    if (build(r) || migrate_step("dest-accept", r->err) ||
        restore_build_take_back(&r->builder, r->err)) {
        restore_build_undo(&r->builder);
        handover_refuse(&r->io, r->err);
        return -1;
    }
    if (r->options->received) {
        snprintf(r->options->received->name, sizeof(r->options->received->name), "%s",
                 r->builder.config.name);
        r->options->received->only_tried = true;
    }
    return handover_send(&r->io, HANDOVER_ACCEPT, NULL, 0, r->err);
}

/* For godwit resolve at the source. */
static int tell(struct receiver *r)
{
    struct handover_told told = {0};

    if (opener_of(r->options)->open(opener_of(r->options)->arg, &r->host, r->err) ||
        r->host.ops->locate(r->host.ctx, r->joined.ask.uuid, &told.where, r->err) ||
        handover_send(&r->io, HANDOVER_TOLD, &told, sizeof(told), r->err)) {
        handover_refuse(&r->io, r->err);
        return -1;
    }
    return 0;
}

/* They come before the hypervisor is opened: they must not inherit it. */
static int start_parsers(struct receiver *r)
{
    if (stream_parser_start(&r->parser, r->io.in_fd, r->io.peer, r->io.stall_ms,
                            &handover_cancelled, r->err))
        return -1;
    for (unsigned i = 0; i < r->joined.n; i++)
        if (stream_parser_start(&r->side_parsers[i], r->joined.in_fd[i], r->io.peer, r->io.stall_ms,
                                &handover_cancelled, r->err))
            return -1;
    return 0;
}

static int work(struct handover_guard *guard, void *arg)
{
    struct receiver r = *(struct receiver *)arg;
    enum migrate_role role = MIGRATE_MAIN;

    r.guard = guard;
    r.builder.guard = guard;
    r.err = &guard->error;
    r.io.cancelled = &handover_cancelled;
    if (greet(&r) || migrate_join(&r.io, &r.joined, &role, r.err) ||
        (role == MIGRATE_MAIN && start_parsers(&r)))
        handover_refuse(&r.io, r.err);
    else if (role == MIGRATE_MAIN && r.joined.only_try)
        try_out(&r);
    else if (role == MIGRATE_MAIN)
        receive(&r);
    else if (role == MIGRATE_ASKED)
        tell(&r);
    stream_parser_stop(&r.parser);
    for (unsigned i = 0; i < r.joined.n; i++)
        stream_parser_stop(&r.side_parsers[i]);
    migrate_join_close(&r.joined);
    restore_build_free(&r.builder);
    if (r.host.ops)
        r.host.ops->close(r.host.ctx);
    return (int)r.err->code;
}

static int mend(struct handover_guard *guard, void *arg, int signal_number)
{
    struct receiver *r = arg;

    restore_build_mend(guard, opener_of(r->options));
    gw_error_set(&guard->error, GW_EXIT_FAILED, "receiving was killed by signal %d", signal_number);
    /* After *go* nobody knows how far it came, and a refusal would say that the guest does not run.
     */
    if (!handover_guard_has(guard, HANDOVER_GONE))
        handover_refuse(&r->io, &guard->error);
    return GW_EXIT_FAILED;
}

int gw_migrate_receive(const struct gw_receive_options *options, int in_fd, int out_fd,
                       struct gw_error *err)
{
    struct receiver r = {
        .options = options,
        .io = {.in_fd = in_fd,
               .out_fd = out_fd,
               .stall_ms = options->stall_ms ? options->stall_ms : DEFAULT_STALL_MS,
               .peer = "the source"},
    };

    const struct handover_work receiving = {.run = work, .mend = mend, .arg = &r};

    return handover_guard_run(&receiving, err);
}
