/* SPDX-License-Identifier: MIT */
/*
 * One watched range: a bitmap of pages that were written and not reported yet (pending), and one of
 * those that a call has taken and may have to put back (reported).
 */
#include "track.h"

#include <core/dirty_track.h>

#include "entry.h"
#include "gather.h"
#include "lock.h"
#include "log.h"
#include "pool.h"
#include "split.h"

#define SCAN_PAGES S2_ENTRIES /* of one step: one leaf table */

static uint64_t words_of(uint64_t pages)
{
    return (pages + 63) / 64;
}

static unsigned order_of(uint64_t pages)
{
    unsigned order = 0;

    while (PAGE_SIZE_BYTES << order < 2 * words_of(pages) * sizeof(uint64_t)) {
        order++;
    }
    return order;
}

/* Relaxed: whoever reports holds the lock after us, or finds the bit the next time. */
static void note(struct dirty_track *track, uint64_t word, uint64_t mask)
{
    atomic_fetch_or_explicit(&track->pending[word], mask, memory_order_relaxed);
}

void track_note_range(struct s2_vm *vm, uint64_t gfn, uint64_t pages)
{
    struct dirty_track *track = &vm->track;
    uint64_t end = gfn + pages, range_end = track->first_gfn + track->pages;

    gfn = gfn > track->first_gfn ? gfn : track->first_gfn;
    end = end < range_end ? end : range_end;
    while (gfn < end) {
        uint64_t index = gfn - track->first_gfn;
        uint64_t room = 64 - index % 64;
        uint64_t n = end - gfn < room ? end - gfn : room;

        note(track, index / 64, ((n == 64 ? 0 : UINT64_C(1) << n) - 1) << (index % 64));
        gfn += n;
    }
}

void track_note_words(struct s2_vm *vm, const struct dirty_log_word *words, unsigned count)
{
    const struct dirty_track *track = &vm->track;

    for (unsigned i = 0; i < count; i++) {
        if (words[i].gfn + 64 <= track->first_gfn ||
            words[i].gfn >= track->first_gfn + track->pages) {
            continue;
        }
        for (uint64_t bits = words[i].bits; bits != 0; bits &= bits - 1) {
            track_note_range(vm, words[i].gfn + (unsigned)__builtin_ctzll(bits), 1);
        }
    }
}

/* Write lock, or nobody else knows of the VM. */
void track_free(struct s2_vm *vm)
{
    if (track_is_on(vm)) {
        port_pages_free((void *)vm->track.pending, vm->track.order);
        vm->track = (struct dirty_track){0};
    }
}

int dirty_track_start(struct s2_vm *vm, uint64_t first_gfn, uint64_t pages)
{
    unsigned order = order_of(pages);
    _Atomic uint64_t *pending;

    if (pages == 0 || pages > DIRTY_TRACK_PAGES_MAX ||
        first_gfn > (UINT64_MAX >> PAGE_SHIFT) - pages) {
        return -CORE_EINVAL;
    }
    pending = port_pages_alloc(order);
    if (pending == NULL) {
        return -CORE_ENOMEM;
    }
    s2_write_lock(vm);
    track_free(vm);
    vm->track.pending = pending;
    vm->track.reported = (uint64_t *)(void *)(pending + words_of(pages));
    vm->track.order = order;
    vm->track.first_gfn = first_gfn;
    vm->track.pages = pages;
    track_note_range(vm, first_gfn, pages);
    s2_write_unlock(vm);
    return 0;
}

void dirty_track_stop(struct s2_vm *vm)
{
    s2_write_lock(vm);
    track_free(vm);
    s2_write_unlock(vm);
}

bool dirty_track_is_on(const struct s2_vm *vm, uint64_t first_gfn, uint64_t pages)
{
    return track_is_on(vm) && vm->track.first_gfn == first_gfn && vm->track.pages == pages;
}

