/* SPDX-License-Identifier: MIT */
/* Closing and opening all RAM of a VM: what is done to each leaf when logging goes on and off. */
#include "sweep.h"

#include "entry.h"
#include "lock.h"
#include "log.h"
#include "pool.h"
#include "split.h"

#define STEP_ENTRIES 8192u /* descriptors looked at in one call, and at most a table more */

/* One step over the leaves. */
struct sweep {
    struct s2_vm *vm;
    struct s2_pos pos;
    bool open;        /* else: close */
    bool changed;     /* something must be invalidated */
    unsigned entries; /* looked at */
};

/* Splits the block at pos into closed leaves; false: look at pos again. */
static bool split_block(struct sweep *sweep, void *page)
{
    if (!s2_split_closed(sweep->vm, &sweep->pos, page)) {
        s2_pool_put(sweep->vm, page);
    } else if (sweep->pos.level == S2_LEVEL_2M) {
        sweep->entries += S2_ENTRIES;
        return true;
    }
    sweep->pos = s2_find(sweep->vm, sweep->pos.base);
    return false;
}

/*
 * Opens or closes blocks that follow each other in a table of 2 MiB entries, but for the last one
 * there, and goes on to what is behind them. False: there are none at pos. Read lock.
 */
static bool sweep_blocks(struct sweep *sweep)
{
    struct s2_pos at = sweep->pos;
    const uint64_t block = at.base.addr >> s2_level_shift(S2_LEVEL_2M);
    const uint64_t limit = (sweep->vm->log.limit_gfn - 1) >> S2_INDEX_SHIFT; /* the last block */
    const uint64_t end = block | (S2_ENTRIES - 1);
    const bool open = sweep->open;
    s2_entry_t *first = at.entry, *last;

    if (block >= limit) {
        return false;
    }
    last = first + ((limit < end ? limit : end) - block);

    while (at.entry != last && s2_pte_is_leaf(at.old, S2_LEVEL_2M) &&
           s2_pte_type(at.old, S2_LEVEL_2M) == S2_RAM_RW) {
        uint64_t pte =
            open ? s2_pte_opened(at.old, S2_LEVEL_2M) : s2_pte_closed(at.old, S2_LEVEL_2M);

        if (pte != at.old) {
            if (!s2_entry_swap(sweep->vm, &at, pte)) {
                break;
            }
            sweep->changed = true;
        }
        at.entry++;
        at.base.addr += UINT64_C(1) << s2_level_shift(S2_LEVEL_2M);
        at.old = s2_entry_load(at.entry);
    }
    if (at.entry == first) {
        return false;
    }
    sweep->entries += (unsigned)(at.entry - first) - 1;
    sweep->pos = s2_find(sweep->vm, at.base);
    return true;
}

/* Opens or closes the block at pos; false: look at pos again. Read lock. */
static bool sweep_block(struct sweep *sweep)
{
    struct s2_pos *pos = &sweep->pos;
    void *page;
    uint64_t pte;

    if (s2_is_in_transit(pos->old)) {
        /* Never skipped: what is being linked was made from the old leaf. */
        port_cpu_relax();
    } else if (!s2_pos_is_leaf(pos) || s2_pte_type(pos->old, pos->level) != S2_RAM_RW) {
        return true;
    } else if (!sweep->open && sweep->vm->log.options.eager_split &&
               (page = s2_pool_take(sweep->vm)) != NULL) {
        return split_block(sweep, page);
    } else {
        pte =
            sweep->open ? s2_pte_opened(pos->old, pos->level) : s2_pte_closed(pos->old, pos->level);
        if (pte == pos->old) {
            return true;
        }
        sweep->changed = true;
        if (s2_entry_swap(sweep->vm, pos, pte)) {
            return true;
        }
    }
    *pos = s2_find(sweep->vm, pos->base);
    return false;
}

/* The pages of pos's leaf table from pos on, which ends up at the last of them. */
static inline void sweep_table(struct sweep *sweep, enum s2_sweep how)
{
    struct s2_pos *pos = &sweep->pos;
    struct s2_vm *vm = sweep->vm;
    uint64_t gfn = ipa_gfn(pos->base), limit = vm->log.limit_gfn;
    uint64_t count = S2_ENTRIES - gfn % S2_ENTRIES;
    s2_entry_t *entry = pos->entry, *end;
    ipa_t ipa = pos->base;
    bool changed = false;
    uint64_t skip;

    count = gfn < limit && limit - gfn < count ? limit - gfn : count;
    end = entry + count;
    while (entry < end) {
        s2_entry_t *group = entry;

        while (end - entry >= S2_GROUP && s2_entries_sweep(vm, entry, ipa, how)) {
            entry += S2_GROUP;
            ipa.addr += S2_GROUP * PAGE_SIZE_BYTES;
        }
        changed |= entry != group;
        skip = s2_empty_run(entry, (uint64_t)(end - entry));
        if (skip != 0) {
            entry += skip;
            ipa.addr += skip * PAGE_SIZE_BYTES;
            continue;
        }
        for (unsigned i = 0; i < S2_GROUP && entry < end; i++, entry++) {
            changed |= s2_entry_sweep(vm, entry, ipa, how);
            ipa.addr += PAGE_SIZE_BYTES;
        }
    }
    if (changed && how == S2_SWEEP_TRACK) {
        log_note_tracked(vm, gfn);
    }
    sweep->changed |= changed;
    sweep->entries += (unsigned)count - 1;
    pos->entry += count - 1;
    pos->base = ipa_from_gfn(gfn + count - 1);
    pos->old = s2_entry_load(pos->entry);
}

/* Three loops, each without a look at what it does. */
static void sweep_pages(struct sweep *sweep)
{
    if (sweep->open) {
        sweep_table(sweep, S2_SWEEP_OPEN);
    } else if (sweep->vm->log.options.hardware) {
        sweep_table(sweep, S2_SWEEP_TRACK);
    } else {
        sweep_table(sweep, S2_SWEEP_CLOSE);
    }
}

bool log_sweep(struct s2_vm *vm, bool open)
{
    struct s2_cpu_line *line = s2_read_lock(vm);
    struct sweep sweep = {.vm = vm, .open = open};
    const bool splits = !open && vm->log.options.eager_split;
    bool done = false;
    ipa_t next;

    if (ipa_gfn(vm->log.cursor) < vm->log.first_gfn) {
        vm->log.cursor = ipa_from_gfn(vm->log.first_gfn);
    }
    sweep.pos = s2_find(vm, vm->log.cursor);
    while (!done && sweep.entries++ < STEP_ENTRIES) {
        if (sweep.pos.level == S2_LEVEL_PAGE) {
            sweep_pages(&sweep);
        } else if ((sweep.pos.level == S2_LEVEL_2M && !splits && sweep_blocks(&sweep)) ||
                   !sweep_block(&sweep)) {
            continue;
        }
        next = sweep.pos.old == 0 ? s2_empty_end(&sweep.pos) : s2_pos_end(&sweep.pos);
        done = ipa_gfn(next) >= vm->log.limit_gfn;
        if (done) {
            break;
        }
        if (sweep.pos.old == 0) {
            sweep.pos = s2_find(vm, next);
        } else {
            s2_step(vm, &sweep.pos);
        }
    }
    vm->log.cursor = sweep.pos.base;
    if (sweep.changed) {
        port_tlb_flush_vm(vm);
        s2_count_shared(&vm->invalidations, 1);
    }
    s2_read_unlock(line);
    return done;
}
