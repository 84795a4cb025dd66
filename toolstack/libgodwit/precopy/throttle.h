/* SPDX-License-Identifier: MIT */
/*
 * Keeps CPU time from those vCPUs of a guest that dirty its memory faster than it can be sent. Who
 * they are is counted by the hypervisor. docs/design/migration.md.
 */
#ifndef THROTTLE_H
#define THROTTLE_H

#include "handover/handover_guard.h"
#include "host/migrate_host.h"
#include "throttle_policy.h"

struct throttle {
    struct migrate_host *host;
    struct handover_guard *guard;
    uint32_t domid;
    unsigned n;                                   /* vCPUs; 0: nothing can be counted here */
    unsigned pressing;                            /* of throttle_decide */
    uint64_t look_ms, look_millipages;            /* of the rounds since the last look */
    uint64_t paced_ms;                            /* that passed besides, between rounds */
    uint64_t dirty_pages_per_s;                   /* of the guest, in the last look */
    bool sampling;                                /* the sample of writers was asked for */
    bool exhausted;                               /* the guest presses, and there is no step more */
    struct throttle_vcpu vcpus[STREAM_VCPUS_MAX]; /* percent: now in force */
    struct migrate_vcpu counts[STREAM_VCPUS_MAX]; /* as last read */
};

/* Logging is on. Takes nothing away yet; a hypervisor that cannot count is no error: n is 0. */
int throttle_begin(struct throttle *throttle, struct migrate_host *host,
                   struct handover_guard *guard, uint32_t domid, struct gw_error *err);

/*
 * After each taking of the log while the guest runs, until rounds make up a look: reads the counts
 * and changes percents as throttle_decide says. enabled: false only reads, gives back at once what
 * was taken away, and ends the sample.
 * HANDOVER_THROTTLED stands before anything is taken away. After an error the percents in force
 * are not known: the caller undoes.
 */
int throttle_round(struct throttle *throttle, const struct throttle_measure *measure, bool enabled,
                   struct gw_error *err);

/* So long the guest ran between two rounds: what its vCPUs did then is counted, too. */
static inline void throttle_note_pace(struct throttle *throttle, uint64_t ms)
{
    throttle->paced_ms += ms;
}

/* How long rounds must be, alone or together, to tell the throttle something; 0: it counts nothing.
 */
unsigned throttle_look_ms(const struct throttle *throttle);

/* Reads the counts only: after the guest was stopped, for the report. */
int throttle_read(struct throttle *throttle, struct gw_error *err);

/*
 * Gives all vCPUs their time back, if the guard says that some was taken. Idempotent; for every
 * way out, and for the parent of a process that was killed: guard and host are all it needs.
 */
int throttle_undo(struct handover_guard *guard, struct migrate_host *host, struct gw_error *err);

#endif
