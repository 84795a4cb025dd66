/* SPDX-License-Identifier: MIT */
/* Who owns an unfinished shadow_op, and how it ends when its owner does not come back. */
#include <core/dirty_log.h>
#include <godwit/ext.h>
#include <hv/errno.h>
#include <hv/frame.h>
#include <hv/time.h>

#include "shadow.h"

#define ABANDON_NS UINT64_C(1000000000)

_Static_assert(sizeof(struct shadow_session) <= PAGE_SIZE_BYTES, "one page");

uint64_t shadow_epoch_new(void)
{
    static _Atomic uint64_t last; /* a count: orders nothing */

    return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

void shadow_epoch_begin(struct domain *d)
{
    spin_lock(&d->lock);
    d->logdirty_epoch = shadow_epoch_new();
    spin_unlock(&d->lock);
}

uint64_t shadow_epoch(struct domain *d)
{
    uint64_t epoch;

    spin_lock(&d->lock);
    epoch = d->logdirty_epoch;
    spin_unlock(&d->lock);
    return epoch;
}

static struct shadow_session *unfinished(const struct domain *d)
{
    return d->logdirty_session;
}

static bool continues(const struct shadow_session *session, const struct vcpu *v,
                      const struct shadow_request *request)
{
    const struct shadow_request *own = &session->request;

    return session->owner == v && own->nr == request->nr && own->argument == request->argument &&
           own->op == request->op && own->mode == request->mode && own->first == request->first &&
           own->end == request->end && own->buffer == request->buffer && own->room == request->room;
}

/* vcpu.hypercall_state of the owner: the domain it has something unfinished with. */
static void *encode_domain(const struct domain *d)
{
    return (void *)(uintptr_t)(d->id + 1u);
}

/* domain.lock is held, as below; what the session has taken has been committed or put back. */
static void free_locked(struct domain *d, struct shadow_session *session)
{
    d->logdirty_session = NULL;
    frame_free_hv(session, 0);
}

/* Puts back a bounded part of what the session has taken; 0: the session is gone, or -ERESTART. */
static int put_back_locked(struct domain *d, struct shadow_session *session)
{
    session->running = false;
    session->ending = true;
    if (session->harvesting && dirty_log_harvest_abort(&d->s2) != 0) {
        return -ERESTART;
    }
    free_locked(d, session);
    return 0;
}

/* Nobody goes on with what is unfinished. What is left of it falls to the next caller. */
static void give_up_locked(struct domain *d, struct shadow_session *session)
{
    session->owner = NULL;
    (void)put_back_locked(d, session);
}

/* Goes on with putting back. 0: the session is gone; if it is of a call that has failed and that
 * comes back, that call's error. */
static int finish_locked(struct domain *d, struct shadow_session *session, struct vcpu *v,
                         const struct shadow_request *request)
{
    bool own = session->ending && continues(session, v, request);
    int error = session->error;
    int result = put_back_locked(d, session);

    if (result == 0 && own) {
        v->hypercall_state = NULL;
        return error;
    }
    return result;
}

static int begin_locked(struct domain *d, struct vcpu *v, const struct shadow_request *request,
                        struct shadow_session **ret_session)
{
    struct shadow_session *session = unfinished(d);
    int error;

    if (session != NULL && session->running) {
        return -EBUSY;
    }
    if (session != NULL && !session->ending && continues(session, v, request)) {
        session->running = true;
        *ret_session = session;
        return 0;
    }
    if (session != NULL && !session->ending && session->owner != v &&
        time_now_ns() < session->deadline_ns) {
        return -EBUSY;
    }
    if (session != NULL) {
        error = finish_locked(d, session, v, request);
        if (error != 0) {
            return error;
        }
    }
    if (atomic_load_explicit(&d->dying, memory_order_relaxed) != DOMAIN_ALIVE) {
        return -EINVAL; /* its destruction must not find a session that begins behind it */
    }
    session = frame_alloc_hv(0);
    if (session == NULL) {
        return -ENOMEM;
    }
    session->owner = v;
    session->request = *request;
    session->running = true;
    d->logdirty_session = session;
    *ret_session = session;
    return 0;
}

int shadow_session_begin(struct domain *d, struct vcpu *v, const struct shadow_request *request,
                         struct shadow_session **ret_session)
{
    int error;

    spin_lock(&d->lock);
    error = begin_locked(d, v, request, ret_session);
    spin_unlock(&d->lock);
    return error;
}

bool shadow_session_suspend(struct domain *d, struct shadow_session *session)
{
    bool alive;

    spin_lock(&d->lock);
    alive = !session->abandoned;
    session->running = false;
    session->deadline_ns = time_now_ns() + ABANDON_NS;
    session->owner->hypercall_state = alive ? encode_domain(d) : NULL;
    if (!alive) {
        give_up_locked(d, session);
    }
    spin_unlock(&d->lock);
    return alive;
}

long shadow_session_end(struct domain *d, struct shadow_session *session, long error)
{
    struct vcpu *owner = session->owner;
    long result = error;

    spin_lock(&d->lock);
    if (error == 0) {
        if (session->harvesting) {
            dirty_log_harvest_commit(&d->s2);
            d->logdirty_epoch = session->epoch != 0 ? session->epoch : shadow_epoch_new();
        }
        free_locked(d, session);
    } else {
        session->error = (int)error;
        result = put_back_locked(d, session) == 0 ? error : -ERESTART;
    }
    owner->hypercall_state = result == -ERESTART ? encode_domain(d) : NULL;
    spin_unlock(&d->lock);
    return result;
}

int shadow_session_settle(struct domain *d)
{
    struct shadow_session *session;
    int error = 0;

    spin_lock(&d->lock);
    session = unfinished(d);
    if (session != NULL) {
        bool busy = session->running || (!session->ending && time_now_ns() < session->deadline_ns);

        error = busy ? -EBUSY : put_back_locked(d, session);
    }
    spin_unlock(&d->lock);
    return error;
}

bool shadow_session_abandon(struct domain *d)
{
    struct shadow_session *session;
    bool gone = true;

    spin_lock(&d->lock);
    session = unfinished(d);
    if (session != NULL && session->running) {
        session->abandoned = true;
        gone = false;
    } else if (session != NULL) {
        free_locked(d, session); /* the log goes, and what was taken from it */
    }
    spin_unlock(&d->lock);
    return gone;
}

/* v has something unfinished with a domain, and does something else. */
static void abandon_own(struct vcpu *v)
{
    struct domain *d = domain_get((domid_t)((uintptr_t)v->hypercall_state - 1u));
    struct shadow_session *session;

    v->hypercall_state = NULL;
    if (d == NULL) {
        return;
    }
    spin_lock(&d->lock);
    session = unfinished(d);
    if (session != NULL && session->owner == v && !session->running) {
        give_up_locked(d, session);
    }
    spin_unlock(&d->lock);
    domain_put(d);
}

/* Where hypercall nr gets its structure from, if it can be an operation on a log; else 0. */
static uint64_t argument_of(const struct hcall *call, uint64_t nr)
{
    if (nr == __HYPERVISOR_domctl) {
        return call->arg[0];
    }
    return nr == GODWIT_HYPERCALL && call->arg[0] == GODWIT_OP_DIRTY_RANGES ? call->arg[1] : 0;
}

void shadow_caller_enters(const struct hcall *call, uint64_t nr)
{
    struct vcpu *v = call->v;
    uint64_t argument;
    struct domain *d;
    bool same = false;

    if (v->hypercall_state == NULL) {
        return;
    }
    argument = argument_of(call, nr);
    d = argument != 0 ? domain_get((domid_t)((uintptr_t)v->hypercall_state - 1u)) : NULL;
    if (d != NULL) {
        struct shadow_session *session;

        spin_lock(&d->lock);
        session = unfinished(d);
        same = session != NULL && session->owner == v && session->request.nr == nr &&
               session->request.argument == argument;
        spin_unlock(&d->lock);
        domain_put(d);
    }
    if (!same) {
        abandon_own(v);
    }
}

void shadow_caller_means(struct vcpu *v, const struct xen_domctl *op)
{
    if (v->hypercall_state != NULL &&
        (op == NULL || op->cmd != XEN_DOMCTL_shadow_op ||
         op->domain != (domid_t)((uintptr_t)v->hypercall_state - 1u))) {
        abandon_own(v);
    }
}
