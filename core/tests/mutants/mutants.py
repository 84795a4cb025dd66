#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds core/ with one rule broken and checks that the tests notice.

Usage: mutants.py NAME --source DIR --libraries DIR [--cc CC]
       mutants.py --self-test --source DIR --libraries DIR [--cc CC]
       mutants.py --list

--self-test: a mutant that breaks nothing is reported as surviving, and one that does not apply or
does not compile as an error.

--source is the folder core/; --libraries holds libcore-mutant.a (core/ and the fake machine) and
libcore-mutant-TEST.a for each test program. Only what the mutant changes is compiled again. Exit
status: 0 when every test that must notice failed (or hung), 1 when one passed, 2 when the mutant does
not apply.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

TIMEOUT_S = 60

# name: (test that must notice, file in core/src, text to find exactly once, text in its place)
MUTANTS = {
    # Lists of pages.
    "list-writes-read-only-ram": ("s2", "hold.c", "(type == S2_RAM_RO && !write)", "type == S2_RAM_RO"),
    "list-runs-out-of-a-block": ("s2", "hold.c", "i < n && gfns[i] - first < pages;", "i < n;"),
    "list-runs-out-of-a-table": ("s2", "hold.c", "++i == n || gfns[i] - first >= S2_ENTRIES", "++i == n"),
    "list-marks-nothing": ("writers", "log.c", "            log_mark_if_ram(vm, ipa_from_gfn(gfns[i]), writer);",
        "            ;"),
    # The order of the fault handler.
    "mark-before-open": ("race", "fault_page.h", """
    (void)s2_entry_open(vm, entry, ipa);
    if (log_mark(vm, ipa_gfn(ipa))) {
""", """
    bool marked = log_mark(vm, ipa_gfn(ipa));

    (void)s2_entry_open(vm, entry, ipa);
    if (marked) {
"""),
    "fault-does-not-mark": ("log", "fault_page.h", "if (log_mark(vm, ipa_gfn(ipa))) {",
        "if (true) {"),
    "fault-without-invalidation": ("log", "fault.c", """
    if (fault_open_page(vm, line, ipa)) {
        port_tlb_flush_local(vm, ipa);
""", """
    if (fault_open_page(vm, line, ipa)) {
"""),
    "fast-fault-opens-read-only-ram": ("fast", "fault_page.h",
        "        s2_pte_type(pos.old, pos.level) != S2_RAM_RW || ", "        "),
    "fast-fault-ignores-writers": ("fast", "lock.h", """
    if (__builtin_expect(!atomic_load_explicit(&vm->lock.writing, memory_order_seq_cst), 1)) {
        return line;
    }
    atomic_store_explicit(&line->reading, 0, memory_order_release); /* as s2_read_unlock */
    return NULL;
""", """
    return line;
"""),
    "spurious-fault-without-invalidation": ("log", "fault.c", """
            s2_count(&line->faults_spurious);
            port_tlb_flush_local(vm, ipa);
""", """
            s2_count(&line->faults_spurious);
"""),
    "whole-block-opened-unmarked": ("log_map", "fault.c",
        "    log_mark_range(vm, pos->base, s2_level_bytes(pos->level), DIRTY_WRITER_BLOCK);", ""),
    "read-only-ram-is-opened": ("s2", "fault.c", "if (type != S2_RAM_RW) {",
        "if (type != S2_RAM_RW && type != S2_RAM_RO) {"),
    "drain-does-not-wait": ("lock", "s2.c", """
    s2_write_lock(vm);
    s2_write_unlock(vm);
}
""", """
    (void)vm;
}
"""),
    # The order of a harvest.
    "protect-before-take": ("race", "harvest.c", """
        taken = at + LOG_WORD_PAGES <= end ? log_take_whole_word(word)
                                           : log_take_word(harvest->protect.vm, chunk, at,
                                                           log_bits(0, log_word_pages(at, end)));
""", """
        taken = atomic_load(word) & log_bits(0, at + 64 <= end ? 64 : log_word_pages(at, end));
        if (taken != 0) {
            protect_word(&harvest->protect, &now, i, taken, false);
            hardware = true; /* so that the one behind the take does nothing */
            taken = log_take_word(harvest->protect.vm, chunk, at, taken);
        }
"""),
    "harvest-does-not-protect": ("log", "harvest.c",
        "        protect_word(&harvest->protect, &now, i, taken, hardware);", "        now.pages += log_bit_count(taken);\n        (void)protect_word, (void)hardware;"),
    "harvest-protects-without-gathering": ("log", "harvest.c",
        "    if (taking.opened) {", "    if (false) {"),
    "harvest-without-invalidation": ("race", "harvest.c", "    s2_gather_flush(&harvest->protect.gather);", ""),
    "harvest-skips-what-is-in-transit": ("race", "protect.h", """
            /* Never skipped: what is being linked was made from the open leaf. */
            port_cpu_relax();
""", """
            return;
"""),
    "harvest-retries-the-old-entry-only": ("race", "protect.h", """
    for (;;) {
        /* From the root each time: a block may have become a table meanwhile. */
        struct s2_pos pos = s2_find(vm, ipa_from_gfn(gfn));
""", """
    struct s2_pos pos = s2_find(vm, ipa_from_gfn(gfn));
    for (;; pos.old = s2_entry_load(pos.entry)) {
"""),
    "summary-cleared-after-the-word": ("race", "harvest.c", """
        protect_word(&harvest->protect, &now, i, taken, hardware);
""", """
        protect_word(&harvest->protect, &now, i, taken, hardware);
            atomic_fetch_and(&chunk->summary[log_word_of(at) / 64],
                             ~(UINT64_C(1) << (log_word_of(at) % 64)));
"""),
    # With a point between the two steps at which the other CPU may act.
    "top-cleared-after-the-summary": ("race", "harvest.c", """
    for (unsigned i = 0; i < DIRTY_LOG_SUMMARY_WORDS; i++) {
        if (atomic_load_explicit(&chunk->summary[i], memory_order_relaxed) != 0) {
            log_set_top(vm, gfn);
            break;
        }
    }
    return at;
""", """
    for (unsigned i = 0; i < DIRTY_LOG_SUMMARY_WORDS; i++) {
        if (atomic_load_explicit(&chunk->summary[i], memory_order_relaxed) != 0) {
            log_set_top(vm, gfn);
            return at;
        }
    }
    (void)s2_find(vm, ipa_from_gfn(gfn));
    log_take_top(vm, gfn);
    return at;
"""),
    "top-forgets-the-rest-of-a-chunk": ("log", "harvest.c",
        "            log_set_top(vm, gfn);", ";"),
    "part-of-a-word-forgets-the-rest": ("words", "log.h", """
        log_set_summary(vm, chunk, gfn); /* what stays must be found again */
""", ""),
    "taken-words-of-an-old-session": ("words", "harvest.c", """
    if ((before >> i & 1) != 0) {
        keep |=""", """
    if (true) {
        keep |="""),
    "pins-are-not-marked-again": ("log_map", "harvest.c",
        "        log_mark_pinned(vm, first, pages);", ""),
    "pins-of-words-are-not-marked-again": ("words", "harvest.c",
        "            log_mark_pinned_words(vm, words, harvest.count, harvest.taken);", ";"),
    "pins-in-unknown-parts-of-their-table": ("words", "pins.c",
        "        note_occupied(pins, entry);\n", ""),
    "marked-pages-are-counted-again": ("writers", "fault_page.h",
        "if (log_mark(vm, ipa_gfn(ipa))) {", "if (log_mark(vm, ipa_gfn(ipa)) || true) {"),
    "harvest-hides-writes-from-the-watched-range": ("track", "harvest.c",
        "            gfn = take_range(&harvest, gfn, limit);\n            track_words(vm, words, harvest.count);",
        "            gfn = take_range(&harvest, gfn, limit);"),
    "enabling-hides-writes-from-the-watched-range": ("track", "log_switch.c",
        "        track_range(vm, 0, ~UINT64_C(0)); /* who is written may be closed from now on */", ""),
    "watched-pages-are-not-invalidated": ("track", "track.c", "    s2_gather_flush(&gather);", ""),
    "watched-pages-stay-open": ("track", "track.c", """
    if (!s2_entry_swap(vm, pos, s2_pte_closed(pos->old, pos->level))) {
        return false;
    }
""", ""),
    "returned-pages-are-not-counted": ("writers", "session.c",
        "    s2_count_by(&line->returned, pages);", "    (void)line;"),
    "abort-loses-bits": ("log", "session.c",
        "            words += put_chunk_back(vm, line, chunk, gfn);", "            (void)put_chunk_back;\n            (void)line;"),
    "abort-forgets-the-rest": ("abort", "session.c", "        if (put_some_back(vm, line)) {",
        "        if (put_some_back(vm, line) || true) {"),
    "take-goes-on-beside-an-abort": ("abort", "harvest.c", " && /* caller's own */\n           vm->log.returned_to == 0;", ";"),
    "abort-starts-where-the-last-one-ended": ("abort", "session.c", "            vm->log.returned_to = 0;", ""),
    "committed-bits-come-back": ("log", "session.c", "    vm->log.epoch++;", ""),
    # Splits, merges and descriptors.
    "split-without-break": ("s2", "split.c",
        "if (!s2_entry_break(vm, pos, s2_level_bytes(pos->level), &broken)) {",
        "if (s2_entry_swap(vm, pos, table)) {\n        return true;\n    } else {"),
    "split-opens-pages": ("log", "split.c",
        "    return split(vm, pos, page, s2_pte_is_writable(pos->old, pos->level));",
        "    return split(vm, pos, page, true);"),
    "split-loses-the-type": ("s2", "split.c",
        "s2_pte_type(block->old, block->level), writable);", "S2_RAM_RW, writable);"),
    "break-without-invalidation": ("s2", "entry.c", "    s2_gather_flush(&gather);", ""),
    "swap-does-not-compare": ("race", "entry.h", """
    if (!port_compare_exchange(pos->entry, &expected, pte, memory_order_acq_rel)) {
        return false;
    }
""", """
    (void)expected;
    atomic_store_explicit(pos->entry, pte, memory_order_release);
"""),
    "merge-ignores-frames": ("s2", "merge.c",
        "           s2_pte_pa(pte, level).addr == s2_pte_pa(first, level).addr + i * s2_level_bytes(level);",
        "           i != 0;"),
    "merge-looks-at-the-last-only": ("s2", "merge.c",
        "if (!group && !continues(", "if (false && !continues("),
    "merge-of-misaligned-frames": ("s2", "merge.c",
        "        (pa.addr & (s2_level_bytes(pos->level) - 1)) != 0) {", "        pa.addr == 1) {"),
    "merge-frees-before-the-break": ("s2", "merge.c", """
        (void)s2_entry_replace(vm, &pos, pte, s2_level_bytes(level + 1));
        s2_table_free_all(vm, table, level + 1);
""", """
        (void)s2_entry_swap(vm, &pos, s2_pte_locked());
        s2_table_free_all(vm, table, level + 1);
        pos.old = s2_pte_locked();
        port_tlb_flush_vm(vm);
        (void)s2_entry_swap(vm, &pos, pte);
"""),
    # Mapping and unmapping.
    "unmap-without-invalidation": ("s2", "unmap.c", "    s2_gather_flush(&batch->gather);", ""),
    "unmap-keeps-marks": ("log_map", "unmap.c", "        log_forget_range(vm, ipa, bytes);", ";"),
    "new-pages-are-not-marked": ("log_map", "map.c",
        "        log_mark_range(vm, request->ipa, request->bytes, DIRTY_WRITER_MAPPING);", ";"),
    "set-type-opens-logged-pages": ("log_map", "unmap.c",
        "bool writable = type == S2_RAM_RW && !log_is_marking(vm);",
        "bool writable = type == S2_RAM_RW;"),
    "set-type-without-invalidation": ("s2", "unmap.c", """
    s2_gather_flush(&gather);
}
""", """
}
"""),
    "enable-without-invalidation": ("log", "sweep.c", "        port_tlb_flush_vm(vm);", ""),
    "sweep-forgets-the-rest-of-a-table": ("model", "sweep.c",
        "i < S2_GROUP && entry < end; i++, entry++)", "i < S2_GROUP && entry < end; i++, entry = end)"),
    "empty-descriptors-hide-a-leaf": ("model", "walk.h", "        any |= ", "        any = "),
    # What is left behind when memory runs out.
    "pool-forgets-the-rest-of-a-run": ("log", "pool.c", "        if (run->pages == 0) {", "        if (true) {"),
    "ram-above-the-rest-is-not-logged": ("log_map", "map.c", "end > vm->ram_end_gfn", "vm->ram_end_gfn == 0"),
    "ram-below-the-rest-is-not-logged": ("log_map", "map.c", " || first < vm->ram_first_gfn", ""),
    "reserve-keeps-what-it-got": ("memory", "pool.c", "        s2_pool_shrink(vm, added);", ""),
    "enable-undoes-nothing": ("memory", "log_switch.c", "            undo_prepare(vm);", ""),
    "type-changes-without-memory": ("memory", "unmap.c", "    if (error == 0) {\n        set_type_locked(",
        "    if (error == 0 || error == -CORE_ENOMEM) {\n        set_type_locked("),
    "ram-below-the-first-is-not-swept": ("log_map", "log.c",
        "        vm->log.first_gfn = ipa_gfn(ipa);", ";"),
    "limit-rises-before-it-is-covered": ("memory", "log.c",
        "    if (error == 0 && end > vm->log.limit_gfn) {", "    if (end > vm->log.limit_gfn) {"),
    # The window on the leaf tables.
    "table-freed-while-windows-show-it": ("linear-window", "entry.c",
        "    s2_find_forget(vm, pos);\n", ""),
    "window-forgets-before-the-break": ("linear-window", "entry.c", """
    if (!s2_entry_swap(vm, pos, ret_broken->old)) {
        return false;
    }
    s2_gather_init(&gather, vm);
    s2_gather_add(&gather, pos->base, s2_level_bytes(pos->level), leaf_bytes);
    s2_gather_flush(&gather);
    s2_find_forget(vm, pos);
""", """
    s2_find_forget(vm, pos);
    if (!s2_entry_swap(vm, pos, ret_broken->old)) {
        return false;
    }
    s2_gather_init(&gather, vm);
    s2_gather_add(&gather, pos->base, s2_level_bytes(pos->level), leaf_bytes);
    s2_gather_flush(&gather);
"""),
    "destroy-leaves-the-window": ("linear-window", "s2.c", "    s2_find_destroy(vm);\n", ""),
    "window-closed-after-the-tables-went": ("linear-window", "s2.c", """
    s2_find_destroy(vm);
    free_below(vm, root, s2_end(vm).addr >> s2_level_shift(vm->root_level), vm->root_level);
""", """
    free_below(vm, root, s2_end(vm).addr >> s2_level_shift(vm->root_level), vm->root_level);
    s2_find_destroy(vm);
"""),
    "gibibyte-blocks-in-a-window": ("linear-window", "find_linear/find_way.h",
        "#define S2_FIND_LARGEST S2_LEVEL_2M", "#define S2_FIND_LARGEST S2_LEVEL_1G"),
    "merge-to-gibibyte-blocks-in-a-window": ("linear-window", "merge.c",
        " || pos->level < S2_FIND_LARGEST", ""),
    "miss-is-taken-for-a-hole": ("linear-window", "fault.c", """
        pos = s2_find_other(vm, ipa);
    }
""", """
    }
"""),
    "miss-leaves-its-exception-behind": ("linear-window", "fault.c",
        "        struct s2_pos pos = s2_find_other(vm, ipa);", "        struct s2_pos pos = s2_find(vm, ipa);"),
    # The lock.
    "reader-ignores-writers": ("lock", "lock.h",
        "        if (__builtin_expect(!atomic_load_explicit(&vm->lock.writing, memory_order_seq_cst), 1)) {",
        "        {"),
    "writer-overlooks-the-last-cpu": ("lock", "lock.h", "cpu < vm->cpus", "cpu + 1u < vm->cpus"),
    "writer-ignores-readers": ("lock", "lock.h",
        "while (atomic_load_explicit(&lock->cpu[cpu].reading, memory_order_seq_cst)) {",
        "while (0) {"),
}

