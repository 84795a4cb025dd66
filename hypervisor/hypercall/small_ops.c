/* SPDX-License-Identifier: MIT */
/* vm_assist and platform_op: what little of them a control domain uses on Arm. */
#include <hv/guest_access.h>
#include <stddef.h>
#include <xen/platform.h>
#include <xen/xen.h>

#include "call.h"
#include "wallclock.h"

/* The runstate update flag is the only assist of Arm; areas are refreshed by copies, so it is
 * refused. */
long hcall_vm_assist(struct hcall *call)
{
    switch ((uint32_t)call->arg[0]) {
    case VMASST_CMD_enable:
    case VMASST_CMD_disable:
        return -EINVAL;
    default:
        return -ENOSYS;
    }
}

long hcall_platform_op(struct hcall *call)
{
    struct xen_platform_op op;

    /* Bytes behind the largest operation served are not asked for. */
    if (copy_from_guest(&op, call->arg[0],
                        offsetof(struct xen_platform_op, u) + sizeof(op.u.settime64)) != 0) {
        return -EFAULT;
    }
    if (op.interface_version != XENPF_INTERFACE_VERSION) {
        return -EACCES;
    }
    if (!call->d->is_control) {
        return -EPERM;
    }
    switch (op.cmd) {
    case XENPF_settime64:
        if (op.u.settime64.mbz != 0) {
            return -EINVAL;
        }
        wallclock_set(op.u.settime64.secs, op.u.settime64.nsecs, op.u.settime64.system_time);
        return 0;
    case XENPF_settime32:
        wallclock_set(op.u.settime32.secs, op.u.settime32.nsecs, op.u.settime32.system_time);
        return 0;
    default:
        return -ENOSYS;
    }
}
