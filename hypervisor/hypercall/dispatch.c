/* SPDX-License-Identifier: MIT */
/*
 * From `hvc #0xEA1` to a handler and back. A handler that wants to go on later leaves its
 * progress in the arguments; pc goes back to the HVC, the CPU does what is pending, and the guest
 * executes the call again without knowing.
 */
#include <hv/regs.h>
#include <stddef.h>
#include <xen/xen.h>

#include <godwit/ext.h>

#include "call.h"
#include "shadow.h"

#define HVC_BYTES 4u

static const hcall_fn handlers[] = {
    [__HYPERVISOR_platform_op] = hcall_platform_op,
    [__HYPERVISOR_memory_op] = hcall_memory_op,
    [__HYPERVISOR_multicall] = hcall_multicall,
    [__HYPERVISOR_xen_version] = hcall_xen_version,
    [__HYPERVISOR_console_io] = hcall_console_io,
    [__HYPERVISOR_grant_table_op] = hcall_grant_table_op,
    [__HYPERVISOR_vm_assist] = hcall_vm_assist,
    [__HYPERVISOR_vcpu_op] = hcall_vcpu_op,
    [__HYPERVISOR_sched_op] = hcall_sched_op,
    [__HYPERVISOR_event_channel_op] = hcall_event_channel_op,
    [__HYPERVISOR_hvm_op] = hcall_hvm_op,
    [__HYPERVISOR_sysctl] = hcall_sysctl,
    [__HYPERVISOR_domctl] = hcall_domctl,
    [__HYPERVISOR_dm_op] = hcall_dm_op,
    [GODWIT_HYPERCALL] = hcall_godwit,
};

#define HANDLERS_COUNT (sizeof(handlers) / sizeof(handlers[0]))

long hcall_run(uint64_t nr, struct hcall *call)
{
    if (nr >= HANDLERS_COUNT || handlers[nr] == NULL) {
        return -ENOSYS;
    }
    if (nr != __HYPERVISOR_multicall) { /* its entries come through here one by one */
        shadow_caller_enters(call, nr);
    }
    return handlers[nr](call);
}

void hypercall_dispatch(struct vcpu *v)
{
    struct hcall call = {.v = v, .d = v->domain};
    uint64_t nr = v->regs.x[16];
    long result;

    for (unsigned i = 0; i < HCALL_ARGS; i++) {
        call.arg[i] = v->regs.x[i];
    }
    result = hcall_run(nr, &call);
    if (result != HYPERCALL_RESTART) {
        v->regs.x[0] = (uint64_t)result;
        return;
    }
    for (unsigned i = 0; i < HCALL_ARGS; i++) {
        v->regs.x[i] = call.arg[i];
    }
    v->regs.pc -= HVC_BYTES;
}

struct domain *hcall_domain_get(const struct hcall *call, domid_t id)
{
    return domain_get(id == DOMID_SELF ? call->d->id : id);
}

bool hcall_may_manage(const struct hcall *call, const struct domain *d)
{
    return call->d->is_control || call->d == d;
}

long hcall_managed_get(const struct hcall *call, domid_t id, struct domain **ret_d)
{
    struct domain *d = hcall_domain_get(call, id);
    long error = d == NULL ? -ESRCH : 0;

    if (d != NULL && !hcall_may_manage(call, d)) {
        domain_put(d);
        d = NULL;
        error = -EPERM;
    }
    *ret_d = d;
    return error;
}

struct vcpu *hcall_vcpu(struct domain *d, uint32_t id)
{
    return id < d->max_vcpus && id < DOMAIN_VCPUS_MAX ? d->vcpus[id] : NULL;
}
