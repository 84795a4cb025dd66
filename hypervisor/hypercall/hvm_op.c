/* SPDX-License-Identifier: MIT */
/* hvm_op: parameters that the toolstack leaves for a guest. A guest reads five of them, writes
 * none. */
#include <hv/guest_access.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>

#include "call.h"

_Static_assert(HVM_NR_PARAMS <= sizeof(((struct domain *)0)->hvm_params) / sizeof(uint64_t),
               "room");

#define CALLBACK_LOW_LEVEL 8u /* the device tree's flag for it */

static bool param_of_guests(uint32_t index)
{
    switch (index) {
    case HVM_PARAM_CALLBACK_IRQ:
    case HVM_PARAM_STORE_PFN:
    case HVM_PARAM_STORE_EVTCHN:
    case HVM_PARAM_CONSOLE_PFN:
    case HVM_PARAM_CONSOLE_EVTCHN:
        return true;
    default:
        return false;
    }
}

static long check(const struct hcall *call, const struct domain *d, uint32_t index, bool set)
{
    if (!hcall_may_manage(call, d)) {
        return -EPERM;
    }
    if (param_of_guests(index)) {
        return set && d == call->d ? -EPERM : 0;
    }
    if (index == HVM_PARAM_MONITOR_RING_PFN) {
        return d == call->d ? -EPERM : 0;
    }
    return d == call->d ? -EPERM : -EINVAL;
}

static uint64_t callback_irq(const struct domain *d)
{
    return (uint64_t)HVM_PARAM_CALLBACK_TYPE_PPI << 56 | (uint64_t)CALLBACK_LOW_LEVEL << 8 |
           d->evtchn_upcall_ppi;
}

static uint64_t param_get(struct domain *d, uint32_t index)
{
    uint64_t value;

    spin_lock(&d->lock);
    value = d->hvm_params[index];
    spin_unlock(&d->lock);
    return index == HVM_PARAM_CALLBACK_IRQ && value == 0 ? callback_irq(d) : value;
}

static void param_set(struct domain *d, uint32_t index, uint64_t value)
{
    spin_lock(&d->lock);
    d->hvm_params[index] = value;
    spin_unlock(&d->lock);
}

long hcall_hvm_op(struct hcall *call)
{
    bool set = (uint32_t)call->arg[0] == HVMOP_set_param;
    struct xen_hvm_param param;
    struct domain *d;
    long error;

    if (!set && (uint32_t)call->arg[0] != HVMOP_get_param) {
        return -ENOSYS;
    }
    if (copy_from_guest(&param, call->arg[1], sizeof(param)) != 0) {
        return -EFAULT;
    }
    if (param.index >= HVM_NR_PARAMS) {
        return -EINVAL;
    }
    d = hcall_domain_get(call, param.domid);
    if (d == NULL) {
        return -ESRCH;
    }
    error = check(call, d, param.index, set);
    if (error == 0 && set) {
        param_set(d, param.index, param.value);
    } else if (error == 0) {
        param.value = param_get(d, param.index);
        error = copy_to_guest(call->arg[1], &param, sizeof(param)) != 0 ? -EFAULT : 0;
    }
    domain_put(d);
    return error;
}
