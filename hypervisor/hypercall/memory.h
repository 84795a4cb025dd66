/* SPDX-License-Identifier: MIT */
/* Between the files of memory_op. Each handler has checked nothing but the operation's number. */
#ifndef HYPERCALL_MEMORY_H
#define HYPERCALL_MEMORY_H

#include "call.h"

/* The low 6 bits of arg[0] are the operation, the rest is the number of extents done so far. */
#define MEMOP_CMD_BITS 6
#define MEMOP_CMD_MASK ((UINT64_C(1) << MEMOP_CMD_BITS) - 1)

/* Continues with done entries behind us. */
static inline long memory_restart(struct hcall *call, uint64_t done)
{
    call->arg[0] = (call->arg[0] & MEMOP_CMD_MASK) | done << MEMOP_CMD_BITS;
    return HYPERCALL_RESTART;
}

long memory_increase(struct hcall *call);
long memory_decrease(struct hcall *call);
long memory_populate(struct hcall *call);
long memory_add_to_physmap(struct hcall *call);
long memory_add_to_physmap_batch(struct hcall *call);
long memory_remove_from_physmap(struct hcall *call);
long memory_maximum_ram_page(void);
long memory_domain_number(struct hcall *call, uint32_t op);
long memory_claim_pages(struct hcall *call);
long memory_acquire_resource(struct hcall *call);

#endif
