/* SPDX-License-Identifier: MIT */
/*
 * What keeps a domain or a vCPU from running: counted pauses, shutdown, death. And waiting until
 * none of its vCPUs is on a CPU any more.
 */
#include "sched_internal.h"

#include <hv/domain.h>
#include <hv/errno.h>
#include <hv/sched.h>
#include <hv/vtimer.h>
#include <port/inline.h>

static void recheck_all(struct domain *d)
{
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        if (d->vcpus[i]) {
            sched_recheck(d->vcpus[i]);
        }
    }
}

void sched_domain_recheck(struct domain *d)
{
    spin_lock(&sched_lock);
    recheck_all(d);
    sched_unlock();
}

void sched_domain_pause(struct domain *d)
{
    spin_lock(&sched_lock);
    if (d->pause_count++ == 0) {
        d->paused_at_ticks = time_counter();
    }
    recheck_all(d);
    sched_unlock();
}

/*
 * What a loaded domain has waited until now is hidden from it. Its vCPUs are still held: nothing
 * waited for their timers while the clock stood. Scheduler lock, dropped meanwhile.
 */
static void start_clock(struct domain *d)
{
    d->cntvoff_ticks += time_counter() - d->paused_at_ticks;
    /* Release pairs with the acquire in vtimer.c: the offset is there first. */
    atomic_store_explicit(&d->clock_stands, false, memory_order_release);
    sched_unlock();
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        if (d->vcpus[i]) {
            vtimer_recompute(d->vcpus[i]);
        }
    }
    spin_lock(&sched_lock);
}

int sched_domain_unpause(struct domain *d)
{
    int error = 0;

    spin_lock(&sched_lock);
    if (d->pause_count == 1 && atomic_load_explicit(&d->clock_stands, memory_order_relaxed)) {
        start_clock(d);
    }
    if (d->pause_count == 0) {
        error = -EINVAL;
    } else if (--d->pause_count == 0) {
        d->creation_finished = true;
        recheck_all(d);
    }
    sched_unlock();
    return error;
}

void sched_vcpu_pause(struct vcpu *v)
{
    spin_lock(&sched_lock);
    v->pause_count++;
    sched_recheck(v);
    sched_unlock();
}

void sched_vcpu_unpause(struct vcpu *v)
{
    spin_lock(&sched_lock);
    if (v->pause_count > 0 && --v->pause_count == 0) {
        sched_recheck(v);
    }
    sched_unlock();
}

bool sched_vcpu_is_stopped(const struct vcpu *v)
{
    spin_lock(&sched_lock);
    bool stopped = v->state != VCPU_RUNNING && sched_is_unloaded(v);
    sched_unlock();
    return stopped;
}

void sched_wait_stopped(struct domain *d)
{
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        while (d->vcpus[i] && !sched_vcpu_is_stopped(d->vcpus[i])) {
            port_cpu_relax();
            sched_wait_unloaded(d->vcpus[i]);
        }
    }
}
