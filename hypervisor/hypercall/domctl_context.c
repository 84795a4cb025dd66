/* SPDX-License-Identifier: MIT */
/* domctl: get and setvcpucontext, the core registers as Xen's tools lay them out. */
#include <hv/guest_access.h>
#include <hv/sched.h>
#include <stddef.h>
#include <string.h>

#include "domctl.h"

_Static_assert(sizeof(struct vcpu_guest_context) == 352, "ABI");
_Static_assert(offsetof(struct vcpu_guest_context, user_regs) == 8, "ABI");
_Static_assert(offsetof(struct vcpu_guest_core_regs, pc64) == 248, "x0..x30 stand in a row");
_Static_assert(offsetof(struct vcpu_guest_context, sctlr) == 320, "ABI");

#define CONTEXT_GPRS 31

/* Keeps v off the CPUs while its registers are read or written. */
static void hold_vcpu(struct domctl *domctl)
{
    sched_domain_pause(domctl->d);
    sched_wait_stopped(domctl->d);
}

static void release_vcpu(struct domctl *domctl)
{
    (void)sched_domain_unpause(domctl->d);
}

static void context_from_vcpu(const struct vcpu *v, struct vcpu_guest_context *ret_context)
{
    struct vcpu_guest_core_regs *regs = &ret_context->user_regs;
    const struct vcpu_sysregs *sys = &v->arch.sys;

    memset(ret_context, 0, sizeof(*ret_context));
    ret_context->flags = v->state != VCPU_OFF ? VGCF_online : 0;
    memcpy(&regs->x0, v->regs.x, CONTEXT_GPRS * sizeof(uint64_t));
    regs->pc64 = v->regs.pc;
    regs->cpsr = v->regs.cpsr;
    regs->spsr_el1 = sys->spsr_el1;
    regs->sp_el0 = sys->sp_el0;
    regs->sp_el1 = sys->sp_el1;
    regs->elr_el1 = sys->elr_el1;
    ret_context->sctlr = sys->sctlr_el1;
    ret_context->ttbcr = sys->tcr_el1;
    ret_context->ttbr0 = sys->ttbr0_el1;
    ret_context->ttbr1 = sys->ttbr1_el1;
}

/* Only 64-bit EL0 and EL1 exist for guests. */
static bool mode_is_valid(uint64_t cpsr)
{
    switch (cpsr & (PSR_MODE_BIT | 15u)) {
    case PSR_MODE_EL0t:
    case PSR_MODE_EL1t:
    case PSR_MODE_EL1h:
        return true;
    default:
        return false;
    }
}

static void vcpu_from_context(struct vcpu *v, const struct vcpu_guest_context *context)
{
    const struct vcpu_guest_core_regs *regs = &context->user_regs;
    struct vcpu_sysregs *sys = &v->arch.sys;

    if (!v->initialised) {
        vcpu_reset(v, 0, 0);
    }
    memcpy(v->regs.x, &regs->x0, CONTEXT_GPRS * sizeof(uint64_t));
    v->regs.pc = regs->pc64;
    v->regs.cpsr = regs->cpsr;
    sys->spsr_el1 = regs->spsr_el1;
    sys->sp_el0 = regs->sp_el0;
    sys->sp_el1 = regs->sp_el1;
    sys->elr_el1 = regs->elr_el1;
    sys->sctlr_el1 = context->sctlr;
    sys->tcr_el1 = context->ttbcr;
    sys->ttbr0_el1 = context->ttbr0;
    sys->ttbr1_el1 = context->ttbr1;
    v->initialised = true;
}

static long set_context(struct domctl *domctl, struct vcpu *v,
                        const struct vcpu_guest_context *context)
{
    hold_vcpu(domctl);
    vcpu_from_context(v, context);
    if ((context->flags & VGCF_online) != 0) {
        sched_vcpu_on(v);
    }
    release_vcpu(domctl);
    return 0;
}

static long reset_context(struct domctl *domctl, struct vcpu *v)
{
    hold_vcpu(domctl);
    vcpu_reset(v, 0, 0);
    v->initialised = false;
    release_vcpu(domctl);
    return 0;
}

long domctl_set_vcpu_context(struct domctl *domctl)
{
    const struct xen_domctl_vcpucontext *request = &domctl->op.u.vcpucontext;
    struct vcpu *v = hcall_vcpu(domctl->d, request->vcpu);
    struct vcpu_guest_context context;

    if (domctl->d == domctl->call->d || v == NULL) {
        return -EINVAL;
    }
    if (request->ctxt.q == 0) {
        return reset_context(domctl, v);
    }
    if (copy_from_guest(&context, request->ctxt.q, sizeof(context)) != 0) {
        return -EFAULT;
    }
    if (!mode_is_valid(context.user_regs.cpsr)) {
        return -EINVAL;
    }
    return set_context(domctl, v, &context);
}

long domctl_get_vcpu_context(struct domctl *domctl)
{
    const struct xen_domctl_vcpucontext *request = &domctl->op.u.vcpucontext;
    struct vcpu *v = hcall_vcpu(domctl->d, request->vcpu);
    struct vcpu_guest_context context;

    if (v == NULL || v == domctl->call->v) {
        return -EINVAL;
    }
    if (!v->initialised) {
        return -ENODATA;
    }
    if (domctl->d == domctl->call->d) {
        return -EINVAL; /* its CPUs cannot all be stopped by one of them */
    }
    hold_vcpu(domctl);
    context_from_vcpu(v, &context);
    release_vcpu(domctl);
    return copy_to_guest(request->ctxt.q, &context, sizeof(context)) != 0 ? -EFAULT : 0;
}
