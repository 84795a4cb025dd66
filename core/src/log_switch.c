/* SPDX-License-Identifier: MIT */
/* Turning a dirty log on and off, in bounded steps: the states of enum dirty_log_state. */
#include <core/dirty_log.h>

#include "entry.h"
#include "lock.h"
#include "log.h"
#include "log_memory.h"
#include "merge.h"
#include "pins.h"
#include "pool.h"
#include "split.h"
#include "track.h"

/* How much one call does. */
#define STEP_PAGES   128u  /* allocated or freed */
#define STEP_GROUPS  4u    /* of bitmaps freed: 33 pages each */
#define STEP_ENTRIES 8192u /* descriptors looked at */

static void set_state(struct s2_vm *vm, enum dirty_log_state state)
{
    vm->log.cursor = ipa_make(0);
    /* Write lock: its release publishes the state. */
    atomic_store_explicit(&vm->log.state, state, memory_order_relaxed);
}

static void change_state(struct s2_vm *vm, enum dirty_log_state state)
{
    s2_write_lock(vm);
    set_state(vm, state);
    s2_write_unlock(vm);
}

static bool is_ram_at(const struct s2_pos *pos)
{
    return s2_pos_is_leaf(pos) && s2_type_is_ram(s2_pte_type(pos->old, pos->level));
}

/* First gfn above all RAM, searched from the top. Write lock. */
static uint64_t find_limit_gfn(const struct s2_vm *vm)
{
    uint64_t end = s2_end(vm).addr;

    while (end != 0) {
        struct s2_pos pos = s2_find(vm, ipa_make(end - PAGE_SIZE_BYTES));

        if (is_ram_at(&pos)) {
            break;
        }
        end = pos.base.addr;
    }
    return end >> PAGE_SHIFT;
}

uint64_t log_count_tables(struct s2_vm *vm, ipa_t ipa, uint64_t bytes, enum s2_type type)
{
    const uint64_t end = ipa.addr + bytes;
    uint64_t tables = 0;

    while (ipa.addr < end) {
        struct s2_pos pos = s2_find_at(vm, ipa, S2_LEVEL_2M);

        if (s2_pos_is_leaf(&pos) && s2_pte_type(pos.old, pos.level) == type) {
            tables += pos.level == S2_LEVEL_2M ? 1 : 1 + S2_ENTRIES;
        }
        ipa = s2_pos_end(&pos);
    }
    return tables;
}

static int start(struct s2_vm *vm, const struct dirty_log_options *options)
{
    struct dirty_log *log = &vm->log;
    int error;

    s2_write_lock(vm);
    log->limit_gfn = find_limit_gfn(vm);
    error = log_grow(vm, log->limit_gfn);
    if (error == 0) {
        log->options = *options;
        log->tables_needed = 0;
        log->epoch++;
        atomic_store_explicit(&log->session, 0, memory_order_relaxed); /* write lock */
        set_state(vm, DIRTY_LOG_PREPARE);
    }
    s2_write_unlock(vm);
    return error;
}

/* Bitmaps for every chunk that holds RAM. Write lock. */
static int prepare_bitmaps(struct s2_vm *vm, unsigned *pages)
{
    ipa_t *cursor = &vm->log.cursor;
    unsigned entries = 0;

    while (ipa_gfn(*cursor) < vm->log.limit_gfn) {
        struct s2_pos pos = s2_find(vm, *cursor);

        if (*pages >= STEP_PAGES || entries++ == STEP_ENTRIES) {
            return -CORE_ERESTART;
        }
        if (!is_ram_at(&pos)) {
            *cursor = s2_pos_end(&pos);
            continue;
        }
        if (log_add_bitmaps(vm, ipa_gfn(*cursor)) != 0) {
            return -CORE_ENOMEM;
        }
        *pages += 2;
        *cursor = ipa_from_gfn(log_chunk_end(ipa_gfn(*cursor)));
    }
    return 0;
}

/* A prepaid table for every split to come. Write lock. */
static int prepare_tables(struct s2_vm *vm, unsigned pages)
{
    struct dirty_log *log = &vm->log;
    uint64_t have = s2_pool_pages(vm);
    uint64_t missing;

    if (have >= log->tables_needed) {
        log->tables_needed =
            log_count_tables(vm, ipa_make(0), log->limit_gfn << PAGE_SHIFT, S2_RAM_RW);
    }
    if (have >= log->tables_needed) {
        return 0;
    }
    missing = log->tables_needed - have;
    if (missing > STEP_PAGES) {
        missing = STEP_PAGES;
    }
    if (missing + pages > STEP_PAGES) {
        return -CORE_ERESTART;
    }
    return s2_pool_grow(vm, missing) == missing ? -CORE_ERESTART : -CORE_ENOMEM;
}

