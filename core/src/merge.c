/* SPDX-License-Identifier: MIT */
/* Tables of contiguous equal leaves become blocks again; empty tables go. */
#include <core/s2.h>

#include "entry.h"
#include "find.h"
#include "lock.h"
#include "log.h"
#include "merge.h"
#include "pool.h"
#include "table.h"

#define TABLES_PER_CALL  16u
#define REGIONS_PER_CALL 4096u /* 2 MiB regions looked at, most of them without a table */

static bool table_is_empty(const s2_entry_t *table)
{
    for (unsigned i = 0; i < S2_ENTRIES; i++) {
        if (i % S2_EMPTY_AT_ONCE == 0 && s2_pte_are_empty(&table[i])) {
            i += S2_EMPTY_AT_ONCE - 1;
        } else if (s2_entry_load(&table[i]) != 0) {
            return false;
        }
    }
    return true;
}

/* Entry i continues the block that entry 0 begins. */
static bool continues(uint64_t pte, unsigned level, unsigned i, uint64_t first)
{
    return s2_pte_is_leaf(pte, level) && s2_pte_type(pte, level) == s2_pte_type(first, level) &&
           s2_pte_pa(pte, level).addr == s2_pte_pa(first, level).addr + i * s2_level_bytes(level);
}

/* The whole table does. The last entry first: a half-filled table is told by it. */
static bool all_continue(const s2_entry_t *table, unsigned level, uint64_t first)
{
    uint64_t pte = first;

    if (!continues(s2_entry_load(&table[S2_ENTRIES - 1]), level, S2_ENTRIES - 1, first)) {
        return false;
    }
    for (unsigned i = 0; i < S2_ENTRIES; i += S2_GROUP) {
        bool group = level == S2_LEVEL_PAGE && s2_pte_pages_follow(&table[i], pte);

        for (unsigned k = 0; k < S2_GROUP; k++, pte = s2_pte_next(pte, level)) {
            if (!group && !continues(s2_entry_load(&table[i + k]), level, i + k, first)) {
                return false;
            }
        }
    }
    return true;
}

/*
 * What may stand in place of the table at pos: a block, nothing, or (false) only the
 * table. Permissions may differ while logging is being turned off: a RAM_RW block is
 * writable, since nobody logs it any more.
 */
static bool find_replacement(const struct s2_pos *pos, uint64_t *ret_pte)
{
    const s2_entry_t *table = s2_table_of(pos->old, pos->level);
    unsigned level = pos->level + 1;
    uint64_t first = s2_entry_load(&table[0]);
    enum s2_type type;
    pa_t pa;

    if (first == 0) {
        *ret_pte = 0;
        return table_is_empty(table);
    }
    if (!s2_pte_is_leaf(first, level) || pos->level < S2_FIND_LARGEST) {
        return false;
    }
    type = s2_pte_type(first, level);
    pa = s2_pte_pa(first, level);
    if ((!s2_type_is_ram(type) && type != S2_DEVICE) ||
        (pa.addr & (s2_level_bytes(pos->level) - 1)) != 0) {
        return false;
    }
    if (!all_continue(table, level, first)) {
        return false;
    }
    *ret_pte = s2_pte_leaf(pa, pos->level, type, type != S2_RAM_RO);
    return true;
}

/* No page in the table is open, so none is being written to at this moment. */
static bool table_is_cold(const s2_entry_t *table)
{
    for (unsigned i = 0; i < S2_ENTRIES; i++) {
        if (s2_pte_is_writable(s2_entry_load(&table[i]), S2_LEVEL_PAGE)) {
            return false;
        }
    }
    return true;
}

/* Hands what the hardware has noted in a table to the log. Nobody uses the table any more. */
static void take_leaves(struct s2_vm *vm, ipa_t ipa, s2_entry_t *table)
{
    for (unsigned i = 0; i < S2_ENTRIES; i++) {
        /* Acquire: after the invalidation that made this value final. */
        uint64_t old = atomic_exchange_explicit(&table[i], 0, memory_order_acquire);

        if (s2_is_dirty(old, S2_LEVEL_PAGE) && log_mark(vm, ipa_gfn(ipa) + i)) {
            log_count_bits(vm, DIRTY_WRITER_HARDWARE, 1);
        }
    }
}

/*
 * While logging is on: a leaf table of RAM without an open page becomes a closed block, and pays
 * for the split that undoes this. What the hardware notes up to the end of the break goes into the
 * log.
 */
