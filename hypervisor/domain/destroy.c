/* SPDX-License-Identifier: MIT */
/*
 * Taking a domain apart, in bounded steps that anybody may continue. What another CPU can still
 * reach through a reference (vCPUs, the vGIC, stage-2 tables) stays until the last one is dropped.
 */
#include "domain_internal.h"

#include <core/s2.h>
#include <hv/domain.h>
#include <hv/errno.h>
#include <hv/evtchn.h>
#include <hv/frame.h>
#include <hv/hypercall.h>
#include <hv/p2m.h>
#include <hv/sched.h>

enum destroy_phase { STOP, DEVICES, LOG, MEMORY, DONE };

static int stop(struct domain *d)
{
    spin_lock(&d->lock);
    atomic_store_explicit(&d->dying, DOMAIN_DYING, memory_order_relaxed);
    spin_unlock(&d->lock);
    sched_domain_recheck(d);
    sched_wait_stopped(d);
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        if (d->vcpus[i]) {
            vtimer_vcpu_stop(d->vcpus[i]);
            timer_cancel(&d->vcpus[i]->singleshot);
            timer_cancel(&d->vcpus[i]->throttle_end);
        }
    }
    return 0;
}

/* Drops every reference to the domain's own frames: they would keep it alive for ever. */
static int free_devices(struct domain *d)
{
    vpl011_free(d);
    vpl061_free(d);
    evtchn_domain_free(d);
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        struct vcpu *v = d->vcpus[i];
        if (v && v->vcpu_info_pa.addr) {
            frame_put(v->vcpu_info_pa);
            v->vcpu_info_pa = pa_make(0);
        }
    }
    return 0;
}

static int run_phase(struct domain *d)
{
    switch (d->destroy_phase) {
    case STOP:
        return stop(d);
    case DEVICES:
        return free_devices(d);
    case LOG:
        return hypercall_domain_kill_step(d);
    case MEMORY:
        return p2m_relinquish_step(d, &d->destroy_cursor_gfn);
    default:
        return 0;
    }
}

static void finish(struct domain *d)
{
    atomic_store_explicit(&d->dying, DOMAIN_DEAD, memory_order_relaxed);
    evtchn_send_global_virq(VIRQ_DOM_EXC);
    domain_put(d); /* the reference of its existence */
}

int domain_destroy_step(struct domain *d)
{
    if (!spin_trylock(&d->destroy_lock)) {
        return -ERESTART; /* somebody else is at it */
    }
    bool was_done = d->destroy_phase == DONE;
    int error = run_phase(d);
    if (error == 0 && !was_done) {
        d->destroy_phase++;
    }
    bool done = d->destroy_phase == DONE;
    spin_unlock(&d->destroy_lock);
    if (done && !was_done) {
        finish(d);
    }
    return error == 0 && !done ? -ERESTART : error;
}

void domain_free_parts(struct domain *d)
{
    for (uint32_t i = 0; i < d->max_vcpus; i++) {
        if (d->vcpus[i]) {
            vcpu_free(d->vcpus[i]);
        }
    }
    vgic_domain_free(d);
    s2_destroy(&d->s2);
}