static int prepare(struct s2_vm *vm)
{
    unsigned pages = 0;
    int result;

    s2_write_lock(vm);
    result = prepare_bitmaps(vm, &pages);
    if (result == 0) {
        result = prepare_tables(vm, pages);
    }
    if (result == 0) {
        set_state(vm, DIRTY_LOG_PROTECT);
        track_range(vm, 0, ~UINT64_C(0)); /* who is written may be closed from now on */
        log_mark_pinned(vm, 0, vm->log.limit_gfn);
    }
    s2_write_unlock(vm);
    return result;
}

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

/* Opens or closes a number of leaves, then invalidates once. True: all are done. */
static bool sweep(struct s2_vm *vm, bool open)
{
    struct s2_cpu_line *line = s2_read_lock(vm);
    struct sweep sweep = {.vm = vm, .open = open, .noted_gfn = NO_TABLE};
    bool done = false;

    sweep.pos = s2_find(vm, vm->log.cursor);
    while (!done && sweep.entries++ < STEP_ENTRIES) {
        if (!sweep_leaf(&sweep)) {
            continue;
        }
        done = ipa_gfn(s2_pos_end(&sweep.pos)) >= vm->log.limit_gfn;
        if (!done) {
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

/* One step of turning off. 0: off. */
static int off_step(struct s2_vm *vm)
{
    int result;

    switch (log_state(vm)) {
    case DIRTY_LOG_OFF:
        return 0;
    case DIRTY_LOG_PREPARE:
    case DIRTY_LOG_PROTECT:
    case DIRTY_LOG_ON:
        change_state(vm, DIRTY_LOG_OPEN);
        break;
    case DIRTY_LOG_OPEN:
        if (sweep(vm, true)) {
            change_state(vm, DIRTY_LOG_MERGE);
        }
        break;
    case DIRTY_LOG_MERGE:
        s2_write_lock(vm);
        result = s2_merge_step(vm, &vm->log.cursor);
        if (result == 0) {
            set_state(vm, DIRTY_LOG_FREE);
        }
        s2_write_unlock(vm);
        break;
    case DIRTY_LOG_FREE:
        /* Under the write lock, so that nobody who saw an earlier state is still at the bitmaps. */
        s2_write_lock(vm);
        if (s2_pool_shrink(vm, STEP_PAGES) < STEP_PAGES && log_free(vm, STEP_GROUPS)) {
            set_state(vm, DIRTY_LOG_OFF);
        }
        s2_write_unlock(vm);
        break;
    }
    return log_state(vm) == DIRTY_LOG_OFF ? 0 : -CORE_ERESTART;
}

/* Nothing has been protected yet: back to where we were, at once. */
static void undo_prepare(struct s2_vm *vm)
{
    change_state(vm, DIRTY_LOG_FREE);
    while (off_step(vm) != 0) {
    }
}

static int enable_step(struct s2_vm *vm, const struct dirty_log_options *options)
{
    int result;

    switch (log_state(vm)) {
    case DIRTY_LOG_OFF:
        result = start(vm, options);
        return result == 0 ? -CORE_ERESTART : result;
    case DIRTY_LOG_PREPARE:
        result = prepare(vm);
        if (result == -CORE_ENOMEM) {
            undo_prepare(vm);
            return result;
        }
        return -CORE_ERESTART;
    case DIRTY_LOG_PROTECT:
        if (!sweep(vm, false)) {
            return -CORE_ERESTART;
        }
        change_state(vm, DIRTY_LOG_ON);
        return 0;
    case DIRTY_LOG_ON:
        return -CORE_EBUSY;
    default:
        /* Somebody began to turn logging off and never came back. */
        (void)off_step(vm);
        return -CORE_ERESTART;
    }
}

int dirty_log_enable(struct s2_vm *vm, const struct dirty_log_options *options)
{
    int result;

    if (options->hardware && !port_has_hardware_dirty()) {
        return -CORE_EINVAL;
    }
    s2_spin_lock(&vm->log.control);
    result = enable_step(vm, options);
    s2_spin_unlock(&vm->log.control);
    return result;
}

int dirty_log_off(struct s2_vm *vm)
{
    int result;

    s2_spin_lock(&vm->log.control);
    result = off_step(vm);
    s2_spin_unlock(&vm->log.control);
    return result;
}

void log_destroy(struct s2_vm *vm)
{
    (void)log_free(vm, ~0u);
    pins_free(vm);
    track_free(vm);
}
