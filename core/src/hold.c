/* SPDX-License-Identifier: MIT */
/* Frames of many pages, for who is going to copy them all. */
#include <core/s2.h>

#include "lock.h"
#include "walk.h"

static bool is_ram(uint64_t pte, unsigned level, bool write)
{
    enum s2_type type;

    if (!s2_pte_is_leaf(pte, level)) {
        return false;
    }
    type = s2_pte_type(pte, level);
    return type == S2_RAM_RW || (type == S2_RAM_RO && !write);
}

/*
 * Pages from the first on that lie in the block at pos. It is not read again: while the read lock
 * is held it may be split and closed, but neither move nor become something else.
 */
static unsigned find_in_block(const struct s2_pos *pos, const uint64_t *gfns, unsigned n,
                              pa_t *ret_frames)
{
    uint64_t first = ipa_gfn(pos->base), pages = s2_level_bytes(pos->level) >> PAGE_SHIFT;
    pa_t frame = s2_pos_pa(pos, pos->base);
    unsigned i;

    for (i = 0; i < n && gfns[i] - first < pages; i++) {
        ret_frames[i] = pa_add(frame, (gfns[i] - first) << PAGE_SHIFT);
    }
    return i;
}

/* Those in the leaf table of pos, up to one that is something else, or that is being replaced. */
static unsigned find_in_table(const struct s2_pos *pos, const uint64_t *gfns, unsigned n,
                              bool write, pa_t *ret_frames)
{
    const s2_entry_t *table = pos->entry - ipa_gfn(pos->base) % S2_ENTRIES;
    uint64_t first = ipa_gfn(pos->base) - ipa_gfn(pos->base) % S2_ENTRIES;
    uint64_t old = pos->old;
    unsigned i = 0;

    while (is_ram(old, S2_LEVEL_PAGE, write)) {
        ret_frames[i] = s2_pte_pa(old, S2_LEVEL_PAGE);
        if (++i == n || gfns[i] - first >= S2_ENTRIES) {
            break;
        }
        old = s2_entry_load(&table[gfns[i] - first]);
    }
    return i;
}

unsigned s2_lookup_hold_ram(struct s2_vm *vm, const uint64_t *gfns, unsigned n, bool write,
                            unsigned (*hold)(const pa_t *frames, unsigned count), pa_t *ret_frames)
{
    struct s2_cpu_line *line = s2_read_lock(vm);
    unsigned found = 0;

    while (found < n && gfns[found] >> (vm->ipa_bits - PAGE_SHIFT) == 0) {
        struct s2_pos pos = s2_find_settled(vm, ipa_from_gfn(gfns[found]));

        if (!is_ram(pos.old, pos.level, write)) {
            break;
        }
        if (pos.level == S2_LEVEL_PAGE) {
            found += find_in_table(&pos, gfns + found, n - found, write, ret_frames + found);
        } else {
            found += find_in_block(&pos, gfns + found, n - found, ret_frames + found);
        }
    }
    found = hold(ret_frames, found);
    s2_read_unlock(line);
    return found;
}
