/* SPDX-License-Identifier: MIT */
/* What hypercalls have under way for a domain and must end before its memory goes. */
#include <core/dirty_log.h>
#include <hv/domain.h>
#include <hv/errno.h>
#include <hv/hypercall.h>
#include <hv/sched.h>

#include "shadow.h"

int hypercall_domain_kill_step(struct domain *d)
{
    if (!shadow_session_abandon(d)) {
        return -ERESTART; /* the CPU that works on it stops at its next piece */
    }
    sched_domain_may_throttle(d, false);
    return dirty_log_off(&d->s2);
}
