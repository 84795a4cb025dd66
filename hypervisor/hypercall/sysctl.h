/* SPDX-License-Identifier: MIT */
/* Between the files of sysctl. A handler fills its part of op; the structure goes back if it
 * returns 0. */
#ifndef HYPERCALL_SYSCTL_H
#define HYPERCALL_SYSCTL_H

#include <stdint.h>
#include <xen/domctl.h>
#include <xen/sysctl.h>

#include "call.h"

#define SYSCTL_VERSION_417 0x15u
#define SYSCTL_VERSION_421 0x16u

typedef long (*sysctl_fn)(struct xen_sysctl *op);

long sysctl_read_console(struct xen_sysctl *op);
long sysctl_physinfo(struct xen_sysctl *op);
long sysctl_sched_id(struct xen_sysctl *op);
long sysctl_domain_info_list(struct xen_sysctl *op);
long sysctl_cpu_info(struct xen_sysctl *op);
long sysctl_avail_heap(struct xen_sysctl *op);
long sysctl_cpu_topology(struct xen_sysctl *op);
long sysctl_numa_info(struct xen_sysctl *op);
long sysctl_cpupool_op(struct xen_sysctl *op);

#endif
