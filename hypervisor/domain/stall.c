/* SPDX-License-Identifier: MIT */
#include <core/s2.h>
#include <hv/cpu.h>
#include <hv/domain.h>
#include <hv/stall.h>
#include <hv/time.h>

#define MEAN_SCALE 256u /* the mean of few counts each, in parts of a count */

void stall_vcpu_init(struct vcpu *v)
{
    v->stall = (struct stall_vcpu){.cpu = -1};
}

static struct stall_counts counts_on(const struct vcpu *v, int cpu)
{
    struct stall_counts counts;

    s2_stats_cpu(&v->domain->s2, (unsigned)cpu, &counts.faults, &counts.dirty_pages);
    return counts;
}

/* Everything up to now; locked. */
static struct stall_counts counts_now(const struct vcpu *v)
{
    const struct stall_vcpu *stall = &v->stall;
    struct stall_counts counts = stall->done;

    if (stall->cpu >= 0) {
        struct stall_counts here = counts_on(v, stall->cpu);

        counts.faults += here.faults - stall->base.faults;
        counts.dirty_pages += here.dirty_pages - stall->base.dirty_pages;
    }
    return counts;
}

void stall_vcpu_load(struct vcpu *v)
{
    spin_lock(&v->stall.lock);
    v->stall.cpu = (int)this_cpu()->id;
    v->stall.base = counts_on(v, v->stall.cpu);
    spin_unlock(&v->stall.lock);
}

void stall_vcpu_unload(struct vcpu *v)
{
    spin_lock(&v->stall.lock);
    v->stall.done = counts_now(v);
    v->stall.cpu = -1;
    spin_unlock(&v->stall.lock);
}

void stall_long_fault(struct vcpu *v, uint64_t began, uint64_t locked, uint64_t ended)
{
    spin_lock(&v->stall.lock);
    v->stall.long_faults++;
    v->stall.wait_ticks += locked - began;
    v->stall.fault_ticks += ended - locked;
    spin_unlock(&v->stall.lock);
}

void stall_domain_reset(struct domain *d)
{
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        struct vcpu *v = d->vcpus[i];

        if (v == NULL) {
            continue;
        }
        spin_lock(&v->stall.lock);
        v->stall.done = (struct stall_counts){0};
        if (v->stall.cpu >= 0) {
            v->stall.base = counts_on(v, v->stall.cpu);
        }
        v->stall.long_faults = 0;
        v->stall.fault_ticks = 0;
        v->stall.wait_ticks = 0;
        spin_unlock(&v->stall.lock);
    }
}

/* What that many faults took that nobody timed, by those that the entry code did: on all CPUs. */
static uint64_t short_faults_ticks(uint64_t faults)
{
    uint64_t samples = 0, ticks = 0;

    for (unsigned id = 0; id < cpu_count(); id++) {
        /* Each CPU writes its own; a sample more or less does not matter. */
        samples += __atomic_load_n(&cpus[id].fast_samples, __ATOMIC_RELAXED);
        ticks += __atomic_load_n(&cpus[id].fast_ticks, __ATOMIC_RELAXED);
    }
    return samples == 0 ? 0 : ticks * MEAN_SCALE / samples * faults / MEAN_SCALE;
}

void stall_vcpu_read(struct vcpu *v, struct stall_report *ret_report)
{
    struct stall_counts counts;
    uint64_t short_faults, fault_ticks, wait_ticks;

    spin_lock(&v->stall.lock);
    counts = counts_now(v);
    short_faults = counts.faults > v->stall.long_faults ? counts.faults - v->stall.long_faults : 0;
    fault_ticks = v->stall.fault_ticks;
    wait_ticks = v->stall.wait_ticks;
    spin_unlock(&v->stall.lock);
    *ret_report = (struct stall_report){
        .faults = counts.faults,
        .dirty_pages = counts.dirty_pages,
        .fault_ns = time_ticks_to_ns(fault_ticks + short_faults_ticks(short_faults)),
        .wait_ns = time_ticks_to_ns(wait_ticks),
    };
}
