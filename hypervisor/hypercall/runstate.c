/* SPDX-License-Identifier: MIT */
/*
 * The runstate area of a Xen-aware kernel: a copy of the vCPU's times in its memory, refreshed
 * each time the vCPU is switched in. The scheduler keeps a sum per state.
 */
#include "runstate.h"

#include <hv/guest_access.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include <hv/time.h>
#include <string.h>

static const int runstates[VCPU_STATES] = {
    [VCPU_OFF] = RUNSTATE_offline,
    [VCPU_BLOCKED] = RUNSTATE_blocked,
    [VCPU_RUNNABLE] = RUNSTATE_runnable,
    [VCPU_RUNNING] = RUNSTATE_running,
};

void runstate_get(const struct vcpu *v, struct vcpu_runstate_info *ret_info)
{
    uint64_t now = time_now_ns();

    memset(ret_info, 0, sizeof(*ret_info));
    ret_info->state = runstates[v->state];
    ret_info->state_entry_time = v->state_entry_ns;
    for (unsigned i = 0; i < VCPU_STATES; i++) {
        ret_info->time[runstates[i]] = v->state_time_ns[i];
    }
    ret_info->time[ret_info->state] += now - v->state_entry_ns;
}

void hypercall_vcpu_switched_in(struct vcpu *v)
{
    struct vcpu_runstate_info info;

    if (v->runstate_gva != 0) {
        runstate_get(v, &info);
        /* The guest may have unmapped it: then there is nowhere to tell it. */
        (void)copy_to_guest_area(v->runstate_gva, &info, sizeof(info));
    }
}
