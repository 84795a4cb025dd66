/* SPDX-License-Identifier: MIT */
/*
 * shadow_op: dirty logging as Xen's tools drive it. The guest is never paused. What a CLEAN takes
 * from the log stays in the open harvest until the caller has all of the bitmap and the structure;
 * any error puts it back.
 */
#include <core/dirty_log.h>
#include <hv/cpu.h>
#include <hv/guest_access.h>
#include <stddef.h>

#include "domctl.h"
#include "shadow.h"

#define CAPACITY_PAGES (UINT64_C(1) << 42) /* as Xen: more is covered only up to here */
#define CLEAR_BYTES    65536u              /* of the tail of a bitmap at once */
#define MIB_SHIFT      20

/* Pages that the hypervisor itself may write at any time, seen by the final round. */
static void mark_permanent_mappings(struct domain *d)
{
    for (uint32_t id = 0; id < d->max_vcpus; id++) {
        if (d->vcpus[id] != NULL && d->vcpus[id]->vcpu_info_pa.addr != 0) {
            dirty_log_mark(&d->s2, d->vcpus[id]->vcpu_info_ipa, DIRTY_WRITER_SHARED);
        }
    }
    spin_lock(&d->vpl011.lock);
    if (d->vpl011.ring_pa.addr != 0) {
        dirty_log_mark(&d->s2, ipa_from_gfn(d->vpl011.ring_gfn), DIRTY_WRITER_DEVICE);
    }
    spin_unlock(&d->vpl011.lock);
}

static uint32_t saturate(uint64_t count)
{
    return count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
}

/* Decides what a fresh CLEAN or PEEK works on. With logging off it reports zeros, as Xen does. */
static long start_report(struct domain *d, struct shadow_session *session)
{
    long error = 0;

    session->pages = session->op.pages < CAPACITY_PAGES ? session->op.pages : CAPACITY_PAGES;
    session->logging = dirty_log_is_on(&d->s2);
    if (!session->logging) {
        return 0;
    }
    if ((session->op.mode & XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL) != 0) {
        mark_permanent_mappings(d);
    }
    if (session->op.op == XEN_DOMCTL_SHADOW_OP_CLEAN) {
        error = dirty_log_harvest_begin(&d->s2);
        session->harvesting = error == 0;
    }
    if (error == -EINVAL) { /* somebody is turning it off */
        session->logging = false;
        return 0;
    }
    session->dirty_count = saturate(dirty_log_count(&d->s2));
    return error;
}

/* Gets the bits of pages [position, position + pages) into session->bits. */
static void get_bits(struct domain *d, struct shadow_session *session, uint64_t pages)
{
    uint64_t whole = (pages + 63) & ~UINT64_C(63), reported = (pages + 7) & ~UINT64_C(7);

    if (!session->harvesting) {
        (void)dirty_log_peek(&d->s2, session->position, whole, session->bits);
        return;
    }
    (void)dirty_log_harvest_take(&d->s2, session->position, whole, session->bits);
    if (reported < whole) { /* what the caller has no byte for, the log keeps */
        dirty_log_harvest_untake(&d->s2, session->position + reported, whole - reported);
    }
}

/* One bounded piece of the bitmap. */
static long report_piece(struct domain *d, struct shadow_session *session)
{
    uint64_t left = session->pages - session->position;
    uint64_t limit = session->logging ? dirty_log_limit_gfn(&d->s2) : 0;
    uint64_t bitmap = session->op.dirty_bitmap.q, pages;

    if (session->position >= limit) {
        pages = left < CLEAR_BYTES * 8u && bitmap != 0 ? left : CLEAR_BYTES * 8u;
        pages = bitmap == 0 ? left : pages; /* nothing to clear, nothing to write */
        if (bitmap != 0 &&
            clear_guest(bitmap + session->position / 8, (size_t)((pages + 7) / 8)) != 0) {
            return -EFAULT;
        }
    } else {
        pages = left < SHADOW_CHUNK_PAGES ? left : SHADOW_CHUNK_PAGES;
        get_bits(d, session, pages);
        if (bitmap != 0 && copy_to_guest(bitmap + session->position / 8, session->bits,
                                         (size_t)((pages + 7) / 8)) != 0) {
            return -EFAULT;
        }
    }
    session->position += pages;
    return 0;
}

/* 0 when all of the bitmap has been written, -ERESTART to go on later. */
static long report_all(struct domain *d, struct shadow_session *session)
{
    bool first = true;

    while (session->position < session->pages) {
        long error;

        if (!first && (cpu_preempt_pending() || session->abandoned)) {
            return -ERESTART;
        }
        first = false;
        error = report_piece(d, session);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

/* The results reach the caller before the harvest is committed: nothing can fail after that. */
static long return_results(struct domctl *domctl, const struct shadow_session *session)
{
    struct xen_domctl_shadow_op *op = &domctl->op.u.shadow_op;

    op->pages = session->pages;
    op->stats.fault_count = 0;
    op->stats.dirty_count = session->dirty_count;
    return copy_to_guest(domctl->call->arg[0], &domctl->op, sizeof(domctl->op)) != 0 ? -EFAULT : 0;
}

static long op_report(struct domctl *domctl)
{
    struct xen_domctl_shadow_op *op = &domctl->op.u.shadow_op;
    struct domain *d = domctl->d;
    struct shadow_session *session;
    bool fresh;
    long error;

    if ((op->mode & ~(uint32_t)XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL) != 0) {
        return -EINVAL;
    }
    error = shadow_session_begin(d, domctl->call->v, domctl->call->arg[0], op, &session, &fresh);
    if (error != 0) {
        return error;
    }
    if (fresh) {
        error = start_report(d, session);
    }
    if (error == 0) {
        error = report_all(d, session);
    }
    if (error == -ERESTART) {
        return shadow_session_suspend(d, session) ? HYPERCALL_RESTART : -EBUSY;
    }
    if (error == 0) {
        error = return_results(domctl, session);
    } else {
        domctl->copy_back = true; /* as Xen: the structure goes back after an error too */
    }
    shadow_session_end(d, session, error == 0);
    return error;
}

static long op_enable(struct domctl *domctl)
{
    struct domain *d = domctl->d;
    struct shadow_session *session;
    bool fresh;
    long error = shadow_session_begin(d, domctl->call->v, domctl->call->arg[0],
                                      &domctl->op.u.shadow_op, &session, &fresh);

    if (error != 0) {
        return error;
    }
    /* Also goes on where an enabling that was abandoned has stopped. */
    do {
        error = dirty_log_enable(&d->s2, &(const struct dirty_log_options){0});
    } while (error == -ERESTART && !cpu_preempt_pending() && !session->abandoned);
    if (error == -ERESTART) {
        return shadow_session_suspend(d, session) ? HYPERCALL_RESTART : -EBUSY;
    }
    shadow_session_end(d, session, false);
    return error == -EBUSY ? -EINVAL : error;
}

static long op_off(struct domctl *domctl)
{
    long error;

    if (!shadow_session_abandon(domctl->d)) {
        return HYPERCALL_RESTART; /* the CPU that works on it stops at its next piece */
    }
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
    long error;

    if (domctl->d->logdirty_session != NULL) {
        return -EBUSY;
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
