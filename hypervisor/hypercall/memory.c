/* SPDX-License-Identifier: MIT */
/* memory_op: dispatch, and the operations that only report numbers. */
#include "memory.h"

#include <hv/frame.h>
#include <hv/guest_access.h>
#include <xen/memory.h>

long memory_maximum_ram_page(void)
{
    return (long)frame_max_mfn();
}

long memory_domain_number(struct hcall *call, uint32_t op)
{
    struct domain *d;
    domid_t id;
    long number;

    if (copy_from_guest(&id, call->arg[1], sizeof(id)) != 0) {
        return -EFAULT;
    }
    number = hcall_managed_get(call, id, &d);
    if (d == NULL) {
        return number;
    }
    if (op == XENMEM_current_reservation) {
        number = (long)atomic_load_explicit(&d->tot_pages, memory_order_relaxed);
    } else if (op == XENMEM_maximum_reservation) {
        number = (long)d->max_pages;
    } else {
        number = (long)atomic_load_explicit(&d->max_gfn, memory_order_relaxed);
    }
    domain_put(d);
    return number;
}

/* Nothing is set aside: the call answers whether the claim could be met at this moment. */
long memory_claim_pages(struct hcall *call)
{
    struct xen_memory_reservation claim;
    struct domain *d;
    uint64_t held;
    long error = 0;

    if (copy_from_guest(&claim, call->arg[1], sizeof(claim)) != 0) {
        return -EFAULT;
    }
    if (claim.extent_start.q != 0 || claim.extent_order != 0 || claim.mem_flags != 0) {
        return -EINVAL;
    }
    if (!call->d->is_control) {
        return -EPERM;
    }
    d = domain_get(claim.domid);
    if (d == NULL) {
        return -ESRCH;
    }
    held = atomic_load_explicit(&d->tot_pages, memory_order_relaxed);
    if (claim.nr_extents > held && claim.nr_extents - held > frame_free_pages()) {
        error = -ENOMEM;
    }
    domain_put(d);
    return error;
}

/* No resource of Xen's list exists here: no ioreq servers, no trace buffers, no grant frames of
 * others. */
long memory_acquire_resource(struct hcall *call)
{
    struct xen_mem_acquire_resource request;
    struct domain *d;
    long error;

    if (copy_from_guest(&request, call->arg[1], sizeof(request)) != 0) {
        return -EFAULT;
    }
    if (request.pad != 0) {
        return -EINVAL;
    }
    d = domain_get(request.domid);
    if (d == NULL || d == call->d) {
        error = d == NULL ? -ESRCH : -EPERM;
    } else {
        error = call->d->is_control ? -EOPNOTSUPP : -EPERM;
    }
    if (d != NULL) {
        domain_put(d);
    }
    return error;
}

long hcall_memory_op(struct hcall *call)
{
    uint32_t op = (uint32_t)(call->arg[0] & MEMOP_CMD_MASK);

    switch (op) {
    case XENMEM_increase_reservation:
        return memory_increase(call);
    case XENMEM_decrease_reservation:
        return memory_decrease(call);
    case XENMEM_populate_physmap:
        return memory_populate(call);
    case XENMEM_maximum_ram_page:
        return memory_maximum_ram_page();
    case XENMEM_current_reservation:
    case XENMEM_maximum_reservation:
    case XENMEM_maximum_gpfn:
        return memory_domain_number(call, op);
    case XENMEM_add_to_physmap:
        return memory_add_to_physmap(call);
    case XENMEM_add_to_physmap_batch:
        return memory_add_to_physmap_batch(call);
    case XENMEM_remove_from_physmap:
        return memory_remove_from_physmap(call);
    case XENMEM_claim_pages:
        return memory_claim_pages(call);
    case XENMEM_acquire_resource:
        return memory_acquire_resource(call);
    default:
        return -ENOSYS;
    }
}
