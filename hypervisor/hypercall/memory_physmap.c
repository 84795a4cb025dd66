/* SPDX-License-Identifier: MIT */
/* add_to_physmap (one and many) and remove_from_physmap. */
#include <hv/cpu.h>
#include <hv/guest_access.h>
#include <hv/p2m.h>
#include <xen/memory.h>

#include "hypercall_domain.h"
#include "memory.h"

/* Puts a page of the hypervisor where a page of RAM was, or nothing. */
static long replace_by_shared(struct domain *d, uint64_t gfn, void *page)
{
    int error;

    if (page == NULL) {
        return -ENOMEM;
    }
    error = p2m_remove(d, gfn, 1);
    return error != 0 ? error : p2m_add_shared(d, gfn, page);
}

static long add_shared_info(struct domain *d, uint64_t idx, uint64_t gfn)
{
    long error;

    if (idx != 0) {
        return -EINVAL;
    }
    if (!hypercall_domain_claim_shared_info(d, gfn)) {
        return -EBUSY;
    }
    error = replace_by_shared(d, gfn, hypercall_domain_shared_info(d));
    if (error != 0) {
        hypercall_domain_drop_shared_info(d, gfn);
    }
    return error;
}

static long add_grant_table(struct domain *d, uint64_t idx, uint64_t gfn)
{
    if (idx >= GRANT_FRAMES_MAX) {
        return -EINVAL;
    }
    return replace_by_shared(d, gfn, hypercall_domain_grant_frame(d, (unsigned)idx));
}

static long add_foreign(const struct hcall *call, struct domain *d, domid_t source_id, uint64_t idx,
                        uint64_t gfn)
{
    struct domain *source = hcall_domain_get(call, source_id);
    long error;

    if (source == NULL) {
        return -ESRCH;
    }
    if (source == d) {
        error = -EINVAL;
    } else if (!call->d->is_control || d != call->d) {
        error = -EPERM;
    } else {
        error = p2m_add_foreign(d, gfn, source, idx);
        if (error == -EEXIST) { /* as in Xen, a new mapping replaces the old one */
            error = p2m_remove(d, gfn, 1);
            error = error != 0 ? error : p2m_add_foreign(d, gfn, source, idx);
        }
    }
    domain_put(source);
    return error;
}

static long add_one(const struct hcall *call, struct domain *d, unsigned space, domid_t source_id,
                    uint64_t idx, uint64_t gfn)
{
    switch (space) {
    case XENMAPSPACE_shared_info:
        return add_shared_info(d, idx, gfn);
    case XENMAPSPACE_grant_table:
        return add_grant_table(d, idx, gfn);
    case XENMAPSPACE_gmfn_foreign:
        return add_foreign(call, d, source_id, idx, gfn);
    default:
        return -ENOSYS;
    }
}

/* The domain whose map changes, referenced; NULL with *ret_error set. */
static struct domain *target_get(const struct hcall *call, domid_t id, long *ret_error)
{
    struct domain *d;

    *ret_error = hcall_managed_get(call, id, &d);
    if (d != NULL && atomic_load_explicit(&d->dying, memory_order_relaxed) != DOMAIN_ALIVE) {
        domain_put(d);
        d = NULL;
        *ret_error = -EINVAL;
    }
    return d;
}

long memory_add_to_physmap(struct hcall *call)
{
    struct xen_add_to_physmap request;
    struct domain *d;
    long error;

    if (copy_from_guest(&request, call->arg[1], sizeof(request)) != 0) {
        return -EFAULT;
    }
    if (request.space == XENMAPSPACE_gmfn_foreign) {
        return -ENOSYS; /* there is no field for the source: the batch form has one */
    }
    d = target_get(call, request.domid, &error);
    if (d == NULL) {
        return error;
    }
    error = add_one(call, d, request.space, DOMID_INVALID, request.idx, request.gpfn);
    domain_put(d);
    return error;
}

/* One entry of the batch: its own error goes to errs, only an unreachable list fails the call. */
static long batch_entry(const struct hcall *call, const struct xen_add_to_physmap_batch *batch,
                        struct domain *d, uint64_t i)
{
    xen_ulong_t idx;
    xen_pfn_t gfn;
    int error;

    if (copy_from_guest(&idx, batch->idxs.q + i * sizeof(idx), sizeof(idx)) != 0 ||
        copy_from_guest(&gfn, batch->gpfns.q + i * sizeof(gfn), sizeof(gfn)) != 0 ||
        probe_guest_write(batch->errs.q + i * sizeof(error), sizeof(error)) != 0) {
        return -EFAULT;
    }
    error = (int)add_one(call, d, batch->space, batch->u.foreign_domid, idx, gfn);
    return copy_to_guest(batch->errs.q + i * sizeof(error), &error, sizeof(error)) != 0 ? -EFAULT
                                                                                        : 0;
}

static long batch_entries(struct hcall *call, const struct xen_add_to_physmap_batch *batch,
                          struct domain *d)
{
    uint64_t start = call->arg[0] >> MEMOP_CMD_BITS;

    for (uint64_t i = start; i < batch->size; i++) {
        long error;

        if (i != start && cpu_preempt_pending()) {
            return memory_restart(call, i);
        }
        error = batch_entry(call, batch, d, i);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

long memory_add_to_physmap_batch(struct hcall *call)
{
    struct xen_add_to_physmap_batch batch;
    struct domain *d;
    long error;

    if (copy_from_guest(&batch, call->arg[1], sizeof(batch)) != 0) {
        return -EFAULT;
    }
    if (batch.size < call->arg[0] >> MEMOP_CMD_BITS) {
        return -EILSEQ;
    }
    if (batch.space != XENMAPSPACE_gmfn_foreign && batch.u.res0 != 0) {
        return -EINVAL;
    }
    d = target_get(call, batch.domid, &error);
    if (d == NULL) {
        return error;
    }
    error = batch_entries(call, &batch, d);
    domain_put(d);
    return error;
}

long memory_remove_from_physmap(struct hcall *call)
{
    struct xen_remove_from_physmap request;
    struct domain *d;
    long error;

    if (copy_from_guest(&request, call->arg[1], sizeof(request)) != 0) {
        return -EFAULT;
    }
    d = target_get(call, request.domid, &error);
    if (d == NULL) {
        return error;
    }
    if (request.gpfn > UINT64_MAX >> PAGE_SHIFT) {
        error = -EINVAL;
    } else {
        struct s2_leaf leaf = s2_lookup(&d->s2, ipa_from_gfn(request.gpfn));

        error = leaf.type == S2_NONE || leaf.type == S2_DEVICE ? -EINVAL
                                                               : p2m_remove(d, request.gpfn, 1);
        if (error == 0 && leaf.type == S2_SHARED) {
            hypercall_domain_drop_shared_info(d, request.gpfn);
        }
    }
    domain_put(d);
    return error;
}
