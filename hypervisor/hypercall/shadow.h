/* SPDX-License-Identifier: MIT */
/*
 * An unfinished shadow_op. Its progress belongs to (domain, calling vCPU, argument): the vCPU goes
 * on with it by executing the same HVC again. It is abandoned, and bits taken from the log are put
 * back, when that vCPU makes another hypercall, does not come back for a second, or anybody turns
 * logging off. Until then everybody else gets -EBUSY.
 *
 * domain.lock protects domain.logdirty_session and the fields marked (L); the rest belongs to the
 * vCPU that has set running.
 */
#ifndef HYPERCALL_SHADOW_H
#define HYPERCALL_SHADOW_H

#include <hv/domain.h>
#include <stdbool.h>
#include <stdint.h>
#include <xen/domctl.h>

#define SHADOW_CHUNK_PAGES 16384u

struct shadow_session {
    struct vcpu *owner;             /* (L) */
    uint64_t argument;              /* (L) address of the caller's struct xen_domctl */
    struct xen_domctl_shadow_op op; /* (L) as the caller passed it */
    bool running;                   /* (L) a CPU works on it now */
    _Atomic bool abandoned;         /* set under (L): somebody waits for that CPU to notice */
    uint64_t deadline_ns;           /* (L) when not running */
    bool harvesting;                /* a harvest session of the log is open */
    bool logging;                   /* the log was on when it began */
    uint64_t position;              /* pages done */
    uint64_t pages;                 /* pages to do */
    uint32_t dirty_count;           /* before the first bit was taken */
    uint8_t bits[SHADOW_CHUNK_PAGES / 8];
};

/*
 * The session of this call: the unfinished one if the call continues it, else a fresh one, with
 * *ret_fresh set. -EBUSY: another one is unfinished, -ENOMEM.
 */
int shadow_session_begin(struct domain *d, struct vcpu *v, uint64_t argument,
                         const struct xen_domctl_shadow_op *op, struct shadow_session **ret_session,
                         bool *ret_fresh);

/* The call goes on later. False: it has been abandoned meanwhile, and is gone. */
bool shadow_session_suspend(struct domain *d, struct shadow_session *session);

/* The call is over. commit: what was taken from the log stays taken; else it is put back. */
void shadow_session_end(struct domain *d, struct shadow_session *session, bool commit);

/* Abandons what is unfinished, whoever it belongs to. False: a CPU works on it, try again. */
bool shadow_session_abandon(struct domain *d);

/* v makes hypercall nr with this first argument: abandons its unfinished operation if that is
 * another. */
void shadow_caller_enters(struct vcpu *v, uint64_t nr, uint64_t argument);
/* The same, when the structure has been read: op is NULL if it could not be. */
void shadow_caller_means(struct vcpu *v, const struct xen_domctl *op);

#endif
