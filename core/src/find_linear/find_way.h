/* SPDX-License-Identifier: MIT */
/*
 * Pages are found with one load: the machine's own translation tables use the VM's tables, one
 * level deeper, as theirs, so that leaf tables appear in a window, ordered by the addresses they
 * map. Where there is no leaf table (a block, a hole, a descriptor in transit), the load misses,
 * and the table is walked.
 */
#ifndef CORE_FIND_WAY_H
#define CORE_FIND_WAY_H

#include "../walk.h"

#include <port/window.h>

/* Seen from the window a 1 GiB block would be a block of descriptors: guest memory. There are none.
 */
#define S2_FIND_LARGEST S2_LEVEL_2M

static inline struct s2_pos s2_find_page(const struct s2_vm *vm, ipa_t ipa)
{
    struct s2_pos pos;

    /* Acquire, as in s2_entry_load; the machine's walk through a new table sees it filled. */
    pos.old = port_window_load(vm, ipa, &pos.entry);
    pos.base = s2_align_down(ipa, S2_LEVEL_PAGE);
    pos.level = S2_LEVEL_PAGE;
    return pos;
}

static inline struct s2_pos s2_find_other(const struct s2_vm *vm, ipa_t ipa)
{
    port_window_missed();
    return s2_find(vm, ipa);
}

static inline int s2_find_init(struct s2_vm *vm)
{
    vm->window = port_window_open(vm->vmid, vm->root, vm->root_level, 1u << vm->root_order);
    return vm->window != 0 ? 0 : -CORE_ENOMEM;
}

static inline void s2_find_destroy(struct s2_vm *vm)
{
    port_window_close(vm);
}

static inline void s2_find_forget(const struct s2_vm *vm, const struct s2_pos *pos)
{
    if (s2_pte_is_table(pos->old, pos->level)) {
        port_window_forget(vm, pos->base, pos->level);
    }
}

#endif