# The rules of tracked pages, which the hardware opens.
TRACKED_MUTANTS = {
    # One that is seen closed, too: the hardware may open it between the look and the store.
    "clear-is-not-atomic": ("tracked", "scan.c", """
    if (open == ~UINT64_C(0)) {
        for (unsigned bit = 0; bit < LOG_WORD_PAGES; bit += 8) {
            dirty |= take_few(vm, &entries[bit], gfn + bit) << bit;
        }
    } else {
""", """
    (void)take_few;
    for (unsigned bit = 0; bit < LOG_WORD_PAGES; bit++) {
        uint64_t seen = s2_entry_load(&entries[bit]);

        if (s2_pte_is_leaf(seen, S2_LEVEL_PAGE) && s2_pte_is_tracked(seen)) {
            (void)s2_find(vm, ipa_from_gfn(gfn + bit));
            atomic_store(&entries[bit], s2_pte_closed(seen, S2_LEVEL_PAGE));
            dirty |= (uint64_t)s2_is_dirty(seen, S2_LEVEL_PAGE) << bit;
        }
    }
    for (open = 0; open != 0;) {
"""),
    "collected-pages-stay-open": ("tracked", "scan.c", """ &&
           s2_pte_is_writable(s2_entry_close(vm, entry, ipa_from_gfn(gfn)), S2_LEVEL_PAGE);
""", """;
"""),
    "collect-without-invalidation": ("tracked", "scan.c", """
    s2_gather_add(gather, ipa_from_gfn(gfn + first), (uint64_t)(end - first) << PAGE_SHIFT,
                  PAGE_SIZE_BYTES);
""", """
    (void)first, (void)end, (void)gather;
"""),
    "scan-stops-at-the-first-table": ("log@hardware", "scan.c", """
        if ((tracked & 1) == 0) {
            gfn = """, """
        if ((tracked & 1) == 0) {
            gfn = log_chunk_end(gfn) + 0 * """),
    "swept-tables-are-not-scanned": ("model@hardware", "sweep.c",
        "        log_note_tracked(vm, gfn);", ";"),
    "sweep-closes-tracked-pages": ("tracked", "entry.h",
        "(how != S2_SWEEP_OPEN && s2_pte_is_tracked(old))", "false"),
    "split-tables-are-not-scanned": ("log@hardware", "split.c",
        "        log_note_tracked(vm, ipa_gfn(pos->base));", ";"),
    "new-tables-are-not-scanned": ("tracked", "map.c",
        "        log_note_tracked(vm, ipa_gfn(run->ipa));", ";"),
    "tables-made-writable-are-not-scanned": ("tracked", "unmap.c",
        "        log_note_tracked(vm, ipa_gfn(pos->base));", ";"),
    "merge-forgets-another-table": ("tracked", "merge.c",
        "    log_forget_tracked(vm, ipa_gfn(pos->base));",
        "    log_forget_tracked(vm, ipa_gfn(pos->base) ^ 512);"),
    "peek-does-not-scan": ("log@hardware", "peek.c",
        "(bits | log_look(vm, at))", "bits"),
    "peek-skips-chunks-without-marks": ("log@hardware", "peek.c",
        "while ((*gfn = log_next_noted(vm, *gfn, end)) < end",
        "while ((*gfn = log_next_marked(vm, *gfn, end)) < end"),
    "harvest-does-not-scan": ("log@hardware", "harvest.c",
        "            collect_range(&harvest, first, limit);", ";"),
    "harvest-of-words-does-not-scan": ("tracked", "harvest.c",
        "    collect_range(harvest, gfn, *end);", ";"),
    "harvest-skips-chunks-without-marks": ("tracked", "harvest.c",
        "    gfn = log_next_noted(harvest->protect.vm, gfn, *end);",
        "    gfn = log_next_marked(harvest->protect.vm, gfn, *end);"),
    "collect-trusts-the-summary": ("tracked", "scan.c", "log_set_found(vm, chunk, gfn, dirty);",
        "log_set(vm, chunk, gfn, dirty);"),
    "collect-trusts-top": ("tracked", "scan.c", "            log_set_top(vm, run.gfn);\n", ""),
    # The sample of pages that are left to a fault.
    "sample-stays-where-it-is": ("sample", "session.c",
        "        sample = sample % DIRTY_LOG_SAMPLE_PAGES + 1;", "        sample = 1;"),
    "sample-is-the-same-page-of-all-words": ("sample", "log.h", "word * 41", "word * 0"),
    "sample-moves-on-to-the-next-page": ("sample", "log.h", "turn * 39", "turn * 1"),
    "sample-is-left-behind": ("sample", "scan.c",
        "        (void)s2_entry_swap(vm, &pos, s2_pte_tracked(pos.old));", ";"),
    "sample-takes-open-pages": ("sample", "scan.c",
        "    if (!s2_pte_is_page(pos.old, S2_RAM_RW, false) ||",
        "    if (s2_pte_type(pos.old, S2_LEVEL_PAGE) != S2_RAM_RW ||"),
    "sampled-page-is-opened-untracked": ("sample", "fault.c",
        "s2_pte_opened(s2_pte_tracked(pos->old), pos->level)", "s2_pte_opened(pos->old, pos->level)"),
    "fast-fault-opens-sampled-pages": ("sample", "log_switch.c",
        "log_is_marking(vm) && !vm->log.options.hardware,", "log_is_marking(vm),"),
    "sampled-page-is-not-marked": ("sample", "fault.c", "    if (log_mark(vm, gfn)) {\n",
        "    if (false) {\n"),
    "sample-survives-the-logging": ("sample", "log_switch.c",
        "        log->sample = LOG_SAMPLE_NEVER;\n", ""),
    "blocks-are-tracked": ("log@hardware", "sweep.c",
        ": s2_pte_closed(pos->old, pos->level);",
        ": s2_pte_tracked(pos->old);"),
    "split-does-not-track": ("numbers@hardware", "split.c",
        "tracked ? s2_pte_tracked(pte) : pte", "tracked ? s2_pte_closed(pte, level) : pte"),
    "off-leaves-pages-tracked": ("log@hardware", "sweep.c",
        "        sweep_table(sweep, S2_SWEEP_OPEN);", "        ;"),
    "set-type-drops-what-was-noted": ("tracked", "unmap.c",
        "s2_is_dirty(old, pos->level)", "false"),
    "set-type-gives-up": ("tracked", "unmap.c",
        "    old = s2_entry_exchange(vm, pos, pte);",
        "    (void)s2_entry_swap(vm, pos, pte);\n    old = s2_entry_load(pos->entry);"),
    "unmap-gives-up": ("tracked", "unmap.c",
        "            pos.old = s2_entry_exchange(vm, &pos, 0);",
        "            (void)s2_entry_swap(vm, &pos, 0);"),
    "merge-reads-before-the-break": ("tracked", "merge.c", """
    (void)s2_entry_break(vm, pos, PAGE_SIZE_BYTES, &broken);
    /* Not before: until the invalidation is complete the hardware opens pages. */
    take_leaves(vm, pos->base, table);
""", """
    for (unsigned i = 0; i < S2_ENTRIES; i++) {
        if (s2_is_dirty(s2_entry_load(&table[i]), S2_LEVEL_PAGE)) {
            log_mark(vm, ipa_gfn(pos->base) + i);
        }
    }
    (void)s2_entry_break(vm, pos, PAGE_SIZE_BYTES, &broken);
"""),
    "merge-takes-before-the-invalidation": ("tracked", "merge.c", """
    (void)s2_entry_break(vm, pos, PAGE_SIZE_BYTES, &broken);
    /* Not before: until the invalidation is complete the hardware opens pages. */
    take_leaves(vm, pos->base, table);
""", """
    broken = *pos;
    broken.old = s2_pte_locked();
    (void)s2_entry_swap(vm, pos, broken.old);
    for (unsigned i = 0; i < S2_ENTRIES; i++) {
        if (s2_is_dirty(s2_entry_load(&table[i]), S2_LEVEL_PAGE)) {
            log_mark(vm, ipa_gfn(pos->base) + i);
        }
    }
    port_tlb_flush_vm(vm);
"""),
    "merge-opens-the-block": ("tracked", "merge.c", "s2_pte_closed(pte, pos->level)", "pte"),
    "merge-keeps-the-prepaid-table": ("tracked", "merge.c",
        "    s2_pool_put(vm, table);", "    s2_table_free(vm, table);"),
    "eager-split-opens-pages": ("tracked", "split.c",
        "    return split(vm, pos, page, false);", "    return split(vm, pos, page, true);"),
    "eager-split-is-not-bounded": ("tracked", "sweep.c",
        "        sweep->entries += S2_ENTRIES;", ";"),
}
MUTANTS.update(TRACKED_MUTANTS)

