/* SPDX-License-Identifier: MIT */
/* godwit resolve: ends the doubt about a guest that was handed over and got no answer. */
#include "resolve.h"

#include "handover_guard.h"
#include "held_note.h"
#include "host/migrate_host.h"
#include "migrate/migrate_status.h"
#include "migrate/migrate_transport.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MS 15000u

struct resolver {
    const struct gw_resolve_options *options;
    struct gw_error *err;
    struct migrate_host host;
    struct migrate_held found;
    struct held_note note;
    uint32_t where;
    struct gw_error no_answer; /* why, if there was none */
};

static const struct migrate_opener *opener_of(const struct gw_resolve_options *options)
{
    return options->opener ? options->opener : &migrate_this_host;
}

static int converse(struct resolver *r, struct handover_io *io, struct gw_error *err)
{
    struct handover_ask ask;
    struct handover_hello hello;
    struct handover_told told;

    memcpy(ask.uuid, r->found.uuid, sizeof(ask.uuid));
    if (handover_expect(io, HANDOVER_HELLO, &hello, sizeof(hello), err))
        return -1;
    if (!(hello.capabilities & HANDOVER_CAN_TELL))
        return gw_error_set(err, GW_EXIT_UNSUPPORTED, "the godwit at %s cannot be asked", io->peer);
    if (handover_send(io, HANDOVER_ASK, &ask, sizeof(ask), err) ||
        handover_expect(io, HANDOVER_TOLD, &told, sizeof(told), err))
        return -1;
    r->where = told.where;
    return 0;
}

/* In the way in which the guest was sent. No answer is an answer. */
static void ask_destination(struct resolver *r)
{
    struct migrate_transport transport = {
        .io = {.stall_ms = ANSWER_MS, .peer = r->note.held.destination}};
    struct gw_error *why = &r->no_answer;

    r->where = RESOLVE_NO_ANSWER;
    if (migrate_transport_start(&transport, &r->note.transport, why) ||
        converse(r, &transport.io, why))
        r->where = RESOLVE_NO_ANSWER;
    migrate_transport_stop(&transport);
    if (r->where == RESOLVE_NO_ANSWER)
        migrate_transport_explain(&transport, why);
}

static const char *words_for(const struct resolver *r)
{
    switch (r->where) {
    case HANDOVER_NOT_HERE:
        return "it has no such guest now";
    case HANDOVER_ARRIVING:
        return "it is at work on it";
    case HANDOVER_NEVER_RAN:
        return "it has it, but never let it run";
    case HANDOVER_HERE:
        return "it has it";
    default:
        return r->no_answer.message;
    }
}

static int run_here(struct resolver *r)
{
    const struct migrate_host_ops *ops = r->host.ops;

    /* The note first: a guest that runs must not be taken for one that is held. */
    if (ops->hold(r->host.ctx, r->found.domid, NULL, r->err))
        return -1;
    /* The migration's own pause. One of the operator's is counted apart, and stays. */
    return ops->unpause(r->host.ctx, r->found.domid, r->err);
}

/* The report of the migration says from now on where the guest is. */
static void write_status(const char *name, bool here)
{
    struct gw_error unused = {0};
    struct json_object *status;

    if (migrate_status_read(name, &status, &unused))
        return;
    json_object_object_add(status, "runs_at",
                           json_object_new_string(here ? "source" : "destination"));
    migrate_status_write(name, status, &unused);
    json_object_put(status);
}

static int decide(struct resolver *r, struct gw_resolve_result *ret_result)
{
    const char *name = r->options->name, *why;

    snprintf(ret_result->destination, sizeof(ret_result->destination), "%s",
             r->note.held.destination);
    ret_result->done = resolve_decide(r->options->wanted, r->options->checked, r->where, &why);
    ret_result->was_paused = r->note.held.was_paused;
    if (ret_result->done == GW_RESOLVE_ASK)
        return gw_error_set(r->err, GW_EXIT_MIGRATE_UNKNOWN,
                            "%s stays held: asked %s, and %.200s; %s", name,
                            r->note.held.destination, words_for(r), why);
    if (ret_result->done == GW_RESOLVE_HERE
            ? run_here(r)
            : r->host.ops->destroy(r->host.ctx, r->found.domid, r->err))
        return -1;
    write_status(name, ret_result->done == GW_RESOLVE_HERE);
    return 0;
}

/* Asked before the hypervisor is opened: the process that carries the connection must not have it.
 */
static int look(struct resolver *r)
{
    const struct migrate_opener *opener = opener_of(r->options);

    if (opener->open(opener->arg, &r->host, r->err))
        return -1;
    int rc = r->host.ops->held(r->host.ctx, r->options->name, &r->found, r->err);
    r->host.ops->close(r->host.ctx);
    r->host.ops = NULL;
    return rc || held_note_read(r->found.note, &r->note, r->err) ? -1 : 0;
}

int gw_resolve(const struct gw_resolve_options *options, struct gw_resolve_result *ret_result,
               struct gw_error *err)
{
    struct resolver r = {.options = options, .err = err};
    const struct migrate_opener *opener = opener_of(options);
    int lock = migrate_status_lock(options->name, err), rc = -1;

    if (lock < 0) /* who migrates it still waits for the answer */
        return -1;
    signal(SIGPIPE, SIG_IGN);
    if (look(&r) == 0) {
        ask_destination(&r);
        rc = opener->open(opener->arg, &r.host, err) || decide(&r, ret_result) ? -1 : 0;
        json_object_put(r.note.json);
    }
    if (r.host.ops)
        r.host.ops->close(r.host.ctx);
    free(r.found.note);
    close(lock);
    return rc;
}
