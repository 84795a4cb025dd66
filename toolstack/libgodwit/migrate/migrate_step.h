/* SPDX-License-Identifier: MIT */
/*
 * A test aid: makes save, restore and migration fail at a named step of the protocol, always at the
 * same place. GODWIT_FAIL_AT=STEP:ACTION[,STEP:ACTION...] in the environment, ACTION one of
 * `error` (the step fails), `kill` (SIGKILL), `cancel` (as ^C), `hang` (stops for good), `stop`
 * (SIGSTOP; goes on after SIGCONT). godwit-migration(7) lists the steps.
 */
#ifndef MIGRATE_STEP_H
#define MIGRATE_STEP_H

#include <libgodwit/error.h>

/* 0: go on. -1: fail here. May not return. */
int migrate_step(const char *step, struct gw_error *err);

#endif