static void merge_logged(struct s2_vm *vm, const struct s2_pos *pos, uint64_t pte)
{
    s2_entry_t *table = s2_table_of(pos->old, pos->level);
    struct s2_pos broken;

    if (s2_pte_type(pte, pos->level) != S2_RAM_RW || !table_is_cold(table)) {
        return;
    }
    (void)s2_entry_break(vm, pos, PAGE_SIZE_BYTES, &broken);
    /* Not before: until the invalidation is complete the hardware opens pages. */
    take_leaves(vm, pos->base, table);
    s2_entry_make(vm, &broken, s2_pte_closed(pte, pos->level));
    log_forget_tracked(vm, ipa_gfn(pos->base));
    s2_pool_put(vm, table);
    s2_count_shared(&vm->merges, 1);
}

/* True if there was a table to look at. */
static bool merge_table(struct s2_vm *vm, ipa_t ipa, unsigned level)
{
    struct s2_pos pos = s2_find_at(vm, ipa, level);
    s2_entry_t *table;
    uint64_t pte;

    if (pos.level != level || !s2_pte_is_table(pos.old, level)) {
        return false;
    }
    if (!find_replacement(&pos, &pte)) {
        return true;
    }
    if (log_is_marking(vm)) {
        if (level == S2_LEVEL_2M && pte != 0) {
            merge_logged(vm, &pos, pte);
        }
    } else {
        table = s2_table_of(pos.old, level);
        (void)s2_entry_replace(vm, &pos, pte, s2_level_bytes(level + 1));
        s2_table_free_all(vm, table, level + 1);
        if (pte != 0) {
            s2_count_shared(&vm->merges, 1);
        }
    }
    return true;
}

int s2_merge_step(struct s2_vm *vm, ipa_t *cursor)
{
    ipa_t ipa = s2_align_down(*cursor, S2_LEVEL_2M);
    unsigned tables = 0;
    unsigned regions = 0;

    while (ipa.addr < s2_end(vm).addr) {
        struct s2_pos pos = s2_find_at(vm, ipa, S2_LEVEL_2M);

        if (tables == TABLES_PER_CALL || regions++ == REGIONS_PER_CALL) {
            *cursor = ipa;
            return -CORE_ERESTART;
        }
        tables += merge_table(vm, ipa, S2_LEVEL_2M);
        ipa = pos.old == 0 ? s2_empty_end(&pos) : s2_pos_end(&pos);
        /* Behind the last 2 MiB of a 1 GiB region: all of it has been merged as far as possible. */
        if (pos.level == S2_LEVEL_2M && (ipa.addr & (s2_level_bytes(S2_LEVEL_1G) - 1)) == 0) {
            tables += merge_table(vm, pos.base, S2_LEVEL_1G);
        }
    }
    *cursor = ipa;
    return 0;
}

int s2_merge(struct s2_vm *vm, ipa_t *cursor)
{
    int result = 0;

    s2_write_lock(vm);
    if (log_state(vm) == DIRTY_LOG_OFF || log_state(vm) == DIRTY_LOG_ON) {
        result = s2_merge_step(vm, cursor);
    }
    s2_write_unlock(vm);
    return result;
}

/* There is a table whose last and first leaves belong together. Either lock. */
static bool looks_mergeable(const struct s2_vm *vm, ipa_t ipa)
{
    struct s2_pos pos = s2_find_at(vm, ipa, S2_LEVEL_2M);
    const s2_entry_t *table;
    uint64_t first;

    if (pos.level != S2_LEVEL_2M || !s2_pte_is_table(pos.old, pos.level)) {
        return false;
    }
    table = s2_table_of(pos.old, pos.level);
    first = s2_entry_load(&table[0]);
    return first == 0 ||
           (s2_pte_is_leaf(first, S2_LEVEL_PAGE) &&
            continues(s2_entry_load(&table[S2_ENTRIES - 1]), S2_LEVEL_PAGE, S2_ENTRIES - 1, first));
}

void s2_merge_at(struct s2_vm *vm, ipa_t ipa)
{
    struct s2_cpu_line *line;
    bool worth_while;

    if (ipa.addr >= s2_end(vm).addr) {
        return;
    }
    line = s2_read_lock(vm);
    worth_while = log_state(vm) == DIRTY_LOG_OFF && looks_mergeable(vm, ipa);
    s2_read_unlock(line);
    if (!worth_while) {
        return;
    }
    s2_write_lock(vm);
    if (log_state(vm) == DIRTY_LOG_OFF && merge_table(vm, ipa, S2_LEVEL_2M)) {
        merge_table(vm, ipa, S2_LEVEL_1G);
    }
    s2_write_unlock(vm);
}
