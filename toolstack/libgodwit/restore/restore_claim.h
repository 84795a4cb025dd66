/* SPDX-License-Identifier: MIT */
/*
 * An incoming guest belongs to the process that builds it, by a file lock that ends with that
 * process, however it ends. A paused incoming guest without one was left behind: whoever finds it
 * may destroy it, for a guest never runs under its incoming name and its source still has it.
 */
#ifndef RESTORE_CLAIM_H
#define RESTORE_CLAIM_H

#include <libgodwit/error.h>
#include <stdbool.h>

/* Returns a descriptor to hold, or -1: somebody else is building it (GW_EXIT_STATE), or no such
 * file can be made. */
int restore_claim_take(const char *incoming_name, struct gw_error *err);

#endif
