/* SPDX-License-Identifier: MIT */
/* Write faults: the path that a guest's first write to each page takes. */
#include <core/s2.h>

#include "fault_page.h"
#include "pool.h"
#include "split.h"

/*
 * Without a prepaid page the block is opened as it is, and all of it is marked.
 * Dearer for whoever harvests, but nothing is lost. False: try again.
 */
static bool open_whole_block(struct s2_vm *vm, const struct s2_pos *pos)
{
    if (!s2_entry_swap(vm, pos, s2_pte_opened(pos->old, pos->level))) {
        return false;
    }
    log_mark_range(vm, pos->base, s2_level_bytes(pos->level), DIRTY_WRITER_BLOCK);
    return true;
}

/* A logged block must become smaller before a page of it can be opened. True: the page is open. */
static __attribute__((noinline)) bool split_or_open(struct s2_vm *vm, struct s2_cpu_line *line,
                                                    const struct s2_pos *pos)
{
    void *page = s2_pool_take(vm);

    if (page == NULL) {
        return open_whole_block(vm, pos);
    }
    if (!s2_split(vm, pos, page)) {
        s2_pool_put(vm, page);
        return false;
    }
    s2_count(&line->faults_split);
    return false;
}

/*
 * Where the hardware notes writes: a page that was left to a fault, or of which our TLB held an old
 * entry. It becomes what the hardware would have made of it, so the descriptor is the mark; the one
 * in the log says that a fault has noticed it. False: try again.
 */
static bool open_tracked(struct s2_vm *vm, struct s2_cpu_line *line, const struct s2_pos *pos)
{
    uint64_t gfn = ipa_gfn(pos->base);

    log_note_tracked(vm, gfn);
    if (!s2_entry_swap(vm, pos, s2_pte_opened(s2_pte_tracked(pos->old), pos->level))) {
        return false;
    }
    if (log_mark(vm, gfn)) {
        s2_count(&line->bits_set[DIRTY_WRITER_VCPU]);
    } else {
        s2_count(&line->faults_reopened);
    }
    return true;
}

/* Everything but the case that s2_fault_write does itself. Drops the read lock. */
static __attribute__((noinline)) enum s2_fault fault_slow(struct s2_vm *vm,
                                                          struct s2_cpu_line *line, ipa_t ipa)
{
    enum s2_fault result = S2_FAULT_RETRY;
    bool marking = log_is_marking(vm);
    bool split = false;

    for (;;) {
        struct s2_pos pos = s2_find_other(vm, ipa);
        enum s2_type type;

        if (!s2_pos_is_leaf(&pos)) {
            result = s2_is_in_transit(pos.old) ? S2_FAULT_RETRY : S2_FAULT_UNMAPPED;
            break;
        }
        if (s2_pte_is_writable(pos.old, pos.level)) {
            /* Somebody else opened it; our TLB may still hold the old entry, or we fault for ever.
             */
            s2_count(&line->faults_spurious);
            port_tlb_flush_local(vm, ipa);
            break;
        }
        type = s2_pte_type(pos.old, pos.level);
        if (type != S2_RAM_RW) {
            result = type == S2_FOREIGN_RW ? S2_FAULT_FOREIGN : S2_FAULT_READONLY;
            break;
        }
        if (marking && pos.level != S2_LEVEL_PAGE) {
            if (split_or_open(vm, line, &pos)) {
                port_tlb_flush_local(vm, ipa);
                break;
            }
            split = true;
        } else if (split && s2_pte_is_tracked(pos.old)) {
            break; /* the hardware does the rest */
        } else if (marking && vm->log.options.hardware) {
            if (open_tracked(vm, line, &pos)) {
                port_tlb_flush_local(vm, ipa);
                break;
            }
        } else if (marking) {
            fault_open_marked(vm, line, pos.entry, ipa);
            port_tlb_flush_local(vm, ipa);
            break;
        } else if (s2_entry_swap(vm, &pos, s2_pte_opened(pos.old, pos.level))) {
            s2_count(&line->faults_reopened);
            port_tlb_flush_local(vm, ipa);
            break;
        }
    }
    s2_read_unlock(line);
    return result;
}

enum s2_fault s2_fault_write(struct s2_vm *vm, ipa_t ipa)
{
    struct s2_cpu_line *line;

    if (ipa.addr >> vm->ipa_bits) {
        return S2_FAULT_UNMAPPED;
    }
    line = s2_read_lock(vm);
    if (fault_open_page(vm, line, ipa)) {
        port_tlb_flush_local(vm, ipa);
        s2_read_unlock(line);
        return S2_FAULT_RETRY;
    }
    return fault_slow(vm, line, ipa);
}

bool s2_open_foreign(struct s2_vm *vm, ipa_t ipa, pa_t pa)
{
    struct s2_cpu_line *line;
    bool opened = false;

    if (ipa.addr >= s2_end(vm).addr) {
        return false;
    }
    line = s2_read_lock(vm);
    struct s2_pos pos = s2_find_page(vm, ipa);

    if (pos.level != S2_LEVEL_PAGE || !s2_pos_is_leaf(&pos)) {
        pos = s2_find_other(vm, ipa);
    }
    if (s2_pos_is_leaf(&pos) && s2_pte_type(pos.old, pos.level) == S2_FOREIGN_RW &&
        pa_mfn(s2_pte_pa(pos.old, pos.level)) == pa_mfn(pa) &&
        !s2_pte_is_writable(pos.old, pos.level)) {
        opened = s2_entry_swap(vm, &pos, s2_pte_opened(pos.old, pos.level));
    }
    if (opened) {
        port_tlb_flush_local(vm, ipa);
    }
    s2_read_unlock(line);
    return opened;
}
