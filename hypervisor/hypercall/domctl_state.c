/* SPDX-License-Identifier: MIT */
/* domctl: pause, unpause, resume, destroy, and the limits and names that a toolstack sets. */
#include <hv/sched.h>
#include <string.h>

#include "domctl.h"

#define KIB_PER_PAGE_SHIFT (PAGE_SHIFT - 10)

static bool is_self(const struct domctl *domctl)
{
    return domctl->d == domctl->call->d;
}

long domctl_pause(struct domctl *domctl)
{
    if (is_self(domctl)) {
        return -EINVAL;
    }
    sched_domain_pause(domctl->d);
    sched_wait_stopped(domctl->d);
    return 0;
}

long domctl_unpause(struct domctl *domctl)
{
    return is_self(domctl) ? -EINVAL : sched_domain_unpause(domctl->d);
}

long domctl_resume(struct domctl *domctl)
{
    if (is_self(domctl)) {
        return -EINVAL;
    }
    return domain_resume(domctl->d);
}

/* -ERESTART of a step runs the HVC again: the guest's vCPUs and interrupts get their turn between.
 */
long domctl_destroy(struct domctl *domctl)
{
    long error;

    if (is_self(domctl)) {
        return -EINVAL;
    }
    error = domain_destroy_step(domctl->d);
    return error == -ERESTART ? HYPERCALL_RESTART : error;
}

/* May be below what the domain has: then it gets no more. */
long domctl_max_mem(struct domctl *domctl)
{
    struct domain *d = domctl->d;

    spin_lock(&d->lock);
    d->max_pages = domctl->op.u.max_mem.max_memkb >> KIB_PER_PAGE_SHIFT;
    spin_unlock(&d->lock);
    return 0;
}

long domctl_max_vcpus(struct domctl *domctl)
{
    struct domain *d = domctl->d;
    uint32_t max = domctl->op.u.max_vcpus.max;
    long error = 0;

    if (max != d->max_vcpus) {
        return -EINVAL;
    }
    spin_lock(&d->lock); /* two callers make each vCPU once */
    for (uint32_t id = 0; id < max && error == 0; id++) {
        if (d->vcpus[id] == NULL) {
            error = vcpu_create(d, id) == NULL ? -ENOMEM : 0;
        }
    }
    spin_unlock(&d->lock);
    return error;
}

long domctl_set_handle(struct domctl *domctl)
{
    struct domain *d = domctl->d;

    spin_lock(&d->lock);
    memcpy(d->handle, domctl->op.u.setdomainhandle.handle, sizeof(d->handle));
    spin_unlock(&d->lock);
    return 0;
}

/* There are 64-bit guests only. As in Xen it is a question of the time before memory exists. */
long domctl_set_address_size(struct domctl *domctl)
{
    struct domain *d = domctl->d;

    if (domctl->op.u.address_size.size != 64) {
        return -EINVAL;
    }
    if (atomic_load_explicit(&d->tot_pages, memory_order_relaxed) != 0) {
        return d->addr_size_set ? 0 : -EBUSY;
    }
    d->addr_size_set = true;
    return 0;
}
