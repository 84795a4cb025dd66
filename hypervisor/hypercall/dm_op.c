/* SPDX-License-Identifier: MIT */
/*
 * dm_op: a device model in the control domain tells which pages of a guest it has written.
 * The other operations of Xen's list belong to emulation outside the hypervisor, which does not
 * exist.
 */
#include <core/dirty_log.h>
#include <hv/cpu.h>
#include <hv/guest_access.h>
#include <stddef.h>
#include <string.h>
#include <xen/hvm/dm_op.h>

#include "call.h"

#define PAGES_BETWEEN_CHECKS 256u

_Static_assert(sizeof(struct xen_dm_op) == 32, "ABI");
_Static_assert(sizeof(struct xen_dm_op_modified_memory_extent) == 16, "ABI");

/* Extents that end at or behind the highest page are refused, as in Xen. */
static long check_extent(const struct domain *d,
                         const struct xen_dm_op_modified_memory_extent *extent)
{
    uint64_t last = extent->first_pfn + extent->nr - 1;

    if (extent->pad != 0) {
        return -EINVAL;
    }
    return extent->nr == 0 || last < extent->first_pfn || last >= d->max_gfn ? -EINVAL : 0;
}

/*
 * Marks one extent from page opaque on. True: all of it is marked; false: *opaque says where to
 * go on, because others want this CPU.
 */
static bool mark_extent(struct domain *d, const struct xen_dm_op_modified_memory_extent *extent,
                        uint32_t *opaque)
{
    while (*opaque < extent->nr) {
        dirty_log_mark(&d->s2, ipa_from_gfn(extent->first_pfn + *opaque), DIRTY_WRITER_MODEL);
        ++*opaque;
        if (*opaque % PAGES_BETWEEN_CHECKS == 0 && *opaque < extent->nr && cpu_preempt_pending()) {
            return false;
        }
    }
    *opaque = 0;
    return true;
}

/* From the last extent to the first; nr_extents and opaque are the progress. */
static long modified_memory(struct domain *d, struct xen_dm_op_modified_memory *request,
                            const struct xen_dm_op_buf *extents)
{
    bool first = true;

    if (request->nr_extents > extents->size / sizeof(struct xen_dm_op_modified_memory_extent)) {
        return -EINVAL;
    }
    if (!dirty_log_is_on(&d->s2)) {
        return 0;
    }
    for (; request->nr_extents != 0; request->nr_extents--) {
        struct xen_dm_op_modified_memory_extent extent;
        uint64_t at = extents->h.q + (request->nr_extents - 1) * sizeof(extent);
        long error;

        if (!first && cpu_preempt_pending()) {
            return -ERESTART;
        }
        first = false;
        if (copy_from_guest(&extent, at, sizeof(extent)) != 0) {
            return -EFAULT;
        }
        error = check_extent(d, &extent);
        if (error != 0) {
            return error;
        }
        if (!mark_extent(d, &extent, &request->opaque)) {
            return -ERESTART;
        }
    }
    return 0;
}

static long run(struct domain *d, uint64_t buffers_gva, uint32_t buffers_count)
{
    struct xen_dm_op_buf buffers[2];
    struct xen_dm_op op;
    uint32_t count = buffers_count < 2 ? buffers_count : 2;
    long error;

    memset(buffers, 0, sizeof(buffers));
    if (buffers_count == 0) {
        return -EINVAL;
    }
    if (copy_from_guest(buffers, buffers_gva, count * sizeof(buffers[0])) != 0) {
        return -EFAULT;
    }
    memset(&op, 0, sizeof(op));
    if (buffers[0].size < offsetof(struct xen_dm_op, u) ||
        copy_from_guest(&op, buffers[0].h.q,
                        buffers[0].size < sizeof(op) ? buffers[0].size : sizeof(op)) != 0) {
        return -EFAULT;
    }
    if (op.op != XEN_DMOP_modified_memory) {
        return -EOPNOTSUPP;
    }
    if (buffers[0].size < offsetof(struct xen_dm_op, u) + sizeof(op.u.modified_memory)) {
        return -EFAULT;
    }
    if (op.pad != 0) {
        return -EINVAL;
    }
    error = modified_memory(d, &op.u.modified_memory, &buffers[1]);
    if (copy_to_guest(buffers[0].h.q, &op,
                      offsetof(struct xen_dm_op, u) + sizeof(op.u.modified_memory)) != 0) {
        return -EFAULT;
    }
    return error == -ERESTART ? HYPERCALL_RESTART : error;
}

long hcall_dm_op(struct hcall *call)
{
    struct domain *d = domain_get((domid_t)call->arg[0]);
    long error;

    if (d == NULL) {
        return -ESRCH;
    }
    if (d == call->d || !call->d->is_control) {
        error = d == call->d ? -EINVAL : -EPERM;
    } else {
        error = run(d, call->arg[2], (uint32_t)call->arg[1]);
    }
    domain_put(d);
    return error;
}
