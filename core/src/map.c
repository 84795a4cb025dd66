/* SPDX-License-Identifier: MIT */
/* Mapping: check that the range is free, link the tables it needs, then write leaves, which cannot
 * fail. */
#include <core/s2.h>

#include "entry.h"
#include "find.h"
#include "gather.h"
#include "lock.h"
#include "log.h"
#include "pool.h"
#include "table.h"
#include "track.h"

/* A request, and leaves of one size in one table. */
struct map_request {
    ipa_t ipa;
    pa_t pa;
    uint64_t bytes;
    enum s2_type type;
    unsigned min_level; /* of the largest leaf that may be used */
};

struct map_run {
    ipa_t ipa;
    unsigned level;
    unsigned count;
};

static bool type_may_be_block(enum s2_type type)
{
    return s2_type_is_ram(type) || type == S2_DEVICE;
}

static bool type_starts_writable(enum s2_type type)
{
    return type == S2_RAM_RW || type == S2_DEVICE || type == S2_SHARED;
}

/* Largest leaf for what is left of the request from ipa on, and how many of them the table takes.
 */
static struct map_run next_run(const struct map_request *request, ipa_t ipa)
{
    uint64_t done = ipa.addr - request->ipa.addr;
    uint64_t left = request->bytes - done;
    uint64_t alignment = ipa.addr | pa_add(request->pa, done).addr;
    struct map_run run = {.ipa = ipa, .level = request->min_level};
    uint64_t fit, room;

    while (run.level < S2_LEVEL_PAGE && ((alignment & (s2_level_bytes(run.level) - 1)) != 0 ||
                                         left < s2_level_bytes(run.level))) {
        run.level++;
    }
    fit = left >> s2_level_shift(run.level);
    room = S2_ENTRIES - ((ipa.addr >> s2_level_shift(run.level)) & (S2_ENTRIES - 1));
    run.count = (unsigned)(fit < room ? fit : room);
    return run;
}

static ipa_t run_end(const struct map_run *run)
{
    return ipa_add(run->ipa, run->count * s2_level_bytes(run->level));
}

static bool range_is_free(const struct s2_vm *vm, ipa_t ipa, uint64_t bytes)
{
    uint64_t end = ipa.addr + bytes;
    struct s2_pos pos = s2_find(vm, ipa);

    for (;;) {
        if (s2_pos_is_leaf(&pos)) {
            return false;
        }
        if (s2_pos_end(&pos).addr >= end) {
            return true;
        }
        s2_step(vm, &pos);
    }
}

/* Links empty tables, which change no translation, down to where leaves of that level go. */
static int prepare_tables(struct s2_vm *vm, ipa_t ipa, unsigned level)
{
    for (;;) {
        struct s2_pos pos = s2_find_at(vm, ipa, level);
        void *table;

        if (pos.level == level) {
            return 0;
        }
        table = s2_table_alloc(vm);
        if (table == NULL) {
            return -CORE_ENOMEM;
        }
        (void)s2_entry_swap(vm, &pos, s2_pte_table(port_va_to_pa(table), pos.level));
    }
}

/* An empty table where a block is to go: unlink it, and free it when no walk uses it any more. */
static void drop_empty_table(struct s2_vm *vm, struct s2_pos *pos)
{
    s2_entry_t *table = s2_table_of(pos->old, pos->level);

    (void)s2_entry_replace(vm, pos, 0, PAGE_SIZE_BYTES);
    pos->old = 0;
    s2_table_free_all(vm, table, pos->level + 1);
}

static void write_leaves(struct s2_vm *vm, const struct map_request *request,
                         const struct map_run *run)
{
    struct s2_pos pos = s2_find_at(vm, run->ipa, run->level);
    bool writable = type_starts_writable(request->type);
    bool tracked = request->type == S2_RAM_RW && log_is_tracking(vm);

    if (tracked) {
        log_note_tracked(vm, ipa_gfn(run->ipa));
    }
    for (unsigned i = 0; i < run->count; i++) {
        pa_t pa = pa_add(request->pa, pos.base.addr - request->ipa.addr);
        uint64_t pte;

        if (pos.old != 0) {
            drop_empty_table(vm, &pos);
        }
        pte = s2_pte_leaf(pa, run->level, request->type, writable);
        (void)s2_entry_swap(vm, &pos, tracked ? s2_pte_tracked(pte) : pte);
        if (i + 1 < run->count) {
            pos.entry++;
            pos.base = s2_pos_end(&pos);
            pos.old = s2_entry_load(pos.entry);
        }
    }
}

static void widen_ram(struct s2_vm *vm, uint64_t first, uint64_t end)
{
    if (vm->ram_end_gfn == vm->ram_first_gfn || first < vm->ram_first_gfn) {
        vm->ram_first_gfn = first;
    }
    if (end > vm->ram_end_gfn) {
        vm->ram_end_gfn = end;
    }
}

static int map_locked(struct s2_vm *vm, const struct map_request *request)
{
    uint64_t end = request->ipa.addr + request->bytes;
    bool is_ram = s2_type_is_ram(request->type);
    struct map_run run;
    int error = 0;

    if (!range_is_free(vm, request->ipa, request->bytes)) {
        return -CORE_EEXIST;
    }
    for (ipa_t ipa = request->ipa; error == 0 && ipa.addr < end; ipa = run_end(&run)) {
        run = next_run(request, ipa);
        error = prepare_tables(vm, ipa, run.level);
    }
    if (error == 0 && is_ram && log_has_chunks(vm)) {
        error = log_cover(vm, request->ipa, request->bytes);
    }
    if (error != 0) {
        return error;
    }
    for (ipa_t ipa = request->ipa; ipa.addr < end; ipa = run_end(&run)) {
        run = next_run(request, ipa);
        write_leaves(vm, request, &run);
    }
    port_publish();
    if (is_ram) {
        widen_ram(vm, ipa_gfn(request->ipa), end >> PAGE_SHIFT);
        track_range(vm, ipa_gfn(request->ipa), request->bytes >> PAGE_SHIFT);
    }
    if (is_ram && log_is_marking(vm)) {
        log_mark_range(vm, request->ipa, request->bytes, DIRTY_WRITER_MAPPING);
    }
    return 0;
}

int s2_map(struct s2_vm *vm, ipa_t ipa, pa_t pa, uint64_t bytes, enum s2_type type)
{
    struct map_request request = {ipa, pa, bytes, type, S2_FIND_LARGEST};
    int error;

    if (!s2_range_is_valid(vm, ipa, bytes) || (pa.addr & PAGE_MASK) != 0 ||
        pa.addr >> port_s2_pa_bits() != 0 || (pa.addr + bytes - 1) >> port_s2_pa_bits() != 0 ||
        type == S2_NONE || type > S2_SHARED) {
        return -CORE_EINVAL;
    }
    s2_write_lock(vm);
    /* Pages only where a first write is about to split a block anyway, and for single frames. */
    if (!type_may_be_block(type) || (type == S2_RAM_RW && log_is_marking(vm))) {
        request.min_level = S2_LEVEL_PAGE;
    }
    error = map_locked(vm, &request);
    s2_write_unlock(vm);
    return error;
}
