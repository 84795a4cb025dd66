/* SPDX-License-Identifier: MIT */
/* Handlers that the dispatch tables name and no test here calls. */
#include <godwit/ext.h>

#include "../../hypervisor/hypercall/domctl.h"
#include "../../hypervisor/hypercall/godwit_ops.h"

#define UNUSED_CALL(name)                                                                          \
    long hcall_##name(struct hcall *call)                                                          \
    {                                                                                              \
        return -ENOSYS;                                                                            \
    }

#define UNUSED_DOMCTL(name)                                                                        \
    long domctl_##name(struct domctl *domctl)                                                      \
    {                                                                                              \
        return -ENOSYS;                                                                            \
    }

UNUSED_CALL(memory_op)
UNUSED_CALL(xen_version)
UNUSED_CALL(console_io)
UNUSED_CALL(grant_table_op)
UNUSED_CALL(vm_assist)
UNUSED_CALL(vcpu_op)
UNUSED_CALL(sched_op)
UNUSED_CALL(hvm_op)
UNUSED_CALL(platform_op)
UNUSED_CALL(sysctl)

UNUSED_DOMCTL(create)
UNUSED_DOMCTL(destroy)
UNUSED_DOMCTL(pause)
UNUSED_DOMCTL(unpause)
UNUSED_DOMCTL(resume)
UNUSED_DOMCTL(max_mem)
UNUSED_DOMCTL(max_vcpus)
UNUSED_DOMCTL(set_handle)
UNUSED_DOMCTL(set_address_size)
UNUSED_DOMCTL(get_info)
UNUSED_DOMCTL(set_vcpu_context)
UNUSED_DOMCTL(get_vcpu_context)
UNUSED_DOMCTL(get_vcpu_info)
UNUSED_DOMCTL(get_vcpu_affinity)
UNUSED_DOMCTL(get_hvm_context)
UNUSED_DOMCTL(set_hvm_context)
UNUSED_DOMCTL(get_hvm_context_partial)
UNUSED_DOMCTL(get_page_frame_info)
UNUSED_DOMCTL(cache_flush)
UNUSED_DOMCTL(vuart_op)
UNUSED_DOMCTL(get_mempool_size)
UNUSED_DOMCTL(set_mempool_size)

/* Of Godwit's own calls those that work on a log are real. */
long hcall_godwit(struct hcall *call)
{
    switch (call->arg[0]) {
    case GODWIT_OP_DIRTY_RANGES:
        return godwit_dirty_ranges(call);
    case GODWIT_OP_VCPU_STATS:
        return godwit_vcpu_stats(call->arg[1]);
    case GODWIT_OP_VCPU_THROTTLE:
        return godwit_vcpu_throttle(call->arg[1]);
    case GODWIT_OP_WRITER_SAMPLE:
        return godwit_writer_sample(call->arg[1]);
    default:
        return -ENOSYS;
    }
}
