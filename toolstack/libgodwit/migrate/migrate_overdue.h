/* SPDX-License-Identifier: MIT */
/*
 * How long a guest that was stopped may stand still before it is handed over. The estimate of the
 * downtime is made before the stop: a connection that gets slower afterwards would hold the guest.
 */
#ifndef MIGRATE_OVERDUE_H
#define MIGRATE_OVERDUE_H

#include <libgodwit/migrate.h>
#include <stdbool.h>

/*
 * The limit in ms, of limits without zeros; 0: none, as with --on-timeout stop. An estimate may be
 * wrong by its own size, and by a second of other work on either host.
 */
unsigned migrate_overdue_limit(const struct gw_migrate_limits *limits);

/*
 * From now on the process has so many ms (0: for ever); then it is cancelled, as by ^C
 * (handover_cancelled). Uses SIGALRM, which no other thread may take. One at a time.
 */
void migrate_overdue_begin(unsigned ms);

/* No time runs out after this. Returns whether it has run out before. */
bool migrate_overdue_end(void);

#endif
