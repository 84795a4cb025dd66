/* SPDX-License-Identifier: MIT */
/*
 * Who may switch a guest's dirty log and take bits from it. One at a time: bits that one reader
 * takes are lost to the other. `dirty` owns it weakly and lets go when a save or a migration asks
 * for it; those own it strongly. Ownership is a file lock, so it ends with the process, however
 * that ends. What does not end with it is the log: a mark beside the lock says that it is to be
 * switched off by whoever comes next.
 */
#ifndef LIBGODWIT_LOG_OWNER_H
#define LIBGODWIT_LOG_OWNER_H

#include <libgodwit/error.h>
#include <stdbool.h>
#include <stdint.h>

struct gw_log_owner {
    int claim_fd; /* held by a strong owner; -1 otherwise */
    int log_fd;   /* held by whoever owns the log */
    uint32_t domid;
};

#define GW_LOG_OWNER_NONE ((struct gw_log_owner){.claim_fd = -1, .log_fd = -1})

/* Files of the registry's folder, after the number of the domain: the log's lock and its mark. */
#define GW_LOG_SUFFIX      ".log"
#define GW_LOG_MARK_SUFFIX ".logging"

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
/* Would a strong owner be refused? Takes nothing; false: as gw_log_owner_take() says it. */
bool gw_log_owner_is_free(uint32_t domid, struct gw_error *err);
void gw_log_owner_release(struct gw_log_owner *owner); /* idempotent */

/*
 * The owner marks the log before it switches it on, or goes on with one that was left on for it,
 * and removes the mark when the log is off or shall stay on without an owner. Both are idempotent;
 * release does neither.
 */
int gw_log_owner_mark(const struct gw_log_owner *owner, struct gw_error *err);
void gw_log_owner_unmark(const struct gw_log_owner *owner);
/*
 * There is a mark. Asked by a new owner: the one before was killed, switch the log off. Asked by
 * others: its owner may be at work.
 */
bool gw_log_owner_is_marked(uint32_t domid);

#endif
