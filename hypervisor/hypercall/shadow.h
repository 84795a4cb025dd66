/* SPDX-License-Identifier: MIT */
/*
 * An unfinished call on a dirty log: a shadow_op of domctl, or Godwit's dirty_ranges. Its progress
 * belongs to (domain, calling vCPU, argument): the vCPU goes on with it by executing the same HVC
 * again. It is abandoned, and bits taken from the log are put back, when that vCPU makes another
 * hypercall, or does not come back for a second. Until then everybody else gets -EBUSY. Turning
 * logging off ends it in any state.
 *
 * Putting back goes in bounded pieces, one for each entry: a call that has failed executes again
 * until all is back, and so does any other call that finds a session that is being ended. Nobody
 * waits for a vCPU that does not come back.
 *
 * domain.lock protects domain.logdirty_session and the fields marked (L); the rest belongs to the
 * vCPU that has set running.
 */
#ifndef HYPERCALL_SHADOW_H
#define HYPERCALL_SHADOW_H

#include <core/dirty_log.h>
#include <hv/domain.h>
#include <stdbool.h>
#include <stdint.h>
#include <xen/domctl.h>

#include "call.h"

/* What a call asks for, as its caller passed it. Two that are equal are one call, continued. */
struct shadow_request {
    uint64_t nr;       /* of the hypercall */
    uint64_t argument; /* address of the caller's structure */
    uint32_t op, mode;
    uint64_t first, end; /* pages: from a multiple of 64 on */
    uint64_t buffer;     /* where the result goes */
    uint64_t room;       /* of the buffer, where pages do not tell */
};

/* A range that is not complete until the next one begins behind it. */
struct shadow_range {
    uint64_t first, pages;
};

struct shadow_session {
    struct vcpu *owner;            /* (L) NULL: given up */
    struct shadow_request request; /* (L) */
    bool running;                  /* (L) a CPU works on it now */
    bool ending;                   /* (L) it is being put back, by whoever comes */
    int error;                     /* (L) of the call, when ending because it has failed */
    _Atomic bool abandoned;        /* set under (L): somebody waits for that CPU to notice */
    uint64_t deadline_ns;          /* (L) when not running */
    bool started;                  /* it is clear whether there is a log, and it is ours */
    bool harvesting;               /* a harvest session of the log is open */
    bool logging;                  /* the log was on when it began */
    uint64_t taken_to;             /* pages: the log has been asked up to here */
    uint64_t position;             /* what the caller has: bytes of a bitmap, or ranges */
    uint64_t dirty_pages;          /* found so far */
    uint64_t epoch;                /* that ending it will begin; 0: shadow_session_end chooses */
    struct shadow_range range;
    unsigned next, count; /* words that the caller does not have yet */
    struct dirty_log_word words[DIRTY_LOG_WORDS];
};

/*
 * The session of this call: the unfinished one if the call continues it, else a fresh one, not
 * started. -EBUSY: another one is unfinished, -ENOMEM. -ERESTART: the call goes on later. The error
 * of this call, if it had failed and all is put back now.
 */
int shadow_session_begin(struct domain *d, struct vcpu *v, const struct shadow_request *request,
                         struct shadow_session **ret_session);

/* The call goes on later. False: it has been abandoned meanwhile, and is gone. */
bool shadow_session_suspend(struct domain *d, struct shadow_session *session);

/*
 * The call is over. Without an error, what was taken from the log stays taken; else it is put back.
 * Returns error, or -ERESTART: the call goes on later, with shadow_session_begin.
 */
long shadow_session_end(struct domain *d, struct shadow_session *session, long error);

/* 0: nothing is unfinished. -EBUSY: somebody's is. -ERESTART: it is being ended, try again. */
int shadow_session_settle(struct domain *d);

/*
 * Ends what is unfinished, whoever it belongs to, and forgets what it has taken: the caller turns
 * the log off next. False: a CPU works on it, try again.
 */
bool shadow_session_abandon(struct domain *d);

/* A number that no log of this host has had as its epoch. */
uint64_t shadow_epoch_new(void);
/* The log was turned on or off: another epoch begins. */
void shadow_epoch_begin(struct domain *d);
uint64_t shadow_epoch(struct domain *d);

/* A vCPU makes hypercall nr: abandons its unfinished operation if that is another. */
void shadow_caller_enters(const struct hcall *call, uint64_t nr);
/* The same, when the structure has been read: op is NULL if it could not be. */
void shadow_caller_means(struct vcpu *v, const struct xen_domctl *op);

/*
 * shadow_report.c: what CLEAN, PEEK and dirty_ranges share. final: pages that the hypervisor may
 * write at any time count as dirty. -EBUSY, -ERESTART.
 */
long shadow_report_start(struct domain *d, struct shadow_session *session, bool clean, bool final);

/* Gets words for pages below end into the session, or finds that there are none. Bounded. */
void shadow_report_get(struct domain *d, struct shadow_session *session, uint64_t end);

/* Counts marked pages from session.taken_to on; true when done. Bounded. */
bool shadow_report_count(struct domain *d, struct shadow_session *session);

/* The whole of CLEAN and PEEK with a bitmap. Returns 0, -ERESTART, -EFAULT. */
long shadow_report_bitmap(struct domain *d, struct shadow_session *session);

/* A bounded part of a report; sets *ret_done behind the last. Returns 0 or what ends the call. */
typedef long (*shadow_piece_fn)(struct domain *d, struct shadow_session *session, bool *ret_done);

/* Piece after piece, with a look at shadow_must_stop between: -ERESTART. No lock held. */
long shadow_report_pieces(struct domain *d, struct shadow_session *session, shadow_piece_fn piece);

/* The CPU is wanted elsewhere, or somebody waits for this session to end. */
bool shadow_must_stop(const struct shadow_session *session);

#endif
