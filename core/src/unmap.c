/* SPDX-License-Identifier: MIT */
/* Taking leaves away, and changing what they are. */
#include <core/s2.h>

#include "entry.h"
#include "gather.h"
#include "lock.h"
#include "log.h"
#include "split.h"

/* Leaves removed, but not invalidated and released yet. */
#define BATCH_LEAVES 32u

struct unmap_batch {
    struct s2_gather gather;
    unsigned count;
    struct s2_pos leaves[BATCH_LEAVES];
};

/* Blocks that reach across an end of the range become smaller ones. */
static int split_ends(struct s2_vm *vm, ipa_t ipa, uint64_t bytes)
{
    int error = s2_split_at(vm, ipa);

    return error != 0 ? error : s2_split_at(vm, ipa_add(ipa, bytes));
}

static void finish_batch(struct unmap_batch *batch, s2_release_fn release, void *context)
{
    s2_gather_flush(&batch->gather);
    for (unsigned i = 0; i < batch->count && release != NULL; i++) {
        const struct s2_pos *leaf = &batch->leaves[i];

        release(context, leaf->base, s2_pte_pa(leaf->old, leaf->level), s2_level_bytes(leaf->level),
                s2_pte_type(leaf->old, leaf->level), s2_pte_is_writable(leaf->old, leaf->level));
    }
    batch->count = 0;
}

static void unmap_locked(struct s2_vm *vm, ipa_t ipa, uint64_t bytes, s2_release_fn release,
                         void *context)
{
    uint64_t end = ipa.addr + bytes;
    struct s2_pos pos = s2_find(vm, ipa);
    struct unmap_batch batch;

    batch.count = 0;
    s2_gather_init(&batch.gather, vm);
    for (;;) {
        if (s2_pos_is_leaf(&pos)) {
            /* With what the hardware may have noted since; the log forgets the page anyway. */
            pos.old = s2_entry_exchange(vm, &pos, 0);
            s2_gather_add(&batch.gather, pos.base, s2_level_bytes(pos.level),
                          s2_level_bytes(pos.level));
            batch.leaves[batch.count++] = pos;
            if (batch.count == BATCH_LEAVES) {
                finish_batch(&batch, release, context);
            }
        }
        if (s2_pos_end(&pos).addr >= end) {
            break;
        }
        s2_step(vm, &pos);
    }
    finish_batch(&batch, release, context);
    if (log_has_chunks(vm)) {
        log_forget_range(vm, ipa, bytes);
    }
}

int s2_unmap(struct s2_vm *vm, ipa_t ipa, uint64_t bytes, s2_release_fn release, void *context)
{
    int error;

    if (!s2_range_is_valid(vm, ipa, bytes)) {
        return -CORE_EINVAL;
    }
    s2_write_lock(vm);
    error = split_ends(vm, ipa, bytes);
    if (error == 0) {
        unmap_locked(vm, ipa, bytes, release, context);
    }
    s2_write_unlock(vm);
    return error;
}

/* All of the range is mapped, and with nothing that needs another memory attribute. */
static int check_set_type(const struct s2_vm *vm, ipa_t ipa, uint64_t bytes)
{
    uint64_t end = ipa.addr + bytes;
    struct s2_pos pos = s2_find(vm, ipa);

    for (;;) {
        if (!s2_pos_is_leaf(&pos)) {
            return -CORE_ENOENT;
        }
        if (!s2_type_is_ram(s2_pte_type(pos.old, pos.level))) {
            return -CORE_EINVAL;
        }
        if (s2_pos_end(&pos).addr >= end) {
            return 0;
        }
        s2_step(vm, &pos);
    }
}

/*
 * The leaf at pos gets another type. A page that becomes writable while logging starts closed, so
 * that its first write is noticed.
 */
static void change_type(struct s2_vm *vm, const struct s2_pos *pos, enum s2_type type)
{
    bool writable = type == S2_RAM_RW && !log_is_marking(vm);
    bool tracked = type == S2_RAM_RW && pos->level == S2_LEVEL_PAGE && log_is_tracking(vm);
    uint64_t pte = s2_pte_leaf(s2_pte_pa(pos->old, pos->level), pos->level, type, writable);
    uint64_t old;

    if (tracked) {
        log_note_tracked(vm, ipa_gfn(pos->base));
        pte = s2_pte_tracked(pte);
    }
    old = s2_entry_exchange(vm, pos, pte);
    if (log_is_marking(vm) && s2_is_dirty(old, pos->level) && log_mark(vm, ipa_gfn(pos->base))) {
        log_count_bits(vm, DIRTY_WRITER_HARDWARE, 1);
    }
}

static void set_type_locked(struct s2_vm *vm, ipa_t ipa, uint64_t bytes, enum s2_type type)
{
    uint64_t end = ipa.addr + bytes;
    struct s2_pos pos = s2_find(vm, ipa);
    struct s2_gather gather;

    s2_gather_init(&gather, vm);
    for (;;) {
        if (s2_pte_type(pos.old, pos.level) != type) {
            change_type(vm, &pos, type);
            s2_gather_add(&gather, pos.base, s2_level_bytes(pos.level), s2_level_bytes(pos.level));
        }
        if (s2_pos_end(&pos).addr >= end) {
            break;
        }
        s2_step(vm, &pos);
    }
    s2_gather_flush(&gather);
}

/* Closed blocks that appear while logging is on need prepaid tables like those before them. */
static int prepay(struct s2_vm *vm, ipa_t ipa, uint64_t bytes, enum s2_type type)
{
    if (type != S2_RAM_RW || !log_is_marking(vm)) {
        return 0;
    }
    return s2_pool_reserve(vm, log_count_tables(vm, ipa, bytes, S2_RAM_RO));
}

int s2_set_type(struct s2_vm *vm, ipa_t ipa, uint64_t bytes, enum s2_type type)
{
    int error;

    if (!s2_range_is_valid(vm, ipa, bytes) || !s2_type_is_ram(type)) {
        return -CORE_EINVAL;
    }
    s2_write_lock(vm);
    error = check_set_type(vm, ipa, bytes);
    if (error == 0) {
        error = split_ends(vm, ipa, bytes);
    }
    if (error == 0) {
        error = prepay(vm, ipa, bytes, type);
    }
    if (error == 0) {
        set_type_locked(vm, ipa, bytes, type);
    }
    s2_write_unlock(vm);
    return error;
}