# Mutants that the tests named after bugs of other hypervisors are there for.
BUG_MUTANTS = {
    "block-opened-one-page-marked": ("fault.c", "if (marking && pos.level != S2_LEVEL_PAGE) {",
        "if (marking && pos.level < S2_LEVEL_2M) {"),
    "set-type-forgets-marks": ("unmap.c", "        set_type_locked(vm, ipa, bytes, type);",
        "        set_type_locked(vm, ipa, bytes, type);\n"
        "        if (log_has_chunks(vm)) {\n            log_forget_range(vm, ipa, bytes);\n        }"),
    "foreign-frames-in-blocks": ("map.c", "    return s2_type_is_ram(type) || type == S2_DEVICE;",
        "    return s2_type_is_ram(type) || type == S2_DEVICE || type == S2_FOREIGN_RW;"),
    "sixty-four-pages-are-none": ("log_range.h", "    return ~UINT64_C(0) >> (64 - count) << first;",
        "    return ((UINT64_C(1) << count % 64) - 1) << first;"),
    "runs-cross-the-summary": ("log_range.h", "    return run < end ? run : end;", "    return end;"),
    "unmap-forgets-whole-words": ("log.c",
        "        uint64_t keep = ~log_bits(log_bit_of(gfn), pages);", "        uint64_t keep = 0;"),
    "take-clears-the-whole-summary": ("log.h", "&chunk->summary[index], mask, memory_order_acquire)",
        "&chunk->summary[index], ~UINT64_C(0), memory_order_acquire)"),
    "untake-forgets": ("session.c", "put_back(vm, chunk, gfn, log_bits(log_bit_of(gfn), 1))",
        "put_back(vm, chunk, gfn, 0)"),
    "old-session-blocks-the-new-log": ("log_switch.c",
        "        atomic_store_explicit(&log->session, 0, memory_order_relaxed);  /* write lock */", ";"),
    "second-session-is-let-in": ("session.c", "            result = -CORE_EBUSY;\n        }", "        }"),
    "off-keeps-the-marks": ("log_switch.c",
        "s2_pool_shrink(vm, STEP_TABLES) < STEP_TABLES && log_free(vm, STEP_GROUPS)",
        "s2_pool_shrink(vm, STEP_TABLES) < STEP_TABLES"),
}
MUTANTS.update({name: (None, *rest) for name, rest in BUG_MUTANTS.items()})

