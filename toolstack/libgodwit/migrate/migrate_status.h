/* SPDX-License-Identifier: MIT */
/*
 * What is known of the last migration of each guest, in /run/godwit/migrations, for root only.
 * NAME.json: the report as last written (docs/migrate.schema.json). NAME.lock: locked by the
 * process that migrates, so that the lock ends with it however it ends. NAME.socket: where that
 * process listens (migrate_control.h).
 */
#ifndef MIGRATE_STATUS_H
#define MIGRATE_STATUS_H

#include <json-c/json.h>
#include <libgodwit/error.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Takes the lock: its descriptor, or -1. GW_EXIT_STATE: the guest is being migrated already. */
int migrate_status_lock(const char *name, struct gw_error *err);
bool migrate_status_is_locked(const char *name);

/* Replaces the file as a whole: a reader sees the old or the new one. */
int migrate_status_write(const char *name, struct json_object *status, struct gw_error *err);
/* GW_EXIT_STATE: nothing is known of this guest. The caller puts *ret_status. */
int migrate_status_read(const char *name, struct json_object **ret_status, struct gw_error *err);

/*
 * A status that says "active" although its process is gone: makes it say what came of it. error:
 * its message and exit code become those of the status; GW_EXIT_MIGRATE_UNKNOWN: nobody knows where
 * the guest runs, else it runs here.
 */
void migrate_status_bury(struct json_object *status, const struct gw_error *error);

/*
 * Calls bind() or connect() for the guest's socket, whatever the length of the folder's name.
 * Returns what that returned, with errno.
 */
int migrate_status_at_socket(int fd, const char *name,
                             int (*call)(int fd, const struct sockaddr *address, socklen_t bytes));
void migrate_status_remove_socket(const char *name);

#endif
