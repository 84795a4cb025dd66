/* SPDX-License-Identifier: MIT */
/* domctl: what a domain and a vCPU are doing. */
#include <hv/cpu.h>
#include <hv/guest_access.h>
#include <hv/sched.h>
#include <hv/time.h>
#include <string.h>

#include "domctl.h"
#include "hypercall_domain.h"

_Static_assert(sizeof(struct xen_domctl_getdomaininfo) == 120, "one layout from 4.17 on");

struct vcpu_summary {
    uint32_t online;
    uint32_t max_id; /* XEN_INVALID_MAX_VCPU_ID: none */
    uint64_t run_time_ns;
    bool running;
    bool all_blocked;
};

static struct vcpu_summary summarise_vcpus(struct domain *d)
{
    struct vcpu_summary summary = {.max_id = XEN_INVALID_MAX_VCPU_ID, .all_blocked = true};

    for (uint32_t id = 0; id < d->max_vcpus; id++) {
        struct vcpu *v = d->vcpus[id];

        if (v == NULL) {
            continue;
        }
        summary.max_id = id;
        summary.run_time_ns += sched_run_time_ns(v);
        if (v->state != VCPU_OFF) {
            summary.online++;
            summary.running |= v->state == VCPU_RUNNING;
            summary.all_blocked &= v->state == VCPU_BLOCKED;
        }
    }
    return summary;
}

static uint32_t info_flags(const struct domain *d, const struct vcpu_summary *vcpus)
{
    uint32_t flags = XEN_DOMINF_hvm_guest | XEN_DOMINF_hap;

    if (atomic_load_explicit(&d->dying, memory_order_relaxed) != DOMAIN_ALIVE) {
        flags |= XEN_DOMINF_dying;
    }
    if (d->shut_down) {
        flags |= XEN_DOMINF_shutdown | d->shutdown_code << XEN_DOMINF_shutdownshift;
    }
    if (d->pause_count != 0) {
        flags |= XEN_DOMINF_paused;
    }
    if (vcpus->all_blocked) {
        flags |= XEN_DOMINF_blocked;
    }
    if (vcpus->running) {
        flags |= XEN_DOMINF_running;
    }
    return flags;
}

void domctl_fill_info(struct domain *d, struct xen_domctl_getdomaininfo *ret_info)
{
    struct vcpu_summary vcpus = summarise_vcpus(d);

    memset(ret_info, 0, sizeof(*ret_info));
    ret_info->domain = d->id;
    ret_info->flags = info_flags(d, &vcpus);
    ret_info->tot_pages = atomic_load_explicit(&d->tot_pages, memory_order_relaxed);
    ret_info->max_pages = d->max_pages;
    ret_info->shared_info_frame = d->shared_info_gfn;
    ret_info->cpu_time = vcpus.run_time_ns;
    ret_info->nr_online_vcpus = vcpus.online;
    ret_info->max_vcpu_id = vcpus.max_id;
    memcpy(ret_info->handle, d->handle, sizeof(ret_info->handle));
    ret_info->gpaddr_bits = d->s2.ipa_bits;
    ret_info->arch_config.gic_version = XEN_DOMCTL_CONFIG_GIC_V3;
    ret_info->arch_config.nr_spis = d->vgic.spi_count;
}

long domctl_get_info(struct domctl *domctl)
{
    domctl_fill_info(domctl->d, &domctl->op.u.getdomaininfo);
    domctl->op.domain = domctl->d->id;
    domctl->copy_back = true;
    return 0;
}

long domctl_get_vcpu_info(struct domctl *domctl)
{
    struct xen_domctl_getvcpuinfo *info = &domctl->op.u.getvcpuinfo;
    struct vcpu *v = hcall_vcpu(domctl->d, info->vcpu);

    if (v == NULL) {
        return -ENOENT;
    }
    info->online = v->state != VCPU_OFF;
    info->blocked = v->state == VCPU_BLOCKED;
    info->running = v->state == VCPU_RUNNING;
    info->cpu_time = sched_run_time_ns(v);
    info->cpu = (uint32_t)v->last_cpu;
    domctl->copy_back = true;
    return 0;
}

/* Writes a bitmap of all CPUs of the host, as far as it has room. */
static long put_all_cpus(const struct xenctl_bitmap *map)
{
    uint64_t bytes = ((uint64_t)map->nr_bits + 7) / 8;
    uint8_t bits[(CPU_MAX + 7) / 8] = {0};
    size_t piece = bytes < sizeof(bits) ? (size_t)bytes : sizeof(bits);

    for (unsigned cpu = 0; cpu < cpu_count() && cpu < map->nr_bits; cpu++) {
        bits[cpu / 8] |= (uint8_t)(1u << (cpu % 8));
    }
    if (copy_to_guest(map->bitmap.q, bits, piece) != 0 ||
        clear_guest(map->bitmap.q + piece, (size_t)bytes - piece) != 0) {
        return -EFAULT;
    }
    return 0;
}

/* Every vCPU may run on every CPU. */
long domctl_get_vcpu_affinity(struct domctl *domctl)
{
    struct xen_domctl_vcpuaffinity *affinity = &domctl->op.u.vcpuaffinity;
    uint32_t known = XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT;
    long error = 0;

    if (affinity->flags == 0 || (affinity->flags & ~known) != 0) {
        return -EINVAL;
    }
    if (hcall_vcpu(domctl->d, affinity->vcpu) == NULL) {
        return -ESRCH;
    }
    if ((affinity->flags & XEN_VCPUAFFINITY_HARD) != 0) {
        error = put_all_cpus(&affinity->cpumap_hard);
    }
    if (error == 0 && (affinity->flags & XEN_VCPUAFFINITY_SOFT) != 0) {
        error = put_all_cpus(&affinity->cpumap_soft);
    }
    return error;
}
