# SPDX-License-Identifier: MIT
"""Which models are checked with spin, and which mutants of them must fail."""

import os
import re
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
DEPTH = 1000000  # longest path; spin says if it was too short
SECONDS = 600

# What must hold: (file, -D...). Together they have every kind of writer, in both modes.
GOOD = [
    ("dirty_log", "VCPUS=2"),
    ("dirty_log", "VCPUS=2 HARDWARE"),
    ("dirty_log", "ROUNDS=2 ABORTS"),
    ("dirty_log", "ROUNDS=2 ABORTS HARDWARE"),
    ("dirty_log", "ROUNDS=2 SAMPLE HARDWARE"),
    ("dirty_log", "SAMPLE MERGER HARDWARE"),
    ("dirty_log", "EMPTY_POOL SPLITTER"),
    ("dirty_log", "SPLITTER HARDWARE"),
    ("dirty_log", "HYP_WRITER"),
    ("dirty_log", "FOREIGN"),
    ("dirty_log", "FOREIGN ROUNDS=0"),
    ("dirty_log", "MERGER"),
    ("dirty_log", "MERGER HARDWARE"),
    ("dirty_log", "RETYPER"),
    ("dirty_log", "RETYPER HARDWARE"),
    ("ordering", "MARK"),
    ("ordering", "WRITE"),
    ("ordering", "PIN"),
    ("ordering", "LEVELS"),
    ("ordering", "LOCK"),
    ("ordering", "MESSAGE"),
    ("ordering", "INVALIDATE"),
]
GOOD_LONG = [
    ("dirty_log", "VCPUS=2 ROUNDS=2"),
    ("dirty_log", "VCPUS=2 ROUNDS=2 HARDWARE"),
    ("dirty_log", "HYP_WRITER HARDWARE ABORTS"),
    ("dirty_log", "FOREIGN HARDWARE"),
    ("dirty_log", "SPLITTER MERGER HARDWARE"),
]

# What must be found: (file, mutant, the smallest model that has what it takes).
MUTANTS = [
    ("dirty_log", "MARK_BEFORE_OPEN", ""),
    ("dirty_log", "FAULT_DOES_NOT_MARK", ""),
    ("dirty_log", "WHOLE_BLOCK_UNMARKED", "EMPTY_POOL"),
    ("dirty_log", "SPLIT_WITHOUT_BREAK", "SPLITTER"),
    ("dirty_log", "SPLIT_MAKES_BEFORE_INVALIDATION", "SPLITTER"),
    ("dirty_log", "SPLIT_OPENS_PAGES", ""),
    ("dirty_log", "SWAP_DOES_NOT_COMPARE", "SPLITTER EMPTY_POOL"),
    ("dirty_log", "HARVEST_SKIPS_TRANSIT", "SPLITTER EMPTY_POOL"),
    ("dirty_log", "PROTECT_BEFORE_TAKE", ""),
    ("dirty_log", "HARVEST_DOES_NOT_PROTECT", ""),
    ("dirty_log", "HARVEST_WITHOUT_INVALIDATION", ""),
    ("dirty_log", "COPY_BEFORE_INVALIDATION", ""),
    ("dirty_log", "COPY_BEFORE_INVALIDATION", "HARDWARE"),
    ("dirty_log", "SUMMARY_CLEARED_AFTER_WORD", ""),
    ("dirty_log", "ABORT_LOSES_BITS", "ABORTS"),
    ("dirty_log", "ENABLE_WITHOUT_INVALIDATION", ""),
    ("dirty_log", "ENABLE_CLOSES_BEFORE_MARKING", ""),
    ("dirty_log", "ENABLE_FORGETS_PINS", "FOREIGN ROUNDS=0"),
    ("dirty_log", "HANDLERS_ARE_NOT_DRAINED", "VCPUS=2"),
    ("dirty_log", "HYP_WRITERS_ARE_NOT_DRAINED", "HYP_WRITER"),
    ("dirty_log", "STOP_DOES_NOT_WAIT", "HARDWARE"),
    ("dirty_log", "HYP_MARKS_BEFORE_WRITE", "HYP_WRITER"),
    ("dirty_log", "PIN_AFTER_OPEN", "FOREIGN"),
    ("dirty_log", "PIN_MARKS_BEFORE_ENTRY", "FOREIGN"),
    ("dirty_log", "PIN_IS_NOT_MARKED_AGAIN", "FOREIGN"),
    ("dirty_log", "PIN_MARKS_AGAIN_BEFORE_TAKE", "FOREIGN"),
    ("dirty_log", "UNPIN_BEFORE_UNMAP", "FOREIGN"),
    ("dirty_log", "HARDWARE_CLEAR_IS_NOT_ATOMIC", "HARDWARE"),
    ("dirty_log", "HARDWARE_CLEAR_WITHOUT_INVALIDATION", "HARDWARE"),
    ("dirty_log", "HARDWARE_CLEAR_DOES_NOT_MARK", "HARDWARE"),
    ("dirty_log", "SAMPLE_IS_OPENED_UNTRACKED", "ROUNDS=2 SAMPLE HARDWARE"),
    ("dirty_log", "COLLECT_TRUSTS_THE_SUMMARY", "SAMPLE HARDWARE"),
    ("dirty_log", "SAMPLE_TAKES_OPEN_PAGES", "SAMPLE HARDWARE"),
    ("dirty_log", "MERGE_READS_BEFORE_BREAK", "MERGER HARDWARE"),
    ("dirty_log", "MERGE_READS_BEFORE_INVALIDATION", "MERGER HARDWARE"),
    ("dirty_log", "MERGE_LOSES_DIRTY_STATE", "MERGER HARDWARE"),
    ("dirty_log", "MERGE_FREES_BEFORE_INVALIDATION", "MERGER"),
    ("dirty_log", "MERGE_WITHOUT_INVALIDATION", "MERGER"),
    ("dirty_log", "RETYPE_OPENS", "RETYPER"),
    ("dirty_log", "RETYPE_WITHOUT_INVALIDATION", "RETYPER"),
    ("dirty_log", "RETYPE_WITHOUT_INVALIDATION", "RETYPER HARDWARE"),
    ("dirty_log", "RETYPE_IS_NOT_ATOMIC", "RETYPER HARDWARE"),
    ("dirty_log", "RETYPE_LOSES_DIRTY_STATE", "RETYPER HARDWARE"),
    ("ordering", "LOG_SET_RELAXED", "MARK"),
    ("ordering", "TAKE_WORD_RELAXED", "MARK"),
    ("ordering", "LOG_SET_RELAXED", "WRITE"),
    ("ordering", "TAKE_WORD_RELAXED", "WRITE"),
    ("ordering", "LOG_SET_RELAXED", "PIN"),
    ("ordering", "TAKE_WORD_RELAXED", "PIN"),
    ("ordering", "LOG_SET_TOP_RELAXED", "LEVELS"),
    ("ordering", "TAKE_TOP_RELAXED", "LEVELS"),
    ("ordering", "TOP_CLEARED_LAST", "LEVELS"),
    ("ordering", "NO_LAST_LOOK", "LEVELS"),
    ("ordering", "READ_LOCK_IS_NOT_SEQ_CST", "LOCK"),
    ("ordering", "READ_LOCK_DOES_NOT_ACQUIRE", "LOCK"),
    ("ordering", "READ_UNLOCK_RELAXED", "LOCK"),
    ("ordering", "WRITE_LOCK_IS_NOT_SEQ_CST", "LOCK"),
    ("ordering", "WRITE_LOCK_DOES_NOT_ACQUIRE", "LOCK"),
    ("ordering", "WRITE_UNLOCK_RELAXED", "LOCK"),
    ("ordering", "RELEASE_RELAXED", "MESSAGE"),
    ("ordering", "ACQUIRE_RELAXED", "MESSAGE"),
    ("ordering", "NO_DSB_BEFORE", "INVALIDATE"),
    ("ordering", "NO_DSB_BETWEEN", "INVALIDATE"),
    ("ordering", "NO_DSB_AFTER", "INVALIDATE"),
]