# The tests of test_bugs.c by number, and the mutants that each of them must notice by itself.
BUGS = {
    1: ["protect-before-take"],
    2: ["block-opened-one-page-marked", "whole-block-opened-unmarked", "split-opens-pages"],
    3: ["set-type-forgets-marks", "new-pages-are-not-marked", "set-type-drops-what-was-noted"],
    4: ["foreign-frames-in-blocks", "pins-are-not-marked-again"],
    6: ["sixty-four-pages-are-none", "runs-cross-the-summary"],
    7: ["untake-forgets", "take-clears-the-whole-summary"],
    8: ["new-pages-are-not-marked", "unmap-keeps-marks"],
    9: ["unmap-forgets-whole-words"],
    10: ["harvest-without-invalidation", "harvest-does-not-protect", "collect-without-invalidation"],
    14: ["enable-without-invalidation"],
    15: ["runs-cross-the-summary"],
    16: ["abort-loses-bits"],
    17: ["off-keeps-the-marks"],
    19: ["old-session-blocks-the-new-log"],
    20: ["drain-does-not-wait"],
    23: ["pins-are-not-marked-again"],
    24: ["second-session-is-let-in"],
    26: ["new-pages-are-not-marked", "unmap-keeps-marks"],
    27: ["swap-does-not-compare", "clear-is-not-atomic"],
}

