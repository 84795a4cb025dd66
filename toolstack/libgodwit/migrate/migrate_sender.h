/* SPDX-License-Identifier: MIT */
/*
 * The source of a migration, as its three files see it: migrate_send.c is the way up to GO,
 * migrate_sender_end.c what follows however that went, migrate_sender_tell.c what people hear.
 */
#ifndef MIGRATE_SENDER_H
#define MIGRATE_SENDER_H

#include "handover/handover_guard.h"
#include "migrate_control.h"
#include "migrate_report.h"
#include "migrate_streams.h"
#include "migrate_transport.h"
#include "precopy/precopy.h"
#include <libgodwit/migrate.h>

struct migrate_sender {
    const struct gw_migrate_options *options;
    struct handover_guard *guard;
    struct gw_error *err;
    struct migrate_host host;
    struct migrate_transport transport;
    struct migrate_streams streams;
    struct handover_hello hello; /* of the destination */
    struct save_source source;
    struct rate_limit bandwidth;
    struct precopy precopy;
    struct migrate_report report;
    struct migrate_control control;
    uint64_t written_ms; /* when the status was last written to its file */
};

/* The host that was asked for, or this one. */
static inline const struct migrate_opener *
migrate_sender_opener(const struct gw_migrate_options *options)
{
    return options->opener ? options->opener : &migrate_this_host;
}

/* The first steps to GO, for a dry run too. Connects; fills in hello; opens all connections. */
int migrate_sender_connect(struct migrate_sender *sender);
/* All that the destination must know before the first page: the guest exists there, empty. */
int migrate_sender_introduce(struct migrate_sender *sender);
/* Ends all connections, and keeps why; as migrate_transport_stop(). Idempotent. */
int migrate_sender_disconnect(struct migrate_sender *sender);

/* What is told while it runs: connects precopy and pages to the report and the control. */
void migrate_sender_listen(struct migrate_sender *sender);
/* Publishes the status and writes it to its file; a disk that is full is no error. */
void migrate_sender_publish(struct migrate_sender *sender);
/* The same for a new phase (a constant), but for the file while the guest stands still. */
void migrate_sender_enter(struct migrate_sender *sender, const char *phase);
/* The end, for the file, the terminal and --json; closes the control. */
void migrate_sender_report(struct migrate_sender *sender, bool moved, bool gone);

/* Before GO: the guest runs on here. The reason in sender->err is completed. */
void migrate_sender_undo(struct migrate_sender *sender);
/* After GO without RESUMED: held. Only throttle and log end, for whoever resumes it. */
void migrate_sender_hold(struct migrate_sender *sender);
/* After RESUMED: the old copy goes. If it does not, sender->err says so. */
void migrate_sender_finish(struct migrate_sender *sender);
/* All of this for a worker that was killed: struct handover_work's mend, arg the options. */
int migrate_sender_mend(struct handover_guard *guard, void *arg, int signal_number);

#endif
