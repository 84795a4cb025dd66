/* SPDX-License-Identifier: MIT */
/*
 * Work that must leave a guest in order even if the process that does it is killed: it runs in a
 * child, and the parent puts things right when the child died. What there is to put right stands in
 * memory that both share. If the parent is killed instead, the child gets SIGTERM and takes it for
 * ^C.
 */
#ifndef HANDOVER_GUARD_H
#define HANDOVER_GUARD_H

#include <libgodwit/error.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

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
    char name[64];
    struct gw_error error; /* the work's, also when the child is gone */
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

/*
 * Runs work(guard, arg) in a child and returns its exit status (enum gw_exit). If the child was
 * killed, returns that of mend(guard, arg, signal), which runs here. Both leave their reason in
 * guard->error, and that becomes *err. What does not survive a fork is opened inside work or mend.
 */
int handover_guard_run(int (*work)(struct handover_guard *guard, void *arg),
                       int (*mend)(struct handover_guard *guard, void *arg, int signal), void *arg,
                       struct gw_error *err);

#endif
