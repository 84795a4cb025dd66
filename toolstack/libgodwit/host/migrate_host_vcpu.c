/* SPDX-License-Identifier: MIT */
/* What the real host knows of a guest's vCPUs and can take from them. Contracts: migrate_host.h. */
#include <errno.h>

#include "migrate_host_xen.h"

static int read_vcpu(struct gw_hv *hv, uint32_t domid, uint32_t id, struct migrate_vcpu *ret_vcpu)
{
    struct godwit_vcpu_stats stats = {0};
    int rc = gw_hv_vcpu_stats(hv, domid, id, &stats);

    if (rc == 0)
        *ret_vcpu = (struct migrate_vcpu){
            .faults = stats.faults,
            .dirty_pages = stats.dirty_pages * stats.pages_per_count,
            .pages_per_count = stats.pages_per_count,
            .throttle_percent = stats.throttle_percent,
            .stall_fault_ns = stats.fault_ns,
            .stall_throttle_ns = stats.throttle_ns,
            .stall_harvest_ns = stats.harvest_ns,
            .stall_pause_ns = stats.pause_ns,
        };
    return rc;
}

int migrate_xen_vcpu_stats(void *ctx, uint32_t domid, struct migrate_vcpu *ret_vcpus,
                           unsigned *ret_n, struct gw_error *err)
{
    struct migrate_xen *x = ctx;
    uint32_t n = 0;
    int rc = 0;

    while (n < STREAM_VCPUS_MAX && (rc = read_vcpu(x->hv, domid, n, &ret_vcpus[n])) == 0)
        n++;
    if (rc == -ENOSYS)
        rc = 0;
    if (rc < 0 && rc != -ENOENT)
        return gw_error_errno(err, rc, "cannot read what the vCPUs of domain %u do", domid);
    *ret_n = n;
    return 0;
}

int migrate_xen_vcpu_throttle(void *ctx, uint32_t domid, uint32_t vcpu, unsigned percent,
                              struct gw_error *err)
{
    int rc = gw_hv_vcpu_throttle(((struct migrate_xen *)ctx)->hv, domid, vcpu, percent);

    /* The throttle ends with the logging, and that with the domain. */
    if (percent == 0 && (rc == -ENOSYS || rc == -EINVAL || rc == -ESRCH))
        return 0;
    if (rc == -ENOSYS)
        return gw_error_set(err, GW_EXIT_UNSUPPORTED, "this hypervisor does not throttle vCPUs");
    return rc < 0 ? gw_error_errno(err, rc, "cannot throttle vCPU %u of domain %u", vcpu, domid)
                  : 0;
}

int migrate_xen_writer_sample(void *ctx, uint32_t domid, bool on, struct gw_error *err)
{
    int rc = gw_hv_writer_sample(((struct migrate_xen *)ctx)->hv, domid, on);

    if (rc == -ENOSYS || (rc == -EINVAL && !on))
        return 0;
    return rc < 0 ? gw_error_errno(err, rc, "cannot sample who writes in domain %u", domid) : 0;
}
