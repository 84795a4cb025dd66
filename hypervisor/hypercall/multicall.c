/* SPDX-License-Identifier: MIT */
/* multicall: a list of calls, each with its own result. */
#include <hv/cpu.h>
#include <hv/guest_access.h>
#include <stddef.h>
#include <xen/xen.h>

#include "call.h"

#define ENTRY_ARGS 6
#define CALLS_MAX  (UINT64_C(1) << 32)

/* A restarted entry goes back to the guest with its progress, so the list continues there. */
static long run_entry(struct hcall *call, struct multicall_entry *entry)
{
    struct hcall inner = {.v = call->v, .d = call->d};
    long result;

    for (unsigned i = 0; i < HCALL_ARGS; i++) {
        inner.arg[i] = entry->args[i];
    }
    result = entry->op == __HYPERVISOR_multicall ? -EINVAL : hcall_run(entry->op, &inner);
    if (result == HYPERCALL_RESTART) {
        for (unsigned i = 0; i < HCALL_ARGS; i++) {
            entry->args[i] = inner.arg[i];
        }
    } else {
        entry->result = (xen_ulong_t)result;
    }
    return result;
}

long hcall_multicall(struct hcall *call)
{
    _Static_assert(sizeof(struct multicall_entry) == 8 * (2 + ENTRY_ARGS), "ABI");
    bool first = true;

    if (call->arg[1] > CALLS_MAX) {
        return -EINVAL;
    }
    for (; call->arg[1] != 0; call->arg[1]--, call->arg[0] += sizeof(struct multicall_entry)) {
        struct multicall_entry entry;
        long result;

        if (!first && cpu_preempt_pending()) {
            return HYPERCALL_RESTART;
        }
        first = false;
        if (copy_from_guest(&entry, call->arg[0], sizeof(entry)) != 0) {
            return -EFAULT;
        }
        result = run_entry(call, &entry);
        if (copy_to_guest(call->arg[0], &entry, sizeof(entry)) != 0) {
            return -EFAULT;
        }
        if (result == HYPERCALL_RESTART) {
            return HYPERCALL_RESTART;
        }
    }
    return 0;
}
