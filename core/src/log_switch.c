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
#include "sweep.h"
#include "track.h"

/* How much one call does. */
#define STEP_PAGES   128u  /* of bitmaps allocated */
#define STEP_TABLES  512u  /* set aside, or given back: nobody clears them */
#define STEP_GROUPS  4u    /* of bitmaps freed: 33 pages each */
#define STEP_ENTRIES 8192u /* descriptors looked at */

static void set_state(struct s2_vm *vm, enum dirty_log_state state)
{
    vm->log.cursor = ipa_make(0);
    /* Write lock: its release publishes both. */
    atomic_store_explicit(&vm->log.state, state, memory_order_relaxed);
    atomic_store_explicit(&vm->log.opens_on_fault, log_is_marking(vm) && !vm->log.options.hardware,
                          memory_order_relaxed);
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

/* First gfn above all RAM. Write lock. */
static uint64_t find_limit_gfn(const struct s2_vm *vm)
{
    uint64_t end = vm->ram_end_gfn << PAGE_SHIFT;

    while (end != 0) {
        struct s2_pos pos = s2_find(vm, ipa_make(end - PAGE_SIZE_BYTES));

        if (is_ram_at(&pos)) {
            break;
        }
        end = pos.old == 0 ? s2_empty_begin(&pos).addr : pos.base.addr;
    }
    return end >> PAGE_SHIFT;
}

/* The first gfn of RAM, or limit. Write lock. */
static uint64_t find_first_gfn(const struct s2_vm *vm, uint64_t limit)
{
    ipa_t ipa = ipa_from_gfn(vm->ram_first_gfn);

    while (ipa_gfn(ipa) < limit) {
        struct s2_pos pos = s2_find(vm, ipa);

        if (is_ram_at(&pos)) {
            return ipa_gfn(ipa);
        }
        ipa = pos.old == 0 ? s2_empty_end(&pos) : s2_pos_end(&pos);
    }
    return limit;
}

/*
 * Blocks of 2 MiB of that type among those from pos to the end of its table, or to end; ret_next is
 * the address behind them.
 */
static uint64_t count_blocks(const struct s2_pos *pos, uint64_t end, enum s2_type type,
                             ipa_t *ret_next)
{
    const uint64_t first = pos->base.addr >> s2_level_shift(S2_LEVEL_2M);
    uint64_t left = S2_ENTRIES - first % S2_ENTRIES, blocks = 0;
    uint64_t wanted = (end - pos->base.addr - 1) >> s2_level_shift(S2_LEVEL_2M);
    const s2_entry_t *entry = pos->entry;

    left = wanted < left ? wanted + 1 : left;
    *ret_next = ipa_add(pos->base, left << s2_level_shift(S2_LEVEL_2M));
    for (const s2_entry_t *last = entry + left; entry < last; entry++) {
        /* Relaxed: nothing is read through it, and the caller's lock keeps it as it is. */
        uint64_t pte = atomic_load_explicit(entry, memory_order_relaxed);

        blocks += s2_pte_is_leaf(pte, S2_LEVEL_2M) && s2_pte_type(pte, S2_LEVEL_2M) == type;
    }
    return blocks;
}

uint64_t log_count_tables(struct s2_vm *vm, ipa_t ipa, uint64_t bytes, enum s2_type type)
{
    const uint64_t end = ipa.addr + bytes;
    uint64_t tables = 0;

    while (ipa.addr < end) {
        struct s2_pos pos = s2_find_at(vm, ipa, S2_LEVEL_2M);

        if (pos.level == S2_LEVEL_2M && pos.old != 0) {
            tables += count_blocks(&pos, end, type, &ipa);
            continue;
        }
        if (s2_pos_is_leaf(&pos) && s2_pte_type(pos.old, pos.level) == type) {
            tables += 1 + S2_ENTRIES;
        }
        ipa = pos.old == 0 ? s2_empty_end(&pos) : s2_pos_end(&pos);
    }
    return tables;
}

static int start(struct s2_vm *vm, const struct dirty_log_options *options)
{
    struct dirty_log *log = &vm->log;
    int error;

    s2_write_lock(vm);
    log->limit_gfn = find_limit_gfn(vm);
    log->first_gfn = find_first_gfn(vm, log->limit_gfn);
    error = log_grow(vm, log->limit_gfn);
    if (error == 0) {
        log->options = *options;
        log->tables_needed = 0;
        log->epoch++;
        log->sample = LOG_SAMPLE_NEVER;
        atomic_store_explicit(&log->sampling, 0, memory_order_relaxed); /* write lock */
        atomic_store_explicit(&log->session, 0, memory_order_relaxed);  /* write lock */
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

    if (ipa_gfn(*cursor) < vm->log.first_gfn) {
        *cursor = ipa_from_gfn(vm->log.first_gfn);
    }
    while (ipa_gfn(*cursor) < vm->log.limit_gfn) {
        struct s2_pos pos = s2_find(vm, *cursor);

        if (*pages >= STEP_PAGES || entries++ == STEP_ENTRIES) {
            return -CORE_ERESTART;
        }
        if (!is_ram_at(&pos)) {
            *cursor = pos.old == 0 ? s2_empty_end(&pos) : s2_pos_end(&pos);
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
static int prepare_tables(struct s2_vm *vm)
{
    struct dirty_log *log = &vm->log;
    uint64_t have = s2_pool_pages(vm);
    bool counted = have >= log->tables_needed; /* else in an earlier step: more may have come */
    uint64_t missing;

    if (counted) {
        log->tables_needed =
            log_count_tables(vm, ipa_from_gfn(log->first_gfn),
                             (log->limit_gfn - log->first_gfn) << PAGE_SHIFT, S2_RAM_RW);
    }
    if (have >= log->tables_needed) {
        return 0;
    }
    missing = log->tables_needed - have;
    if (missing > STEP_TABLES) {
        missing = STEP_TABLES;
        counted = false;
    }
    if (s2_pool_grow(vm, missing) != missing) {
        return -CORE_ENOMEM;
    }
    return counted ? 0 : -CORE_ERESTART;
}

static int prepare(struct s2_vm *vm)
{
    unsigned pages = 0;
    int result;

    s2_write_lock(vm);
    result = prepare_bitmaps(vm, &pages);
    if (result == 0) {
        result = prepare_tables(vm);
    }
    if (result == 0) {
        set_state(vm, DIRTY_LOG_PROTECT);
        track_range(vm, 0, ~UINT64_C(0)); /* who is written may be closed from now on */
        log_mark_pinned(vm, 0, vm->log.limit_gfn);
    }
    s2_write_unlock(vm);
    return result;
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
        change_state(vm, DIRTY_LOG_MERGE);
        break;
    case DIRTY_LOG_MERGE:
        s2_write_lock(vm);
        result = s2_merge_step(vm, &vm->log.cursor);
        if (result == 0) {
            set_state(vm, DIRTY_LOG_OPEN);
        }
        s2_write_unlock(vm);
        break;
    case DIRTY_LOG_OPEN:
        if (log_sweep(vm, true)) {
            change_state(vm, DIRTY_LOG_FREE);
        }
        break;
    case DIRTY_LOG_FREE:
        /* Under the write lock, so that nobody who saw an earlier state is still at the bitmaps. */
        s2_write_lock(vm);
        if (s2_pool_shrink(vm, STEP_TABLES) < STEP_TABLES && log_free(vm, STEP_GROUPS)) {
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
        if (!log_sweep(vm, false)) {
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
