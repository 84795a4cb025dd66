/* SPDX-License-Identifier: MIT */
/* Godwit's own operations (godwit/ext.h). */
#include <core/dirty_log.h>
#include <core/port.h>
#include <core/s2.h>
#include <godwit/ext.h>
#include <hv/cpu.h>
#include <hv/frame.h>
#include <hv/guest_access.h>
#include <hv/irq.h>
#include <hv/logdirty.h>
#include <hv/save.h>
#include <hv/time.h>
#include <hv/vpl061.h>
#include <stddef.h>
#include <string.h>

#include "call.h"
#include "godwit_ops.h"

/* The ABI numbers writers as core does. */
#define SAME_WRITER(name) _Static_assert(DIRTY_WRITER_##name - GODWIT_WRITER_##name == 0, "ABI")
SAME_WRITER(VCPU);
SAME_WRITER(HARDWARE);
SAME_WRITER(HYPERCALL);
SAME_WRITER(SHARED);
SAME_WRITER(DEVICE);
SAME_WRITER(FOREIGN);
SAME_WRITER(MODEL);
SAME_WRITER(MAPPING);
SAME_WRITER(BLOCK);
_Static_assert(sizeof(((struct s2_stats *)0)->bits_set) <=
                   sizeof(((struct godwit_stats *)0)->bits_set),
               "ABI");
_Static_assert(offsetof(struct godwit_stats, leaves) == sizeof(struct godwit_domain_op), "ABI");

static void get_stats(struct domain *d, struct godwit_stats *stats)
{
    struct dirty_log_options options = logdirty_options(d);
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
    stats->faults_walk = s2.faults_walk;
    stats->splits = s2.splits;
    stats->merges = s2.merges;
    stats->invalidations = s2.invalidations;
    stats->harvested = s2.harvested;
    stats->returned = s2.returned;
    memcpy(stats->bits_set, s2.bits_set, sizeof(s2.bits_set));
    stats->hv_bytes = (s2.tables + s2.tables_prepaid) * PAGE_SIZE_BYTES + sizeof(struct domain) +
                      vcpus * sizeof(struct vcpu) +
                      (uint64_t)d->vgic.spi_count * sizeof(struct virq);
    stats->console_dropped_bytes =
        atomic_load_explicit(&d->vpl011.dropped_bytes, memory_order_relaxed);
    stats->logdirty = dirty_log_is_on(&d->s2);
    stats->tracking = options.hardware ? GODWIT_TRACKING_HARDWARE : GODWIT_TRACKING_FAULT;
    stats->split = options.eager_split ? GODWIT_SPLIT_EAGER : GODWIT_SPLIT_LAZY;
    stats->host_tracking =
        port_has_hardware_dirty() ? GODWIT_TRACKING_HARDWARE : GODWIT_TRACKING_FAULT;
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

/* As much as the caller has room for: it may know fewer or more fields than we do. */
static long op_stats(uint64_t gva)
{
    struct godwit_stats stats;
    struct domain *d;

    memset(&stats, 0, sizeof(stats));
    if (copy_from_guest(&stats, gva, offsetof(struct godwit_stats, leaves)) != 0) {
        return -EFAULT;
    }
    if (stats.pad != 0 || stats.bytes < offsetof(struct godwit_stats, leaves)) {
        return -EINVAL;
    }
    d = domain_get(stats.domid);
    if (d == NULL) {
        return -ESRCH;
    }
    get_stats(d, &stats);
    domain_put(d);
    if (stats.bytes > sizeof(stats)) {
        stats.bytes = sizeof(stats);
    }
    return copy_to_guest(gva, &stats, stats.bytes) != 0 ? -EFAULT : 0;
}

static long op_power_key(uint64_t gva)
{
    struct godwit_domain_op op;
    struct domain *d;
    long error;

    if (copy_from_guest(&op, gva, sizeof(op)) != 0) {
        return -EFAULT;
    }
    if (op.pad[0] != 0 || op.pad[1] != 0 || op.pad[2] != 0) {
        return -EINVAL;
    }
    d = domain_get(op.domid);
    if (d == NULL) {
        return -ESRCH;
    }
    error = vpl061_press_power_key(d);
    domain_put(d);
    return error;
}

static long op_logdirty(uint64_t gva)
{
    struct godwit_logdirty op;
    struct domain *d;
    long error;

    if (copy_from_guest(&op, gva, sizeof(op)) != 0) {
        return -EFAULT;
    }
    if (op.pad != 0) {
        return -EINVAL;
    }
    d = domain_get(op.domid);
    if (d == NULL) {
        return -ESRCH;
    }
    error = logdirty_set(d, op.tracking, op.split);
    domain_put(d);
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
        return op_power_key(call->arg[1]);
    case GODWIT_OP_STATS:
        return op_stats(call->arg[1]);
    case GODWIT_OP_DIRTY_RANGES:
        return godwit_dirty_ranges(call);
    case GODWIT_OP_READONLY:
        return godwit_readonly(call->arg[1]);
    case GODWIT_OP_LOGDIRTY:
        return op_logdirty(call->arg[1]);
    case GODWIT_OP_VCPU_STATS:
        return godwit_vcpu_stats(call->arg[1]);
    case GODWIT_OP_VCPU_THROTTLE:
        return godwit_vcpu_throttle(call->arg[1]);
    case GODWIT_OP_WRITER_SAMPLE:
        return godwit_writer_sample(call->arg[1]);
    case GODWIT_OP_PAGES:
        return godwit_pages(call);
    case GODWIT_OP_HOST_INFO:
        host_info(&info);
        return copy_to_guest(call->arg[1], &info, sizeof(info)) != 0 ? -EFAULT : 0;
    default:
        return -ENOSYS;
    }
}