# For --self-test: mutants that are none, and the exit status that each must give.
SELF_TEST = {
    "survivor": (1, ("lock", "fault.c", "/* Write faults:", "/* Faults by writes:")),
    "stale": (2, ("lock", "fault.c", "no such text", "")),
    "broken": (2, ("lock", "fault.c", "/* Write faults:", "error /* Write faults:")),
}
MUTANTS.update({name: mutant for name, (_, mutant) in SELF_TEST.items()})


def witnesses(name):
    """(test program, filter or None, value of CORE_LOG) of each test that must notice."""
    own, _, mode = (MUTANTS[name][0] or "").partition("@")
    return ([(own, None, mode)] if own else []) + [
        ("bugs", "bug_%02d_*" % number, "") for number, mutants in BUGS.items() if name in mutants]


def fail(message):
    print(message)
    sys.exit(2)


def apply(name, directory):
    _, file, old, new = MUTANTS[name]
    path = directory / file
    text = path.read_text()
    if text.count(old) != 1:
        fail(f"{name}: {file} holds the text to replace {text.count(old)} times, not once")
    path.write_text(text.replace(old, new))


def sources_with(header, sources):
    """The files to compile after a change of the header: those that include it, by whatever way."""
    names, texts = {os.path.basename(header)}, {path: path.read_text() for path in sources.rglob("*.[ch]")}
    grew = True
    while grew:
        more = {path.name for path, text in texts.items() if any(re.search(f'[<"]{name}[>"]', text) for name in names)} - names
        names |= more
        grew = bool(more)
    return sorted(path for path in sources.glob("*.c") if path.name in names)


