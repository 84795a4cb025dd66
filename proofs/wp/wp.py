# SPDX-License-Identifier: MIT
"""The files that Frama-C proves, and broken ones that it must not."""

import os
import re
import shutil
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RANGES = "proofs/wp/ranges.c"
RANGES_FILES = ["core/include/core/addr.h", "core/src/log_range.h", RANGES]
PORT = "hypervisor/arch/arm64/port/"
INCLUDES = ["core/include", PORT + "include", PORT + "find_walk/include"]

# Not proven: these have no contract, wrap if their caller lets them, and nobody calls them here.
WITHOUT_CONTRACT = "ipa_make,pa_make,ipa_add,pa_add,pa_mfn,pa_from_mfn"
# Its shift loses no bits, but that is a matter of bits: test_log_range tries all arguments.
BITS = "log_bits"

# Functions whose contracts stand in s2_pte.c. s2_pte_leaf has none, only no undefined behaviour.
PTE = "s2_pte_locked,s2_pte_opened,s2_pte_closed,s2_pte_is_writable,s2_pte_is_leaf," \
      "s2_pte_is_table,s2_pte_leaf"

GOOD = [
    # name, source, options, least number of goals
    ("of the ranges of the dirty log", RANGES,
     ["-warn-unsigned-overflow", "-wp-skip-fct", WITHOUT_CONTRACT + "," + BITS], 200),
    ("of the shifts in log_bits", RANGES, ["-wp-fct", BITS], 3),
    ("of permissions in descriptors", "proofs/wp/s2_pte.c", ["-wp-fct", PTE], 15),
]

# name: (function, text to find exactly once, text in its place)
MUTANTS = {
    "the last word takes a page too many":
        ("log_word_pages", "uint64_t left = end - gfn;", "uint64_t left = end - gfn + 1;"),
    "a word ends a page too early":
        ("log_word_pages", "uint64_t in_word = LOG_WORD_PAGES -",
         "uint64_t in_word = LOG_WORD_PAGES - 1 -"),
    "a run does not end with its range": ("log_run_end", "run < end ? run : end", "run"),
    "the last group is forgotten":
        ("log_groups_for", "(end + LOG_GROUP_PAGES - 1) / LOG_GROUP_PAGES", "end / LOG_GROUP_PAGES"),
    "behind a hole a bank is skipped":
        ("log_group_end", "gfn % LOG_GROUP_PAGES + LOG_GROUP_PAGES;",
         "gfn % LOG_GROUP_PAGES + 2 * LOG_GROUP_PAGES;"),
    "the top of a chunk shares bits with its middle":
        ("log_word_of", "(unsigned)(gfn % LOG_CHUNK_PAGES / LOG_WORD_PAGES)",
         "(unsigned)(gfn % (LOG_CHUNK_PAGES / 2) / LOG_WORD_PAGES)"),
}


def prove(root, source, options, seconds):
    """(goals proven, goals, output)"""
    with tempfile.TemporaryDirectory() as directory:
        # Frama-C believes PWD rather than the system about where it is.
        environment = dict(os.environ, PWD=root, WHY3CONFIG=os.path.join(directory, "why3.conf"))
        for command in (["why3", "config", "detect"],
                        ["frama-c", "-wp", "-wp-rte", "-wp-prover", "z3,cvc4", "-wp-timeout",
                         str(seconds), "-wp-par", "2",
                         "-cpp-extra-args=" + " ".join("-I" + path for path in INCLUDES),
                         *options, source]):
            done = subprocess.run(command, cwd=root, env=environment, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, errors="replace", timeout=600,
                                  check=False)
            output = done.stdout + done.stderr
            if done.returncode:
                raise RuntimeError(output)
    found = re.search(r"Proved goals: +(\d+) */ *(\d+)", output)
    return int(found.group(1)), int(found.group(2)), output


def must_hold(source, options, least, is_long):
    # Smoke tests: no contract is proven because what it requires cannot be.
    proven, goals, output = prove(ROOT, source, options + ["-wp-smoke-tests"] * is_long, 30)
    if proven != goals:
        return "FAIL", "%d goals are open:\n%s" % (goals - proven, output)
    if goals < least:
        return "FAIL", "only %d goals, there should be %d:\n%s" % (goals, least, output)
    return "PASS", "all of %d goals" % goals


def must_fail(function, old, new):
    with tempfile.TemporaryDirectory() as directory:
        for path in RANGES_FILES:
            target = os.path.join(directory, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(os.path.join(ROOT, path), target)
        path = os.path.join(directory, "core/src/log_range.h")
        with open(path) as f:
            text = f.read()
        if text.count(old) != 1:
            return "ERROR", "log_range.h holds the text to replace %d times" % text.count(old)
        with open(path, "w") as f:
            f.write(text.replace(old, new))
        proven, goals, output = prove(directory, RANGES, ["-wp-fct", function], 3)
    if proven == goals:
        return "FAIL", "proven all the same:\n" + output
    return "PASS", "%d of %d goals of %s stay open" % (goals - proven, goals, function)


def jobs(is_long):
    return [("proof %s" % name, must_hold, (*arguments, is_long))
            for name, *arguments in GOOD] + \
           [("broken proof, %s" % name, must_fail, arguments)
            for name, arguments in MUTANTS.items()]
