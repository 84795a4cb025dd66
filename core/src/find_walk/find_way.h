/* SPDX-License-Identifier: MIT */
/* Pages are found by walking the table. */
#ifndef CORE_FIND_WAY_H
#define CORE_FIND_WAY_H

#include "../walk.h"

#define S2_FIND_LARGEST S2_LEVEL_1G

/* One level down from a table; false: pos is no table. level, pos->level, is a constant. */
static inline bool s2_find_below(struct s2_pos *pos, ipa_t ipa, unsigned level)
{
    if (!s2_pte_is_table(pos->old, level)) {
        return false;
    }
    pos->entry =
        s2_table_of(pos->old, level) + ((ipa.addr >> s2_level_shift(level + 1)) & (S2_ENTRIES - 1));
    pos->old = s2_entry_load(pos->entry);
    pos->level = level + 1;
    return true;
}

/* As s2_find, with code for each level: half as many instructions. */
static inline struct s2_pos s2_find_page(const struct s2_vm *vm, ipa_t ipa)
{
    unsigned level = vm->root_level;
    s2_entry_t *root = port_pa_to_va(vm->root);
    struct s2_pos pos = {.entry = root + (ipa.addr >> s2_level_shift(level)), .level = level};

    pos.old = s2_entry_load(pos.entry);
    if ((level == 1 || s2_find_below(&pos, ipa, 0)) && s2_find_below(&pos, ipa, 1) &&
        s2_find_below(&pos, ipa, 2)) {
        pos.base = s2_align_down(ipa, S2_LEVEL_PAGE);
    }
    return pos;
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
