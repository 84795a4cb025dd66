/* SPDX-License-Identifier: MIT */
/* Godwit's own operations (godwit/ext.h). */
#include <core/dirty_log.h>
#include <core/s2.h>
#include <godwit/ext.h>
#include <hv/cpu.h>
#include <hv/frame.h>
#include <hv/guest_access.h>
#include <hv/irq.h>
#include <hv/save.h>
#include <hv/time.h>
#include <hv/vpl061.h>
#include <string.h>

#include "call.h"

static long op_power_key(struct domain *d)
{
    return vpl061_press_power_key(d);
}

static long op_stats(struct domain *d, struct godwit_stats *stats)
{
    struct s2_stats s2;
    uint64_t vcpus = 0;

    s2_stats_get(&d->s2, &s2);
    for (uint32_t id = 0; id < d->max_vcpus; id++) {
        vcpus += d->vcpus[id] != NULL;
    }
    memcpy(stats->leaves, s2.leaves, sizeof(stats->leaves));
    stats->tables = s2.tables;
    stats->tables_prepaid = s2.tables_prepaid;
    stats->faults_first_write = s2.faults_first_write;
    stats->faults_spurious = s2.faults_spurious;
    stats->faults_split = s2.faults_split;
    stats->splits = s2.splits;
    stats->merges = s2.merges;
    stats->invalidations = s2.invalidations;
    stats->hv_bytes = (s2.tables + s2.tables_prepaid) * PAGE_SIZE_BYTES + sizeof(struct domain) +
                      vcpus * sizeof(struct vcpu) +
                      (uint64_t)d->vgic.spi_count * sizeof(struct virq);
    stats->console_dropped_bytes =
        atomic_load_explicit(&d->vpl011.dropped_bytes, memory_order_relaxed);
    stats->logdirty = dirty_log_is_on(&d->s2);
    return 0;
}

static void host_info(struct godwit_host_info *info)
{
    memset(info, 0, sizeof(*info));
    hv_id_registers(info->id_aa64);
    info->cntfrq_hz = time_frequency_hz();
    info->free_pages = frame_free_pages();
    info->hv_pages = frame_hv_pages();
    info->cpus = cpu_count();
    info->lr_count = gic_info()->lr_count;
}

static long on_domain(struct hcall *call)
{
    uint64_t op = call->arg[0];
    struct godwit_stats stats;
    size_t bytes = op == GODWIT_OP_STATS ? sizeof(stats) : sizeof(struct godwit_domain_op);
    struct domain *d;
    long error;

    memset(&stats, 0, sizeof(stats));
    /* Both structures begin with the domain and its padding. */
    if (copy_from_guest(&stats, call->arg[1], sizeof(struct godwit_domain_op)) != 0) {
        return -EFAULT;
    }
    if (stats.pad[0] != 0 || stats.pad[1] != 0 || stats.pad[2] != 0) {
        return -EINVAL;
    }
    d = domain_get(stats.domid);
    if (d == NULL) {
        return -ESRCH;
    }
    error = op == GODWIT_OP_STATS ? op_stats(d, &stats) : op_power_key(d);
    domain_put(d);
    if (error == 0 && op == GODWIT_OP_STATS && copy_to_guest(call->arg[1], &stats, bytes) != 0) {
        return -EFAULT;
    }
    return error;
}

long hcall_godwit(struct hcall *call)
{
    struct godwit_host_info info;

    if (!call->d->is_control) {
        return -EPERM;
    }
    switch (call->arg[0]) {
    case GODWIT_OP_VERSION:
        return GODWIT_ABI_VERSION;
    case GODWIT_OP_POWER_KEY:
    case GODWIT_OP_STATS:
        return on_domain(call);
    case GODWIT_OP_HOST_INFO:
        host_info(&info);
        return copy_to_guest(call->arg[1], &info, sizeof(info)) != 0 ? -EFAULT : 0;
    default:
        return -ENOSYS;
    }
}
