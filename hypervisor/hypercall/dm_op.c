/* SPDX-License-Identifier: MIT */
/*
 * dm_op: calls of a device model in the control domain. Of Xen's list those exist that are about
 * memory; the others belong to emulation outside the hypervisor, which does not exist.
 */
#include "dm_op.h"

#include <hv/guest_access.h>
#include <stddef.h>
#include <string.h>

_Static_assert(sizeof(struct xen_dm_op) == 32, "ABI");

static const struct {
    size_t bytes;        /* of the operation's own structure; 0: there is no such operation */
    bool keeps_progress; /* in its structure, which is copied back */
    long (*run)(struct domain *d, struct dm_call *call);
} operations[] = {
    [XEN_DMOP_track_dirty_vram] = {sizeof(struct xen_dm_op_track_dirty_vram), false,
                                   dm_op_track_dirty_vram},
    [XEN_DMOP_modified_memory] = {sizeof(struct xen_dm_op_modified_memory), true,
                                  dm_op_modified_memory},
    [XEN_DMOP_set_mem_type] = {sizeof(struct xen_dm_op_set_mem_type), true, dm_op_set_mem_type},
};

static long read_call(uint64_t buffers_gva, uint32_t buffers_count, struct dm_call *call,
                      struct xen_dm_op_buf *ret_buffer)
{
    struct xen_dm_op_buf buffers[2];
    size_t bytes;

    memset(buffers, 0, sizeof(buffers));
    if (buffers_count == 0) {
        return -EINVAL;
    }
    if (copy_from_guest(buffers, buffers_gva, (buffers_count < 2 ? 1 : 2) * sizeof(buffers[0])) !=
        0) {
        return -EFAULT;
    }
    memset(call, 0, sizeof(*call));
    bytes = buffers[0].size < sizeof(call->op) ? buffers[0].size : sizeof(call->op);
    if (buffers[0].size < offsetof(struct xen_dm_op, u) ||
        copy_from_guest(&call->op, buffers[0].h.q, bytes) != 0) {
        return -EFAULT;
    }
    *ret_buffer = buffers[0];
    call->data = buffers[1];
    return 0;
}

static long run(struct domain *d, uint64_t buffers_gva, uint32_t buffers_count)
{
    struct xen_dm_op_buf buffer;
    struct dm_call call;
    size_t bytes;
    long error = read_call(buffers_gva, buffers_count, &call, &buffer);

    if (error != 0) {
        return error;
    }
    if (call.op.op >= sizeof(operations) / sizeof(operations[0]) ||
        operations[call.op.op].bytes == 0) {
        return -EOPNOTSUPP;
    }
    bytes = offsetof(struct xen_dm_op, u) + operations[call.op.op].bytes;
    if (buffer.size < bytes) {
        return -EFAULT;
    }
    if (call.op.pad != 0) {
        return -EINVAL;
    }
    error = operations[call.op.op].run(d, &call);
    if (operations[call.op.op].keeps_progress && copy_to_guest(buffer.h.q, &call.op, bytes) != 0) {
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
