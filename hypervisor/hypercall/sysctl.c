/* SPDX-License-Identifier: MIT */
/* sysctl: checks in Xen's order (structure, version, privilege) and dispatch. */
#include "sysctl.h"

#include <hv/guest_access.h>
#include <stddef.h>

static const sysctl_fn handlers[] = {
    [XEN_SYSCTL_readconsole] = sysctl_read_console,
    [XEN_SYSCTL_physinfo] = sysctl_physinfo,
    [XEN_SYSCTL_sched_id] = sysctl_sched_id,
    [XEN_SYSCTL_getdomaininfolist] = sysctl_domain_info_list,
    [XEN_SYSCTL_getcpuinfo] = sysctl_cpu_info,
    [XEN_SYSCTL_availheap] = sysctl_avail_heap,
    [XEN_SYSCTL_cputopoinfo] = sysctl_cpu_topology,
    [XEN_SYSCTL_numainfo] = sysctl_numa_info,
    [XEN_SYSCTL_cpupool_op] = sysctl_cpupool_op,
};

#define HANDLERS_COUNT (sizeof(handlers) / sizeof(handlers[0]))

_Static_assert(sizeof(struct xen_sysctl) == 136, "ABI");
_Static_assert(sizeof(struct xen_sysctl_physinfo) == 112, "ABI");
_Static_assert(offsetof(struct xen_sysctl_physinfo, total_pages) == 40, "ABI");

long hcall_sysctl(struct hcall *call)
{
    struct xen_sysctl op;
    long error = -ENOSYS;

    if (copy_from_guest(&op, call->arg[0], sizeof(op)) != 0) {
        return -EFAULT;
    }
    if (op.interface_version != SYSCTL_VERSION_417 && op.interface_version != SYSCTL_VERSION_421) {
        return -EACCES;
    }
    if (!call->d->is_control) {
        return -EPERM;
    }
    if (op.cmd < HANDLERS_COUNT && handlers[op.cmd] != NULL) {
        error = handlers[op.cmd](&op);
    }
    if (error == 0 && copy_to_guest(call->arg[0], &op, sizeof(op)) != 0) {
        return -EFAULT;
    }
    return error;
}
