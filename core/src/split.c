/* SPDX-License-Identifier: MIT */
#include "split.h"

#include "entry.h"
#include "lock.h"
#include "log.h"
#include "pool.h"

/* Frames and type come from the block itself. */
static void fill_from_block(const struct s2_pos *block, s2_entry_t *table, bool writable,
                            bool tracked)
{
    unsigned level = block->level + 1;
    uint64_t pte = s2_pte_leaf(s2_pte_pa(block->old, block->level), level,
                               s2_pte_type(block->old, block->level), writable);

    /* Nobody sees the table yet; the release in s2_entry_swap publishes it. */
    s2_pte_fill(table, tracked ? s2_pte_tracked(pte) : pte, level);
}

static bool split(struct s2_vm *vm, const struct s2_pos *pos, void *page, bool writable)
{
    uint64_t table = s2_pte_table(port_va_to_pa(page), pos->level);
    /* Also those of an open block: it is marked as a whole, or not swept yet. */
    bool tracked = pos->level == S2_LEVEL_2M && log_is_tracking(vm) &&
                   s2_pte_type(pos->old, pos->level) == S2_RAM_RW;
    struct s2_pos broken;

    fill_from_block(pos, page, writable, tracked);
    if (!s2_entry_break(vm, pos, s2_level_bytes(pos->level), &broken)) {
        return false;
    }
    if (tracked) {
        log_note_tracked(vm, ipa_gfn(pos->base));
    }
    s2_entry_make(vm, &broken, table);
    s2_count_shared(&vm->splits, 1);
    return true;
}

bool s2_split(struct s2_vm *vm, const struct s2_pos *pos, void *page)
{
    /* A write-protected block gives protected pages. */
    return split(vm, pos, page, s2_pte_is_writable(pos->old, pos->level));
}

bool s2_split_closed(struct s2_vm *vm, const struct s2_pos *pos, void *page)
{
    return split(vm, pos, page, false);
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
