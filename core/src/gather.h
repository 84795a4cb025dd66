/* SPDX-License-Identifier: MIT */
/* Collects the ranges that one operation must invalidate and does it at once, or the whole VM. */
#ifndef CORE_SRC_GATHER_H
#define CORE_SRC_GATHER_H

#include <core/port.h>

#define S2_GATHER_RANGES 16u

struct s2_gather {
    struct s2_vm *vm;
    unsigned count;
    bool all; /* too many ranges: the whole VM */
    struct port_tlb_range ranges[S2_GATHER_RANGES];
};

static inline void s2_gather_init(struct s2_gather *gather, struct s2_vm *vm)
{
    gather->vm = vm;
    gather->count = 0;
    gather->all = false;
}

/* Behind what was added last, if it begins where that ends. all is not set. */
static inline void s2_gather_add_range(struct s2_gather *gather, ipa_t ipa, uint64_t bytes,
                                       uint64_t leaf_bytes)
{
    struct port_tlb_range *next = &gather->ranges[gather->count];

    if (gather->count != 0 && next[-1].ipa.addr + next[-1].bytes == ipa.addr &&
        next[-1].leaf_bytes == leaf_bytes) {
        next[-1].bytes += bytes;
    } else if (gather->count == S2_GATHER_RANGES) {
        gather->all = true;
    } else {
        *next = (struct port_tlb_range){ipa, bytes, leaf_bytes};
        gather->count++;
    }
}

static inline void s2_gather_add(struct s2_gather *gather, ipa_t ipa, uint64_t bytes,
                                 uint64_t leaf_bytes)
{
    if (!gather->all) {
        s2_gather_add_range(gather, ipa, bytes, leaf_bytes);
    }
}

/* Invalidates what was collected, on all CPUs, and is empty again. Complete on return. */
void s2_gather_flush(struct s2_gather *gather);

#endif