def call(command, directory, seconds=SECONDS):
    return subprocess.run(command, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, errors="replace", timeout=seconds, check=False)


def check(file, defines, optimise):
    """Everything that pan prints about the model."""
    with tempfile.TemporaryDirectory() as directory:
        flags = ["-D" + word for word in defines.split()]
        spin = call(["spin", "-a", *flags, os.path.join(HERE, file + ".pml")], directory)
        if spin.returncode or "Error" in spin.stdout:
            raise RuntimeError(spin.stdout + spin.stderr)
        built = call(["gcc", optimise, "-w", "-DSAFETY", "-o", "pan", "pan.c"], directory)
        if built.returncode:
            raise RuntimeError(built.stderr)
        # In ordering.pml a half done read-modify-write that would be tried again is a dead end (-E).
        ends = ["-E"] if file == "ordering" else []
        done = call(["./pan", "-m%d" % DEPTH, "-w22", *ends], directory)
        return done.stdout + done.stderr


def counted(output):
    return int(re.search(r"^ *(\d+) states, stored", output, re.MULTILINE).group(1))


def must_hold(file, defines):
    # Most models are searched in less time than gcc takes to optimise.
    is_large = any(word in defines for word in ("VCPUS=2", "HYP_WRITER", "FOREIGN"))
    output = check(file, defines, "-O2" if is_large else "-O0")
    errors = re.search(r"errors: (\d+)", output)
    if not errors or "Warning" in output or "max search depth" in output or "memory" in \
            output.split("Full statespace")[0]:
        return "ERROR", "the search was not complete:\n" + output
    if errors.group(1) != "0":
        return "FAIL", "\n".join(line for line in output.splitlines() if "pan:" in line)
    if re.search(r'"assert\(\(?(differs|!\(lost)', output):
        return "FAIL", "the end is never reached"
    return "PASS", "all of %d states" % counted(output)


def must_fail(file, mutant, defines):
    output = check(file, defines + " M_" + mutant, "-O0")
    found = re.search(r"assertion violated ([^\n]*) \(at depth (\d+)\)", output)
    if not found:
        return "FAIL", "not found:\n" + output
    return "PASS", "found at depth %s" % found.group(2)


def jobs(is_long):
    for_good = GOOD + (GOOD_LONG if is_long else [])
    return [("model %s %s" % (file, defines), must_hold, (file, defines))
            for file, defines in for_good] + \
           [("mutant %s %s [%s]" % (file, mutant.lower().replace("_", "-"), defines), must_fail, (file, mutant, defines))
            for file, mutant, defines in MUTANTS]
