/* SPDX-License-Identifier: MIT */
/* What hypercalls have set up for a domain and must go before its memory does. */
#include <core/dirty_log.h>
#include <hv/errno.h>
#include <hv/frame.h>
#include <hv/hypercall.h>
#include <hv/time.h>

#include "evtchn.h"
#include "shadow.h"

/* The vCPUs do not run any more; evtchn_lock keeps others from writing to the page meanwhile. */
static void drop_vcpu_info(struct vcpu *v)
{
    pa_t info;

    spin_lock(&evtchn_lock);
    info = v->vcpu_info_pa;
    v->vcpu_info_pa = pa_make(0);
    spin_unlock(&evtchn_lock);
    if (info.addr != 0) {
        frame_put(pa_make(info.addr & ~PAGE_MASK));
    }
}

int hypercall_domain_kill_step(struct domain *d)
{
    int error;

    if (!shadow_session_abandon(d)) {
        return -ERESTART;
    }
    error = dirty_log_off(&d->s2);
    if (error != 0) {
        return error;
    }
    for (uint32_t id = 0; id < d->max_vcpus; id++) {
        if (d->vcpus[id] != NULL) {
            d->vcpus[id]->runstate_gva = 0;
            timer_cancel(&d->vcpus[id]->singleshot);
            drop_vcpu_info(d->vcpus[id]);
        }
    }
    return 0;
}
