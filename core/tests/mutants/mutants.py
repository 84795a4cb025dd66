#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds core/ with one rule broken and checks that the tests notice.

Usage: mutants.py NAME --source DIR --library FILE --test FILE... [--cc CC]
       mutants.py --list

FILE: the fake machine and each test program as static libraries. Exit status: 0 when a test failed
(or hung), 1 when all passed, 2 when the mutant does not apply or does not compile.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

TIMEOUT_S = 60

# name: (file in core/src, text to find exactly once, text in its place)
MUTANTS = {
    # The order of the fault handler.
    "mark-before-open": ("fault.c", """
        if (!s2_entry_swap(vm, &pos, s2_pte_opened(pos.old, pos.level))) {
            continue;
        }
        if (marking) {
            log_mark(vm, ipa_gfn(ipa));
        }
""", """
        if (marking) {
            log_mark(vm, ipa_gfn(ipa));
        }
        if (!s2_entry_swap(vm, &pos, s2_pte_opened(pos.old, pos.level))) {
            continue;
        }
"""),
    "fault-does-not-mark": ("fault.c", "            log_mark(vm, ipa_gfn(ipa));", ";"),
    "fault-without-invalidation": ("fault.c", """
    port_tlb_flush_local(vm, ipa);
    return S2_FAULT_RETRY;
""", """
    return S2_FAULT_RETRY;
"""),
    "spurious-fault-without-invalidation": ("fault.c",
        "            s2_count(&line->faults_spurious);\n            break;",
        "            s2_count(&line->faults_spurious);\n            return S2_FAULT_RETRY;"),
    "whole-block-opened-unmarked": ("fault.c",
        "    log_mark_range(vm, pos->base, s2_level_bytes(pos->level));", ""),
    "read-only-ram-is-opened": ("fault.c", "if (type != S2_RAM_RW) {",
        "if (type != S2_RAM_RW && type != S2_RAM_RO) {"),
    "drain-does-not-wait": ("s2.c", """
    s2_write_lock(vm);
    s2_write_unlock(vm);
}
""", """
    (void)vm;
}
"""),
    # The order of a harvest.
    "protect-before-take": ("harvest.c",
        "        uint64_t taken = log_take_word(chunk, i);\n",
        "        protect_word(harvest, chunk_gfn + (uint64_t)i * 64, chunk->bits[i]);\n"
        "        s2_gather_flush(&harvest->gather);\n"
        "        uint64_t taken = log_take_word(chunk, i);\n"),
    "harvest-does-not-protect": ("harvest.c",
        "        protect_word(harvest, chunk_gfn + (uint64_t)i * 64, taken);", ""),
    "harvest-without-invalidation": ("harvest.c", "        s2_gather_flush(&harvest.gather);", ""),
    "harvest-skips-what-is-in-transit": ("harvest.c", """
            /* Never skipped: what is being linked was made from the open leaf. */
            port_cpu_relax();
""", """
            return;
"""),
    "harvest-retries-the-old-entry-only": ("harvest.c",
        "        pos = s2_find(vm, ipa_from_gfn(gfn));",
        "        pos.old = s2_entry_load(pos.entry);"),
    "summary-cleared-after-the-word": ("harvest.c", """
        protect_word(harvest, chunk_gfn + (uint64_t)i * 64, taken);
""", """
        protect_word(harvest, chunk_gfn + (uint64_t)i * 64, taken);
        atomic_fetch_and(&chunk->summary[i / 64], ~(UINT64_C(1) << (i % 64)));
"""),
    "pins-are-not-marked-again": ("harvest.c",
        "        log_mark_pinned(vm, first, pages);\n    }\n    s2_read_unlock", "    }\n    s2_read_unlock"),
    "abort-loses-bits": ("session.c", "                put_chunk_back(chunk);", ""),
    "committed-bits-come-back": ("session.c", "    vm->log.epoch++;", ""),
    # Splits, merges and descriptors.
    "split-without-break": ("split.c",
        "if (!s2_entry_replace(vm, pos, table, s2_level_bytes(pos->level))) {",
        "if (!s2_entry_swap(vm, pos, table)) {"),
    "split-opens-pages": ("split.c",
        "bool writable = s2_pte_is_writable(block->old, block->level);", "bool writable = true;"),
    "split-loses-the-type": ("split.c",
        "enum s2_type type = s2_pte_type(block->old, block->level);",
        "enum s2_type type = S2_RAM_RW;"),
    "break-without-invalidation": ("entry.c", "    s2_gather_flush(&gather);", ""),
    "swap-does-not-compare": ("entry.h", """
    if (!atomic_compare_exchange_strong_explicit(pos->entry, &expected, pte, memory_order_acq_rel,
                                                 memory_order_relaxed)) {
        return false;
    }
""", """
    (void)expected;
    atomic_store_explicit(pos->entry, pte, memory_order_release);
"""),
    "merge-ignores-frames": ("merge.c",
        "           s2_pte_pa(pte, level).addr == s2_pte_pa(first, level).addr + i * s2_level_bytes(level);",
        "           i != 0;"),
    "merge-of-misaligned-frames": ("merge.c",
        "        (pa.addr & (s2_level_bytes(pos->level) - 1)) != 0) {", "        pa.addr == 1) {"),
    "merge-frees-before-the-break": ("merge.c", """
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
    "unmap-without-invalidation": ("unmap.c", "    s2_gather_flush(&batch->gather);", ""),
    "unmap-keeps-marks": ("unmap.c", "        log_forget_range(vm, ipa, bytes);", ";"),
    "new-pages-are-not-marked": ("map.c",
        "        log_mark_range(vm, request->ipa, request->bytes);", ";"),
    "set-type-opens-logged-pages": ("unmap.c",
        "bool writable = type == S2_RAM_RW && !log_is_marking(vm);",
        "bool writable = type == S2_RAM_RW;"),
    "set-type-without-invalidation": ("unmap.c", """
    s2_gather_flush(&gather);
}
""", """
}
"""),
    "enable-without-invalidation": ("log_switch.c", "        port_tlb_flush_vm(vm);", ""),
    "reader-ignores-writers": ("lock.h",
        "if (__builtin_expect(!atomic_load_explicit(&vm->lock.writing, memory_order_seq_cst), 1)) {",
        "{"),
    "writer-ignores-readers": ("lock.h",
        "while (atomic_load_explicit(&lock->cpu[cpu].reading, memory_order_seq_cst)) {",
        "while (0) {"),
}


def fail(message):
    print(message)
    sys.exit(2)


def apply(name, directory):
    file, old, new = MUTANTS[name]
    path = directory / file
    text = path.read_text()
    if text.count(old) != 1:
        fail(f"{name}: {file} holds the text to replace {text.count(old)} times, not once")
    path.write_text(text.replace(old, new))


def build(args, sources, test, program):
    core = pathlib.Path(args.source)
    command = args.cc.split() + [
        "-std=gnu11", "-g", "-O1", "-fsanitize=address", "-w",
        *(f"-I{path}" for path in (core / "include", core / "tests", core / "tests/fake",
                                   core / "tests/fake/include", sources)),
        *map(str, sorted(sources.glob("*.c"))), test, args.library, "-o", program,
        "-lcmocka", "-lpthread"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        fail(result.stderr)


def notices(args, sources, test, program):
    build(args, sources, test, program)
    environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=0", CORE_CHECK_ENTRIES="1")
    try:
        result = subprocess.run([program], capture_output=True, text=True, errors="replace",
                                timeout=TIMEOUT_S, env=environment)
    except subprocess.TimeoutExpired:
        print(f"{test}: hangs")
        return True
    if result.returncode == 0:
        return False
    text = result.stdout + result.stderr
    signs = [line for line in text.splitlines()
             if "fake machine:" in line or "[   LINE   ]" in line or "ERROR: AddressSanitizer" in line]
    print(f"{test}: {signs[0] if signs else 'fails'}")
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name", nargs="?")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--source", help="the folder core/")
    parser.add_argument("--library")
    parser.add_argument("--test", action="append")
    parser.add_argument("--cc", default="cc")
    args = parser.parse_args()
    if args.list:
        print("\n".join(MUTANTS))
        return
    if args.name not in MUTANTS:
        fail(f"no mutant {args.name}")
    with tempfile.TemporaryDirectory() as directory:
        sources = pathlib.Path(directory) / "src"
        shutil.copytree(pathlib.Path(args.source) / "src", sources)
        apply(args.name, sources)
        program = os.path.join(directory, "program")
        if not any(notices(args, sources, test, program) for test in args.test):
            print(f"{args.name}: no test noticed")
            sys.exit(1)


if __name__ == "__main__":
    main()
