/* SPDX-License-Identifier: MIT */
/*
 * shadow_op: dirty logging as Xen's tools drive it. The guest is never paused. What a CLEAN takes
 * from the log stays in the open harvest until the caller has all of the bitmap and the structure;
 * any error puts it back.
 */
#include <core/dirty_log.h>
#include <hv/cpu.h>
#include <hv/guest_access.h>
#include <hv/logdirty.h>
#include <hv/sched.h>
#include <stddef.h>

#include "domctl.h"
#include "shadow.h"

#define CAPACITY_PAGES (UINT64_C(1) << 42) /* as Xen: more is covered only up to here */
#define MIB_SHIFT      20

static struct shadow_request request_of(const struct domctl *domctl)
{
    const struct xen_domctl_shadow_op *op = &domctl->op.u.shadow_op;

    return (struct shadow_request){
        .nr = __HYPERVISOR_domctl,
        .argument = domctl->call->arg[0],
        .op = op->op,
        .mode = op->mode,
        .end = op->pages < CAPACITY_PAGES ? op->pages : CAPACITY_PAGES,
        .buffer = op->dirty_bitmap.q,
    };
}

static uint32_t saturate(uint64_t count)
{
    return count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
}

/* The results reach the caller before the harvest is committed: nothing can fail after that. */
static long return_results(struct domctl *domctl, const struct shadow_session *session)
{
    struct xen_domctl_shadow_op *op = &domctl->op.u.shadow_op;

    op->pages = session->request.end;
    op->stats.fault_count = 0;
    op->stats.dirty_count = saturate(session->dirty_pages);
    return copy_to_guest(domctl->call->arg[0], &domctl->op, sizeof(domctl->op)) != 0 ? -EFAULT : 0;
}

static long op_report(struct domctl *domctl)
{
    const struct xen_domctl_shadow_op *op = &domctl->op.u.shadow_op;
    struct shadow_request request = request_of(domctl);
    struct domain *d = domctl->d;
    struct shadow_session *session;
    long error;

    if ((op->mode & ~(uint32_t)XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL) != 0) {
        return -EINVAL;
    }
    error = shadow_session_begin(d, domctl->call->v, &request, &session);
    if (error != 0) {
        return error == -ERESTART ? HYPERCALL_RESTART : error;
    }
    error = shadow_report_start(d, session, op->op == XEN_DOMCTL_SHADOW_OP_CLEAN,
                                (op->mode & XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL) != 0);
    if (error == 0) {
        error = shadow_report_bitmap(d, session);
    }
    if (error == -ERESTART) {
        return shadow_session_suspend(d, session) ? HYPERCALL_RESTART : -EBUSY;
    }
    if (error == 0) {
        error = return_results(domctl, session);
    } else {
        domctl->copy_back = true; /* as Xen: the structure goes back after an error too */
    }
    error = shadow_session_end(d, session, error);
    return error == -ERESTART ? HYPERCALL_RESTART : error;
}

static long op_enable(struct domctl *domctl)
{
    struct dirty_log_options options;
    struct domain *d = domctl->d;
    struct shadow_session *session;
    struct shadow_request request = request_of(domctl);
    long error = shadow_session_begin(d, domctl->call->v, &request, &session);

    if (error != 0) {
        return error == -ERESTART ? HYPERCALL_RESTART : error;
    }
    options = logdirty_options(d);
    if (!dirty_log_is_on(&d->s2)) {
        stall_domain_reset(d);
        sched_domain_may_throttle(d, true);
    }
    /* Also goes on where an enabling that was abandoned has stopped. */
    do {
        error = dirty_log_enable(&d->s2, &options);
    } while (error == -ERESTART && !shadow_must_stop(session));
    if (error == -ERESTART) {
        return shadow_session_suspend(d, session) ? HYPERCALL_RESTART : -EBUSY;
    }
    if (!dirty_log_is_on(&d->s2)) {
        sched_domain_may_throttle(d, false); /* it failed, or somebody has switched it off */
    }
    if (error == 0) {
        shadow_epoch_begin(d);
    }
    return shadow_session_end(d, session, error == -EBUSY ? -EINVAL : error);
}

static long op_off(struct domctl *domctl)
{
    long error;

    if (!shadow_session_abandon(domctl->d)) {
        return HYPERCALL_RESTART; /* the CPU that works on it stops at its next piece */
    }
    sched_domain_may_throttle(domctl->d, false);
    shadow_epoch_begin(domctl->d);
    do {
        error = dirty_log_off(&domctl->d->s2);
    } while (error == -ERESTART && !cpu_preempt_pending());
    return error == -ERESTART ? HYPERCALL_RESTART : error;
}

/* The deprecated way to ask for the size of the pool of table pages, in MiB, rounded up. */
static long op_get_allocation(struct domctl *domctl)
{
    uint64_t bytes = domctl->d->pool_pages << PAGE_SHIFT;

    domctl->op.u.shadow_op.mb = (uint32_t)((bytes + (UINT64_C(1) << MIB_SHIFT) - 1) >> MIB_SHIFT);
    domctl->copy_back = true;
    return 0;
}

static long op_set_allocation(struct domctl *domctl)
{
    struct domctl resize = *domctl;
    long error = shadow_session_settle(domctl->d);

    if (error != 0) {
        return error == -ERESTART ? HYPERCALL_RESTART : error;
    }
    resize.op.u.paging_mempool.size = (uint64_t)domctl->op.u.shadow_op.mb << MIB_SHIFT;
    error = domctl_set_mempool_size(&resize);
    return error != 0 ? error : op_get_allocation(domctl);
}

long domctl_shadow_op(struct domctl *domctl)
{
    struct domain *d = domctl->d;

    if (d == domctl->call->d ||
        atomic_load_explicit(&d->dying, memory_order_relaxed) != DOMAIN_ALIVE ||
        d->vcpus[0] == NULL) {
        return -EINVAL;
    }
    switch (domctl->op.u.shadow_op.op) {
    case XEN_DOMCTL_SHADOW_OP_OFF:
        return op_off(domctl);
    case XEN_DOMCTL_SHADOW_OP_ENABLE:
        if ((domctl->op.u.shadow_op.mode & XEN_DOMCTL_SHADOW_ENABLE_LOG_DIRTY) == 0) {
            return -EINVAL;
        }
        return op_enable(domctl);
    case XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY:
        return op_enable(domctl);
    case XEN_DOMCTL_SHADOW_OP_CLEAN:
    case XEN_DOMCTL_SHADOW_OP_PEEK:
        return op_report(domctl);
    case XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION:
        return op_get_allocation(domctl);
    case XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION:
        return op_set_allocation(domctl);
    default:
        return -EINVAL;
    }
}
