/* SPDX-License-Identifier: MIT */
/* vcpu_op: where a Xen-aware kernel keeps vcpu_info and its run times, and its one-shot timer. */
#include <core/s2.h>
#include <hv/frame.h>
#include <hv/guest_access.h>
#include <hv/time.h>
#include <string.h>
#include <xen/vcpu.h>

#include "call.h"
#include "evtchn.h"
#include "runstate.h"

/*
 * The page's frame is held as long as the vCPU exists. What the boot-time vcpu_info in shared_info
 * says moves along; all selector bits are set once, so that nothing pending is missed.
 */
static long register_vcpu_info_at(struct vcpu *v, ipa_t ipa)
{
    struct domain *d = v->domain;
    struct s2_leaf leaf = s2_lookup_hold(&d->s2, ipa, frame_get);
    pa_t frame = pa_make(leaf.pa.addr & ~PAGE_MASK);
    long error = 0;

    if (leaf.type == S2_NONE || leaf.type == S2_DEVICE) {
        return -EINVAL;
    }
    if (leaf.type != S2_RAM_RW) {
        frame_put(frame);
        return -EINVAL;
    }
    spin_lock(&evtchn_lock);
    if (v->vcpu_info_pa.addr != 0) {
        error = -EBUSY;
    } else {
        uint8_t *info = (uint8_t *)pa_to_va(frame) + (ipa.addr & PAGE_MASK);

        if (v->id < XEN_LEGACY_MAX_VCPUS && d->shared_info != NULL) {
            memcpy(info, d->shared_info, sizeof(struct vcpu_info));
        } else {
            memset(info, 0, sizeof(struct vcpu_info));
        }
        v->vcpu_info_ipa = ipa;
        v->vcpu_info_pa = pa_add(frame, ipa.addr & PAGE_MASK);
        memset(info + offsetof(struct vcpu_info, evtchn_pending_sel), 0, sizeof(xen_ulong_t));
        evtchn_resend_all(v);
    }
    spin_unlock(&evtchn_lock);
    if (error != 0) {
        frame_put(frame);
    }
    return error;
}

static long register_vcpu_info(struct hcall *call, struct vcpu *v)
{
    struct vcpu_register_vcpu_info info;

    if (copy_from_guest(&info, call->arg[2], sizeof(info)) != 0) {
        return -EFAULT;
    }
    if (info.offset > PAGE_SIZE_BYTES - sizeof(struct vcpu_info) || info.offset % 8 != 0 ||
        info.mfn > UINT64_MAX >> PAGE_SHIFT) {
        return -EINVAL;
    }
    if (v != call->v && v->state != VCPU_OFF) {
        return -EINVAL; /* oneself, or a vCPU that does not run yet */
    }
    return register_vcpu_info_at(v, ipa_add(ipa_from_gfn(info.mfn), info.offset));
}

static long register_runstate(struct hcall *call, struct vcpu *v)
{
    struct vcpu_register_runstate_memory_area area;

    if (copy_from_guest(&area, call->arg[2], sizeof(area)) != 0) {
        return -EFAULT;
    }
    v->runstate_gva = area.addr.p;
    if (v == call->v) {
        hypercall_vcpu_switched_in(v);
    }
    return 0;
}

static long get_runstate(struct hcall *call, struct vcpu *v)
{
    struct vcpu_runstate_info info;

    runstate_get(v, &info);
    return copy_to_guest(call->arg[2], &info, sizeof(info)) != 0 ? -EFAULT : 0;
}

static void singleshot_fired(struct timer *timer)
{
    struct vcpu *v = (struct vcpu *)(void *)((char *)timer - offsetof(struct vcpu, singleshot));

    evtchn_send_vcpu_virq(v, VIRQ_TIMER);
}

static long set_singleshot_timer(struct hcall *call, struct vcpu *v)
{
    struct vcpu_set_singleshot_timer set;

    if (v != call->v) {
        return -EINVAL;
    }
    if (copy_from_guest(&set, call->arg[2], sizeof(set)) != 0) {
        return -EFAULT;
    }
    if ((set.flags & VCPU_SSHOTTMR_future) != 0 && set.timeout_abs_ns < time_now_ns()) {
        return -ETIME;
    }
    timer_cancel(&v->singleshot);
    timer_init(&v->singleshot, singleshot_fired);
    timer_set(&v->singleshot, set.timeout_abs_ns);
    return 0;
}

long hcall_vcpu_op(struct hcall *call)
{
    struct vcpu *v = call->arg[1] > UINT32_MAX ? NULL : hcall_vcpu(call->d, (uint32_t)call->arg[1]);

    if (v == NULL) {
        return -ENOENT;
    }
    switch ((uint32_t)call->arg[0]) {
    case VCPUOP_is_up:
        return v->state != VCPU_OFF;
    case VCPUOP_get_runstate_info:
        return get_runstate(call, v);
    case VCPUOP_register_runstate_memory_area:
        return register_runstate(call, v);
    case VCPUOP_register_vcpu_info:
        return register_vcpu_info(call, v);
    case VCPUOP_set_singleshot_timer:
        return set_singleshot_timer(call, v);
    case VCPUOP_stop_singleshot_timer:
        if (v != call->v) {
            return -EINVAL;
        }
        timer_cancel(&v->singleshot);
        return 0;
    default:
        return -EINVAL;
    }
}