def build(args, name, test, sources, program):
    file = MUTANTS[name][1]
    # The way in which pages are found is a folder of its own, and a library of its own.
    way = "linear" if test.startswith("linear-") else "walk"
    library = "libcore-mutant-linear" if way == "linear" else "libcore-mutant"
    test = test.removeprefix("linear-")
    core = pathlib.Path(args.source)
    libraries = pathlib.Path(args.libraries)
    changed = [sources / file] if file.endswith(".c") else sources_with(file, sources)
    # The changed objects come first: the linker takes the others, only, from the library.
    command = args.cc.split() + [
        "-std=gnu11", "-O1", "-w",
        *(f"-I{path}" for path in (core / "include", core / "tests/fake/include", sources,
                                    sources / f"find_{way}")),
        *map(str, changed), str(libraries / f"{library}-{test}.a"),
        str(libraries / f"{library}.a"), "-o", program, "-lcmocka", "-lpthread"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        fail(result.stderr)


def notices(name, test, only, mode, program):
    try:
        result = subprocess.run([program] + ([only] if only else []), capture_output=True, text=True, errors="replace",
                                timeout=TIMEOUT_S, env=dict(os.environ, CORE_CHECK_ENTRIES="1", CORE_LOG=mode))
    except subprocess.TimeoutExpired:
        print(f"{name}: {only or 'test_' + test} hangs")
        return True
    if result.returncode == 0:
        print(f"{name}: {only or 'test_' + test} did not notice")
        return False
    signs = [line for line in (result.stdout + result.stderr).splitlines()
             if "fake machine:" in line or "[   LINE   ]" in line]
    print(f"{name}: {only or 'test_' + test}: {signs[0] if signs else f'status {result.returncode}'}")
    return True


def self_test():
    bad = 0
    for name, (wanted, _) in SELF_TEST.items():
        command = [sys.executable, __file__, name] + [a for a in sys.argv[1:] if a != "--self-test"]
        status = subprocess.run(command, stdout=subprocess.DEVNULL).returncode
        print(f"{name}: exit status {status}, must be {wanted}")
        bad += status != wanted
    return bad


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name", nargs="?")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--source", help="the folder core/")
    parser.add_argument("--libraries")
    parser.add_argument("--cc", default="cc")
    args = parser.parse_args()
    if args.list:
        print("\n".join(name for name in MUTANTS if name not in SELF_TEST))
        return
    if args.self_test:
        sys.exit(1 if self_test() else 0)
    if args.name not in MUTANTS:
        fail(f"no mutant {args.name}")
    with tempfile.TemporaryDirectory() as directory:
        sources = pathlib.Path(directory) / "src"
        shutil.copytree(pathlib.Path(args.source) / "src", sources)
        apply(args.name, sources)
        survived = False
        for test, only, mode in witnesses(args.name):
            program = os.path.join(directory, "test_" + test)
            if not os.path.exists(program):
                build(args, args.name, test, sources, program)
            survived |= not notices(args.name, test, only, mode, program)
        sys.exit(1 if survived or not witnesses(args.name) else 0)


if __name__ == "__main__":
    main()
