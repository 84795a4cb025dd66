/* SPDX-License-Identifier: MIT */
/* Closing and opening all RAM of a VM: what is done to each leaf when logging goes on and off. */
#include "sweep.h"

#include "entry.h"
#include "lock.h"
#include "log.h"
#include "pool.h"
#include "split.h"

#define STEP_ENTRIES 8192u /* descriptors looked at in one call, and at most a table more */

#define SWEEP_AT_ONCE 8 /* pages, without a loop's overhead between them */

#define NO_TABLE (~(uint64_t)(S2_ENTRIES - 1)) /* behind all tables */

/* One step over the leaves. */
struct sweep {
    struct s2_vm *vm;
    struct s2_pos pos;
    bool open;          /* else: close */
    bool changed;       /* something must be invalidated */
    unsigned entries;   /* looked at */
    uint64_t noted_gfn; /* first of a leaf table that is known to get tracked pages */
};

/* What becomes of a RAM_RW leaf. */
static uint64_t opened_leaf(uint64_t pte, unsigned level)
{
    return s2_pte_opened(level == S2_LEVEL_PAGE ? s2_pte_untracked(pte) : pte, level);
}

static uint64_t closed_leaf(struct sweep *sweep, uint64_t pte, unsigned level)
{
    uint64_t gfn = ipa_gfn(sweep->pos.base);

    if (level != S2_LEVEL_PAGE || !sweep->vm->log.options.hardware) {
        return s2_pte_closed(pte, level);
    }
    if (s2_pte_is_tracked(pte)) {
        return pte; /* what the hardware has noted since stays noted */
    }
    if (gfn - sweep->noted_gfn >= S2_ENTRIES) {
        log_note_tracked(sweep->vm, gfn);
        sweep->noted_gfn = gfn & ~(uint64_t)(S2_ENTRIES - 1);
    }
    return s2_pte_tracked(pte);
}

/* Splits the block at pos into closed leaves; false: there is no page for a table. */
static bool split_block(struct sweep *sweep)
{
    void *page = s2_pool_take(sweep->vm);

    if (page == NULL) {
        return false;
    }
    if (!s2_split_closed(sweep->vm, &sweep->pos, page)) {
        s2_pool_put(sweep->vm, page);
    } else if (sweep->pos.level == S2_LEVEL_2M) {
        sweep->entries += S2_ENTRIES;
        sweep->pos.old = s2_entry_load(sweep->pos.entry); /* a table, all of which is done */
        return true;
    }
    sweep->pos = s2_find(sweep->vm, sweep->pos.base);
    return true;
}

/* Opens or closes the leaf at pos; false: look at pos again. Read lock. */
static bool sweep_leaf(struct sweep *sweep)
{
    struct s2_pos *pos = &sweep->pos;
    uint64_t pte;

    if (s2_is_in_transit(pos->old)) {
        /* Never skipped: what is being linked was made from the old leaf. */
        port_cpu_relax();
    } else if (!s2_pos_is_leaf(pos) || s2_pte_type(pos->old, pos->level) != S2_RAM_RW) {
        return true;
    } else if (!sweep->open && sweep->vm->log.options.eager_split && pos->level != S2_LEVEL_PAGE &&
               split_block(sweep)) {
        return false;
    } else {
        pte = sweep->open ? opened_leaf(pos->old, pos->level)
                          : closed_leaf(sweep, pos->old, pos->level);
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

static inline void sweep_page(struct s2_vm *vm, s2_entry_t *entry, ipa_t ipa, bool open)
{
    /* Relaxed: nothing is read through a page's descriptor. */
    uint64_t old = atomic_load_explicit(entry, memory_order_relaxed);

    if (s2_pte_is_page(old, S2_RAM_RW, !open)) {
        s2_entry_permit(vm, entry, ipa, old, open);
    }
}

/*
 * Where writes are noticed by faults: opens or closes the pages of pos's leaf table from pos on,
 * which ends up at the last of them. Under the read lock only the permission of a page changes.
 */
static inline void sweep_table(struct sweep *sweep, bool open)
{
    struct s2_pos *pos = &sweep->pos;
    struct s2_vm *vm = sweep->vm;
    uint64_t gfn = ipa_gfn(pos->base), limit = vm->log.limit_gfn;
    uint64_t count = S2_ENTRIES - gfn % S2_ENTRIES;
    s2_entry_t *entry, *end;

    count = gfn < limit && limit - gfn < count ? limit - gfn : count;
    end = pos->entry + count;
    for (entry = pos->entry; end - entry >= SWEEP_AT_ONCE; entry += SWEEP_AT_ONCE) {
#pragma GCC unroll 8
        for (unsigned i = 0; i < SWEEP_AT_ONCE; i++) {
            sweep_page(vm, &entry[i], ipa_from_gfn(gfn + (uint64_t)(entry - pos->entry) + i), open);
        }
    }
    for (; entry < end; entry++) {
        sweep_page(vm, entry, ipa_from_gfn(gfn + (uint64_t)(entry - pos->entry)), open);
    }
    sweep->changed = true; /* nearly always */
    sweep->entries += (unsigned)count - 1;
    pos->entry += count - 1;
    pos->base = ipa_from_gfn(gfn + count - 1);
    pos->old = s2_entry_load(pos->entry);
}

bool log_sweep(struct s2_vm *vm, bool open)
{
    struct s2_cpu_line *line = s2_read_lock(vm);
    struct sweep sweep = {.vm = vm, .open = open, .noted_gfn = NO_TABLE};
    bool done = false;
    ipa_t next;

    sweep.pos = s2_find(vm, vm->log.cursor);
    while (!done && sweep.entries++ < STEP_ENTRIES) {
        if (sweep.pos.level == S2_LEVEL_PAGE && !vm->log.options.hardware) {
            if (open) { /* two loops, each without a look at it */
                sweep_table(&sweep, true);
            } else {
                sweep_table(&sweep, false);
            }
        } else if (!sweep_leaf(&sweep)) {
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
