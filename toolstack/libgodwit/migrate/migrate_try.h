/* SPDX-License-Identifier: MIT */
#ifndef MIGRATE_TRY_H
#define MIGRATE_TRY_H

#include <libgodwit/migrate.h>

/*
 * A dry run: asks both hosts all that may refuse a migration before its first page, and says on
 * stdout what would happen. Nothing changes here: no lock, no log, no pause, no status. Returns the
 * exit code of the command: what the destination refused with, or what was wrong before.
 */
int migrate_try(const struct gw_migrate_options *options, struct gw_error *err);

#endif
