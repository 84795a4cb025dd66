/* SPDX-License-Identifier: MIT */
/*
 * The ear of a migration that runs: another shell asks how it goes, changes its limits or cancels
 * it. A thread answers on a socket that only root can reach, one request per connection: a JSON
 * object {"do": "status" | "set" | "cancel", "limits": {...}}. The answer is one, too: {"exit": 0
 * or an exit code, "error": text or null, "status": {...}, "limits": {...}}.
 */
#ifndef MIGRATE_CONTROL_H
#define MIGRATE_CONTROL_H

#include "pages/rate_limit.h"
#include <json-c/json.h>
#include <libgodwit/migrate.h>
#include <pthread.h>
#include <semaphore.h>

#define MIGRATE_REQUEST_BYTES_MAX 4096u

struct migrate_control {
    const char *name;             /* of the guest */
    struct rate_limit *bandwidth; /* changed at once */
    int lock_fd, listen_fd, wake_fd[2];
    bool open;
    pthread_t thread, owner;
    sem_t begun; /* the thread is in its loop */
    /* Set when somebody waits for a fresh status. Relaxed: looked at every few ms. */
    _Atomic bool asked;
    _Atomic int turn;     /* see migrate_control_commit() */
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t published;
    struct gw_migrate_limits limits; /* as asked for: 0 stands for a default */
    bool changed;                    /* since they were taken last */
    struct json_object *status;
    unsigned statuses; /* published so far */
    bool stopped;      /* the guest stands still: limits mean nothing any more */
};

/*
 * Takes the guest's lock (GW_EXIT_STATE: it is being migrated already), listens, and starts the
 * thread. Call it in the thread that is to hear of a cancellation, as SIGTERM. After an error
 * nothing is left. name and bandwidth outlive the control.
 */
int migrate_control_open(struct migrate_control *control, const char *name,
                         const struct gw_migrate_limits *limits, struct rate_limit *bandwidth,
                         struct gw_error *err);

/* The limits in force, with their defaults filled in. Returns whether they were changed since. */
bool migrate_control_take_limits(struct migrate_control *control,
                                 struct gw_migrate_limits *ret_limits);
/* Somebody waits for a status: publish one soon. */
bool migrate_control_is_asked(struct migrate_control *control);
/* What is told from now on. Takes the object. */
void migrate_control_publish(struct migrate_control *control, struct json_object *status);
/* The guest is about to be stopped: limits cannot be changed any more. */
void migrate_control_note_stop(struct migrate_control *control);
/*
 * The last moment to turn back. true: from now on nobody can cancel. false: somebody has, and was
 * told so.
 */
bool migrate_control_commit(struct migrate_control *control);

/* Ends the thread, removes the socket, gives the lock back. Harmless if it is not open. */
void migrate_control_close(struct migrate_control *control);

#endif
