/* SPDX-License-Identifier: MIT */
#include "gather.h"

#include "lock.h"

void s2_gather_add_range(struct s2_gather *gather, ipa_t ipa, uint64_t bytes, uint64_t leaf_bytes)
{
    if (gather->count != 0) {
        struct port_tlb_range *last = &gather->ranges[gather->count - 1];

        if (last->leaf_bytes == leaf_bytes && last->ipa.addr + last->bytes == ipa.addr) {
            last->bytes += bytes;
            return;
        }
    }
    if (gather->count == S2_GATHER_RANGES) {
        gather->all = true;
        return;
    }
    gather->ranges[gather->count++] = (struct port_tlb_range){ipa, bytes, leaf_bytes};
}

void s2_gather_flush(struct s2_gather *gather)
{
    if (gather->all) {
        port_tlb_flush_vm(gather->vm);
    } else if (gather->count != 0) {
        port_tlb_flush(gather->vm, gather->ranges, gather->count);
    } else {
        return;
    }
    s2_count_shared(&gather->vm->invalidations, 1);
    s2_gather_init(gather, gather->vm);
}
