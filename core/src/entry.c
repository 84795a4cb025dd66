/* SPDX-License-Identifier: MIT */
#include "entry.h"

#include "find.h"
#include "gather.h"

bool s2_entry_break(struct s2_vm *vm, const struct s2_pos *pos, uint64_t leaf_bytes,
                    struct s2_pos *ret_broken)
{
    struct s2_gather gather;

    *ret_broken = *pos;
    ret_broken->old = s2_pte_locked();
    if (!s2_entry_swap(vm, pos, ret_broken->old)) {
        return false;
    }
    s2_gather_init(&gather, vm);
    s2_gather_add(&gather, pos->base, s2_level_bytes(pos->level), leaf_bytes);
    s2_gather_flush(&gather);
    s2_find_forget(vm, pos);
    return true;
}

void s2_entry_make(struct s2_vm *vm, const struct s2_pos *broken, uint64_t pte)
{
    /* Nobody else touches a descriptor in transit, so this cannot fail. */
    (void)s2_entry_swap(vm, broken, pte);
    port_publish();
}

bool s2_entry_replace(struct s2_vm *vm, const struct s2_pos *pos, uint64_t pte, uint64_t leaf_bytes)
{
    struct s2_pos broken;

    if (!s2_entry_break(vm, pos, leaf_bytes, &broken)) {
        return false;
    }
    s2_entry_make(vm, &broken, pte);
    return true;
}
