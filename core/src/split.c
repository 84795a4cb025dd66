/* SPDX-License-Identifier: MIT */
#include "split.h"

#include "entry.h"
#include "lock.h"
#include "pool.h"

/* Type and permission come from the block itself: a write-protected block gives protected pages. */
static void fill_from_block(const struct s2_pos *block, s2_entry_t *table)
{
    unsigned level = block->level + 1;
    pa_t pa = s2_pte_pa(block->old, block->level);
    enum s2_type type = s2_pte_type(block->old, block->level);
    bool writable = s2_pte_is_writable(block->old, block->level);

    for (unsigned i = 0; i < S2_ENTRIES; i++) {
        uint64_t pte = s2_pte_leaf(pa_add(pa, i * s2_level_bytes(level)), level, type, writable);

        /* Nobody sees the table yet; the release in s2_entry_swap publishes it. */
        atomic_store_explicit(&table[i], pte, memory_order_relaxed);
    }
}

bool s2_split(struct s2_vm *vm, const struct s2_pos *pos, void *page)
{
    uint64_t table = s2_pte_table(port_va_to_pa(page), pos->level);

    fill_from_block(pos, page);
    if (!s2_entry_replace(vm, pos, table, s2_level_bytes(pos->level))) {
        return false;
    }
    s2_count_shared(&vm->splits, 1);
    return true;
}

int s2_split_at(struct s2_vm *vm, ipa_t ipa)
{
    for (;;) {
        struct s2_pos pos;
        void *table;

        if (ipa.addr == s2_end(vm).addr) {
            return 0;
        }
        pos = s2_find(vm, ipa);
        if (!s2_pos_is_leaf(&pos) || pos.base.addr == ipa.addr) {
            return 0;
        }
        table = s2_table_alloc(vm);
        if (table == NULL) {
            return -CORE_ENOMEM;
        }
        /* Cannot fail: we hold the write lock. */
        (void)s2_split(vm, &pos, table);
    }
}
