/* SPDX-License-Identifier: MIT */
/*
 * Who may switch a guest's dirty log and take bits from it. One at a time: bits that one reader
 * takes are lost to the other. `dirty` owns it weakly and lets go when a save or a migration asks
 * for it; those own it strongly. Ownership is a file lock, so it ends with the process, however
 * that ends.
 */
#ifndef LIBGODWIT_LOG_OWNER_H
#define LIBGODWIT_LOG_OWNER_H

#include <libgodwit/error.h>
#include <stdbool.h>
#include <stdint.h>

struct gw_log_owner {
    int claim_fd; /* held by a strong owner; -1 otherwise */
    int log_fd;   /* held by whoever owns the log */
};

#define GW_LOG_OWNER_NONE ((struct gw_log_owner){.claim_fd = -1, .log_fd = -1})

/*
 * Strong (save, migrate): refuses at once (GW_EXIT_STATE, naming the owner) if another save or
 * migration has it, waits up to 10 s for a weak owner to let go.
 */
int gw_log_owner_take(struct gw_log_owner *ret_owner, uint32_t domid, const char *who,
                      struct gw_error *err);
/* Weak (dirty): 1 taken, 0 somebody else has or wants it, -1 error. */
int gw_log_owner_try(struct gw_log_owner *ret_owner, uint32_t domid, const char *who,
                     struct gw_error *err);
/* true: a strong owner waits for the log; a weak owner switches it off and lets go. */
bool gw_log_owner_wanted(uint32_t domid);
void gw_log_owner_release(struct gw_log_owner *owner); /* idempotent */

#endif