/* An open block becomes pages; false: there is no memory for that. */
static bool split_block(struct s2_vm *vm, const struct s2_pos *pos)
{
    void *table = s2_table_alloc(vm);

    if (table == NULL) {
        return false;
    }
    if (!s2_split(vm, pos, table)) {
        s2_table_free(vm, table); /* the CPU's own table walk has changed it: look again */
    }
    return true;
}

/* Closes the open leaf at pos and counts it as written. False: it changed, look again. */
static bool close_leaf(struct s2_vm *vm, struct s2_gather *gather, const struct s2_pos *pos)
{
    uint64_t bytes = s2_level_bytes(pos->level);

    if (pos->level != S2_LEVEL_PAGE) {
        if (split_block(vm, pos)) {
            return false;
        }
        track_note_range(vm, ipa_gfn(pos->base), bytes >> PAGE_SHIFT);
        return true; /* and stays open */
    }
    if (!s2_entry_swap(vm, pos, s2_pte_closed(pos->old, pos->level))) {
        return false;
    }
    if (log_is_marking(vm) && log_mark(vm, ipa_gfn(pos->base))) {
        /* The descriptor was the mark. */
        s2_count(&vm->lock.cpu[port_cpu_id()].bits_set[DIRTY_WRITER_HARDWARE]);
    }
    s2_gather_add(gather, pos->base, bytes, bytes);
    track_note_range(vm, ipa_gfn(pos->base), 1);
    return true;
}

static void scan_range(struct s2_vm *vm, uint64_t gfn, uint64_t end)
{
    struct s2_gather gather;

    s2_gather_init(&gather, vm);
    while (gfn < end && ipa_from_gfn(gfn).addr < s2_end(vm).addr) {
        struct s2_pos pos = s2_find(vm, ipa_from_gfn(gfn));

        if (s2_pos_is_leaf(&pos) && s2_pte_type(pos.old, pos.level) == S2_RAM_RW &&
            s2_pte_is_writable(pos.old, pos.level) && !close_leaf(vm, &gather, &pos)) {
            continue;
        }
        gfn = ipa_gfn(s2_pos_end(&pos));
    }
    s2_gather_flush(&gather);
}

int dirty_track_scan(struct s2_vm *vm, uint64_t *cursor)
{
    uint64_t first, end;
    int result = 0;

    s2_write_lock(vm);
    if (track_is_on(vm) && *cursor < vm->track.pages) {
        first = vm->track.first_gfn + *cursor;
        end = (first | (SCAN_PAGES - 1)) + 1;
        if (end >= vm->track.first_gfn + vm->track.pages) {
            end = vm->track.first_gfn + vm->track.pages;
        } else {
            result = -CORE_ERESTART;
        }
        scan_range(vm, first, end);
        *cursor = end - vm->track.first_gfn;
    }
    s2_write_unlock(vm);
    return result;
}

void dirty_track_report(struct s2_vm *vm, uint64_t offset, uint64_t words, uint8_t *bits)
{
    struct dirty_track *track = &vm->track;
    struct s2_cpu_line *line = s2_read_lock(vm);

    for (uint64_t i = 0; i < words; i++) {
        uint64_t word = 0;

        if (offset / 64 + i < words_of(track->pages)) {
            /* Relaxed: as in note. */
            word =
                atomic_exchange_explicit(&track->pending[offset / 64 + i], 0, memory_order_relaxed);
            track->reported[offset / 64 + i] |= word;
        }
        for (unsigned byte = 0; byte < 8; byte++) {
            bits[i * 8 + byte] = (uint8_t)(word >> (8 * byte));
        }
    }
    s2_read_unlock(line);
}

void dirty_track_finish(struct s2_vm *vm, bool delivered)
{
    struct dirty_track *track = &vm->track;
    struct s2_cpu_line *line = s2_read_lock(vm);

    for (uint64_t i = 0; i < words_of(track->pages); i++) {
        if (!delivered && track->reported[i] != 0) {
            note(track, i, track->reported[i]);
        }
        track->reported[i] = 0;
    }
    s2_read_unlock(line);
}
