/* SPDX-License-Identifier: MIT */
#include "gather.h"

#include "lock.h"

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
