# SPDX-License-Identifier: MIT
"""scripts/bench growth --counts: how the costs of core/ grow, as counts that repeat on every machine."""

import argparse
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COLUMNS = [("gib", "GiB", "%d"), ("kib_per_gib", "KiB of log per GiB", "%.0f"),
           ("enable_accesses_per_block", "ENABLE, per block", "%.1f"),
           ("clean_of_nothing_accesses", "CLEAN of nothing", "%d"), ("clean_of_nothing_lines", "its lines", "%d"),
           ("clean_of_100_accesses", "CLEAN of 100 pages", "%d"), ("clean_of_100_lines", "its lines", "%d"),
           ("clean_of_blocks_accesses_per_page", "a page per block, each", "%.2f"),
           ("clean_of_all_accesses_per_page", "all pages, each", "%.2f"), ("fault_accesses", "write fault", "%.1f")]


def count(long):
    """What core/bench/growth prints: {"sizes": [...], "cpus": [...]}"""
    subprocess.run([ROOT + "/scripts/build", "host"], stdout=sys.stderr, check=True)
    command = [ROOT + "/build/host/core/bench/growth"] + (["--long"] if long else [])
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def cell(costs, key, form):
    return form % costs[key] if key in costs else "-"


def print_text(found):
    print("Atomic accesses and cache lines, by the size of a guest of 2 MiB blocks (core/ on this machine)")
    print("".join("%24s" % title for _, title, _ in COLUMNS))
    for costs in found["sizes"]:
        print("".join("%24s" % cell(costs, key, form) for key, _, form in COLUMNS))
    print("\nAtomic accesses of a write fault, by the CPUs that write neighbouring pages at once (threads)")
    for costs in found["cpus"]:
        print("%d CPUs: %.1f, of them %.1f writes to lines that another CPU writes"
              % (costs["cpus"], costs["fault_accesses"], costs["fault_shared_writes"]))


def main(words):
    parser = argparse.ArgumentParser(prog="scripts/bench growth --counts", description="Counts accesses of core/.")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--long", action="store_true", help="every page written also in guests above 64 GiB")
    options = parser.parse_args(words)
    found = count(options.long)
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        print_text(found)
    return 0
