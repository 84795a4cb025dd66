/* SPDX-License-Identifier: MIT */
/* sysctl: the list of domains, and the one pool of CPUs they all share. */
#include <hv/cpu.h>
#include <hv/guest_access.h>

#include "domctl.h"
#include "sysctl.h"

long sysctl_domain_info_list(struct xen_sysctl *op)
{
    struct xen_sysctl_getdomaininfolist *request = &op->u.getdomaininfolist;
    domid_t next = request->first_domain;
    uint32_t count = 0;
    struct domain *d;

    while (count < request->max_domains && (d = domain_get_next(next)) != NULL) {
        struct xen_domctl_getdomaininfo info;

        domctl_fill_info(d, &info);
        next = (domid_t)(d->id + 1);
        domain_put(d);
        if (copy_to_guest(request->buffer.q + count * sizeof(info), &info, sizeof(info)) != 0) {
            return -EFAULT;
        }
        count++;
    }
    request->num_domains = count;
    return 0;
}

static uint32_t count_domains(void)
{
    uint32_t count = 0;
    domid_t next = 0;
    struct domain *d;

    while ((d = domain_get_next(next)) != NULL) {
        next = (domid_t)(d->id + 1);
        domain_put(d);
        count++;
    }
    return count;
}

static long pool_info(struct xen_sysctl_cpupool_op *request)
{
    uint64_t bytes = ((uint64_t)request->cpumap.nr_bits + 7) / 8;
    uint8_t bits[(CPU_MAX + 7) / 8] = {0};
    size_t piece = bytes < sizeof(bits) ? (size_t)bytes : sizeof(bits);

    if (request->cpupool_id != 0) {
        return -ENOENT; /* the caller asks for the next pool at or above: pool 0 is the only one */
    }
    for (unsigned cpu = 0; cpu < cpu_count() && cpu < request->cpumap.nr_bits; cpu++) {
        bits[cpu / 8] |= (uint8_t)(1u << (cpu % 8));
    }
    if (copy_to_guest(request->cpumap.bitmap.q, bits, piece) != 0 ||
        clear_guest(request->cpumap.bitmap.q + piece, (size_t)bytes - piece) != 0) {
        return -EFAULT;
    }
    request->sched_id = XEN_SCHEDULER_CREDIT2;
    request->n_dom = count_domains();
    return 0;
}

long sysctl_cpupool_op(struct xen_sysctl *op)
{
    return op->u.cpupool_op.op == XEN_SYSCTL_CPUPOOL_OP_INFO ? pool_info(&op->u.cpupool_op)
                                                             : -EOPNOTSUPP;
}
