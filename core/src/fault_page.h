/* SPDX-License-Identifier: MIT */
/*
 * The case that nearly all write faults are: a logged guest's first write to a page. No call, so
 * that it can be compiled for an entry path that saves few registers.
 */
#ifndef CORE_SRC_FAULT_PAGE_H
#define CORE_SRC_FAULT_PAGE_H

#include "entry.h"
#include "find.h"
#include "lock.h"
#include "log.h"

/*
 * Opens the closed RAM page whose leaf is at entry and marks it, in this order: a harvest between
 * the two finds no bit and leaves the page alone. The caller invalidates, on this CPU. Marking is
 * on. Read lock: so the leaf, seen closed, can only have been opened meanwhile.
 */
static inline void fault_open_marked(struct s2_vm *vm, struct s2_cpu_line *line, s2_entry_t *entry,
                                     ipa_t ipa)
{
    (void)s2_entry_open(vm, entry, ipa);
    if (log_mark(vm, ipa_gfn(ipa))) {
        s2_count(&line->bits_set[DIRTY_WRITER_VCPU]);
    } else {
        s2_count(&line->faults_reopened);
    }
}

/* The whole case. False: it is another one, and nothing has been done. Read lock. */
static inline bool fault_open_page(struct s2_vm *vm, struct s2_cpu_line *line, ipa_t ipa)
{
    struct s2_pos pos = s2_find_page(vm, ipa);

    if (pos.level != S2_LEVEL_PAGE || !s2_pos_is_leaf(&pos) ||
        s2_pte_type(pos.old, pos.level) != S2_RAM_RW || s2_pte_is_writable(pos.old, pos.level) ||
        !log_opens_on_fault(vm)) {
        return false;
    }
    fault_open_marked(vm, line, pos.entry, ipa);
    return true;
}

#endif
