/* SPDX-License-Identifier: MIT */
/*
 * The runstate area of a Xen-aware kernel: a copy of the vCPU's run times in its memory, refreshed
 * each time the vCPU is switched in. The scheduler keeps the time run; all other time counts as
 * blocked, so a guest sees no steal time.
 */
#include "runstate.h"

#include <hv/guest_access.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include <hv/time.h>
#include <string.h>

static int runstate_of(const struct vcpu *v)
{
    switch (v->state) {
    case VCPU_RUNNING:
        return RUNSTATE_running;
    case VCPU_RUNNABLE:
        return RUNSTATE_runnable;
    case VCPU_BLOCKED:
        return RUNSTATE_blocked;
    default:
        return RUNSTATE_offline;
    }
}

void runstate_get(const struct vcpu *v, struct vcpu_runstate_info *ret_info)
{
    uint64_t ran = sched_run_time_ns(v);
    uint64_t now = time_now_ns();

    memset(ret_info, 0, sizeof(*ret_info));
    ret_info->state = runstate_of(v);
    ret_info->state_entry_time = v->state_entry_ns;
    ret_info->time[RUNSTATE_running] = ran < now ? ran : now;
    ret_info->time[RUNSTATE_blocked] = now - ret_info->time[RUNSTATE_running];
}

void hypercall_vcpu_switched_in(struct vcpu *v)
{
    struct vcpu_runstate_info info;

    if (v->runstate_gva != 0) {
        runstate_get(v, &info);
        /* The guest may have unmapped it: then there is nowhere to tell it. */
        (void)copy_to_guest(v->runstate_gva, &info, sizeof(info));
    }
}
