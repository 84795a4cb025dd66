/* SPDX-License-Identifier: MIT */
/* Pages are found by walking the table. */
#ifndef CORE_FIND_WAY_H
#define CORE_FIND_WAY_H

#include "../walk.h"

#define S2_FIND_LARGEST S2_LEVEL_1G

static inline struct s2_pos s2_find_page(const struct s2_vm *vm, ipa_t ipa)
{
    return s2_find(vm, ipa);
}

static inline struct s2_pos s2_find_other(const struct s2_vm *vm, ipa_t ipa)
{
    return s2_find(vm, ipa);
}

static inline int s2_find_init(struct s2_vm *vm)
{
    (void)vm;
    return 0;
}

static inline void s2_find_destroy(struct s2_vm *vm)
{
    (void)vm;
}

static inline void s2_find_forget(const struct s2_vm *vm, const struct s2_pos *pos)
{
    (void)vm;
    (void)pos;
}

#endif
