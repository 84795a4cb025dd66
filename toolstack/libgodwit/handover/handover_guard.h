/* SPDX-License-Identifier: MIT */
/*
 * Work that must leave a guest in order even if the process that does it is killed: it runs in a
 * child, and the parent puts things right when the child died. What there is to put right stands in
 * memory that both share. If the parent is killed instead, the child gets SIGTERM and takes it for
 * ^C. Whoever presses ^C twice does not want to wait for the end: the parent leaves the child to a
 * guard in the background.
 */
#ifndef HANDOVER_GUARD_H
#define HANDOVER_GUARD_H

#include <libgodwit/error.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define HANDOVER_OOM_SCORE 500 /* of the child: see oom_score_adj in proc(5) */

/* Set before the thing is done, cleared after it was undone: putting right twice is harmless. */
enum handover_duty {
    HANDOVER_LOGGING = 1u << 0,   /* source: the dirty log may be on */
    HANDOVER_STOPPED = 1u << 1,   /* source: the guest may be paused by us */
    HANDOVER_BUILDING = 1u << 2,  /* destination: a guest `name` may exist that must go */
    HANDOVER_GONE = 1u << 3,      /* both: GO was (or may have been) sent, or was received */
    HANDOVER_THROTTLED = 1u << 4, /* source: CPU time may be kept from the guest's vCPUs */
    HANDOVER_NOTED = 1u << 5,     /* source: a note may say that another host may run it */
};

struct handover_guard {
    _Atomic uint32_t duties; /* relaxed: read after the child's death, which orders everything */
    _Atomic uint32_t domid;
    bool was_paused; /* by the operator, before we came */
    /* Relaxed as duties: the child has come to its end; the user waits no more. */
    _Atomic bool finished, detached;
    char name[64];
    struct gw_error error; /* the work's, also when the child is gone */
};

struct handover_work {
    int (*run)(struct handover_guard *guard, void *arg); /* in the child; its exit status */
    /* The child was killed by this signal, or by one that nobody knows (0). */
    int (*mend)(struct handover_guard *guard, void *arg, int signal);
    void *arg;
    bool may_detach; /* nobody needs what this process would say at the end */
};

/* Set by SIGINT, SIGTERM and SIGHUP in the child. */
extern volatile sig_atomic_t handover_cancelled;

static inline void handover_guard_add(struct handover_guard *guard, uint32_t duty)
{
    atomic_fetch_or_explicit(&guard->duties, duty, memory_order_relaxed);
}

static inline void handover_guard_drop(struct handover_guard *guard, uint32_t duty)
{
    atomic_fetch_and_explicit(&guard->duties, ~duty, memory_order_relaxed);
}

static inline bool handover_guard_has(struct handover_guard *guard, uint32_t duty)
{
    return atomic_load_explicit(&guard->duties, memory_order_relaxed) & duty;
}

/* The user is gone: nothing is to be printed. */
static inline bool handover_guard_is_detached(struct handover_guard *guard)
{
    return atomic_load_explicit(&guard->detached, memory_order_relaxed);
}

/*
 * Runs the work in a child and returns its exit status (enum gw_exit). If the child was killed,
 * returns that of work->mend(), which runs here. Both leave their reason in guard->error, and that
 * becomes *err. What does not survive a fork is opened inside run or mend.
 * The first SIGINT, as any SIGTERM and SIGHUP, is the child's: it cancels. After the second one it
 * returns GW_EXIT_DETACHED if work->may_detach: child, and mend if need be, go on without the
 * caller.
 */
int handover_guard_run(const struct handover_work *work, struct gw_error *err);

#endif
