/* SPDX-License-Identifier: MIT */
#include "entry.h"

#include "find.h"
#include "gather.h"

bool s2_entry_replace(struct s2_vm *vm, const struct s2_pos *pos, uint64_t pte, uint64_t leaf_bytes)
{
    struct s2_pos broken = *pos;
    struct s2_gather gather;

    broken.old = s2_pte_locked();
    if (!s2_entry_swap(vm, pos, broken.old)) {
        return false;
    }
    s2_gather_init(&gather, vm);
    s2_gather_add(&gather, pos->base, s2_level_bytes(pos->level), leaf_bytes);
    s2_gather_flush(&gather);
    s2_find_forget(vm, pos);
    /* Nobody else touches a descriptor in transit, so this cannot fail. */
    (void)s2_entry_swap(vm, &broken, pte);
    port_publish();
    return true;
}
