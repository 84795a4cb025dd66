/* SPDX-License-Identifier: MIT */
/* What logging costs the vCPUs of a domain, and how they are slowed down for it. */
#include <core/dirty_log.h>
#include <godwit/ext.h>
#include <hv/domain.h>
#include <hv/errno.h>
#include <hv/guest_access.h>
#include <hv/sched.h>
#include <hv/stall.h>
#include <stddef.h>
#include <string.h>

#include "godwit_ops.h"

#define STATS_IN_BYTES offsetof(struct godwit_vcpu_stats, faults)
#define PERCENT_MAX    99u

_Static_assert(DIRTY_LOG_SAMPLE_PAGES == GODWIT_SAMPLE_PAGES, "ABI");

static struct vcpu *find_vcpu(const struct domain *d, uint32_t id)
{
    return id < d->max_vcpus ? d->vcpus[id] : NULL;
}

static void get_stats(struct vcpu *v, struct godwit_vcpu_stats *stats)
{
    struct sched_holds holds = sched_vcpu_holds(v);
    struct stall_report report;

    stall_vcpu_read(v, &report);
    stats->faults = report.faults;
    stats->dirty_pages = report.dirty_pages;
    stats->fault_ns = report.fault_ns;
    stats->harvest_ns = report.wait_ns;
    stats->throttle_ns = holds.throttle_ns;
    stats->pause_ns = holds.pause_ns;
    stats->throttle_percent = holds.throttle_percent;
    stats->pages_per_count = dirty_log_pages_per_fault(&v->domain->s2);
}

/* As much as the caller has room for, as GODWIT_OP_STATS. */
long godwit_vcpu_stats(uint64_t gva)
{
    struct godwit_vcpu_stats stats;
    struct domain *d;
    struct vcpu *v;

    memset(&stats, 0, sizeof(stats));
    if (copy_from_guest(&stats, gva, STATS_IN_BYTES) != 0) {
        return -EFAULT;
    }
    if (stats.pad != 0 || stats.pad2 != 0 || stats.bytes < STATS_IN_BYTES) {
        return -EINVAL;
    }
    d = domain_get(stats.domid);
    if (d == NULL) {
        return -ESRCH;
    }
    v = find_vcpu(d, stats.vcpu);
    if (v != NULL) {
        get_stats(v, &stats);
    }
    domain_put(d);
    if (v == NULL) {
        return -ENOENT;
    }
    if (stats.bytes > sizeof(stats)) {
        stats.bytes = sizeof(stats);
    }
    return copy_to_guest(gva, &stats, stats.bytes) != 0 ? -EFAULT : 0;
}

long godwit_vcpu_throttle(uint64_t gva)
{
    struct godwit_vcpu_throttle op;
    struct domain *d;
    struct vcpu *v;
    long error;

    if (copy_from_guest(&op, gva, sizeof(op)) != 0) {
        return -EFAULT;
    }
    if (op.pad[0] != 0 || op.pad[1] != 0 || op.pad[2] != 0 || op.percent > PERCENT_MAX) {
        return -EINVAL;
    }
    d = domain_get(op.domid);
    if (d == NULL) {
        return -ESRCH;
    }
    v = find_vcpu(d, op.vcpu);
    if (v == NULL && op.vcpu != GODWIT_VCPU_ALL) {
        error = -ENOENT;
    } else {
        error = sched_throttle(d, v, op.percent);
    }
    domain_put(d);
    return error;
}

long godwit_writer_sample(uint64_t gva)
{
    struct godwit_writer_sample op;
    struct domain *d;
    long error;

    if (copy_from_guest(&op, gva, sizeof(op)) != 0) {
        return -EFAULT;
    }
    if (op.pad != 0 || op.enable > 1) {
        return -EINVAL;
    }
    d = domain_get(op.domid);
    if (d == NULL) {
        return -ESRCH;
    }
    error = dirty_log_sample(&d->s2, op.enable == 1);
    domain_put(d);
    return error;
}
