/* SPDX-License-Identifier: MIT */
/* hvm_op: parameters that the toolstack leaves for a guest (which reads five of them, and writes
 * none), and what kind of memory a page is. */
#include <core/s2.h>
#include <hv/guest_access.h>
#include <hv/p2m.h>
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

/* What is no memory of its own is for a device model to answer, as in Xen. */
static uint16_t mem_type_of(enum s2_type type)
{
    switch (type) {
    case S2_RAM_RO:
    case S2_FOREIGN_RO:
        return HVMMEM_ram_ro;
    case S2_NONE:
    case S2_DEVICE:
        return HVMMEM_mmio_dm;
    default:
        return HVMMEM_ram_rw;
    }
}

static long get_mem_type(struct hcall *call)
{
    struct xen_hvm_get_mem_type request;
    struct domain *d;
    enum s2_type type;
    long error;

    if (copy_from_guest(&request, call->arg[1], sizeof(request)) != 0) {
        return -EFAULT;
    }
    error = hcall_managed_get(call, request.domid, &d);
    if (error != 0) {
        return error;
    }
    type = request.pfn > UINT64_MAX >> PAGE_SHIFT
               ? S2_NONE
               : s2_lookup(&d->s2, ipa_from_gfn(request.pfn)).type;
    domain_put(d);
    request.mem_type = mem_type_of(type);
    return copy_to_guest(call->arg[1], &request, sizeof(request)) != 0 ? -EFAULT : 0;
}

static long param_op(struct hcall *call, bool set)
{
    struct xen_hvm_param param;
    struct domain *d;
    long error;

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

long hcall_hvm_op(struct hcall *call)
{
    switch ((uint32_t)call->arg[0]) {
    case HVMOP_set_param:
        return param_op(call, true);
    case HVMOP_get_param:
        return param_op(call, false);
    case HVMOP_get_mem_type:
        return get_mem_type(call);
    default:
        return -ENOSYS;
    }
}
