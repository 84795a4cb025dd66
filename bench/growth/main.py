# SPDX-License-Identifier: MIT
"""scripts/bench growth: how the dirty log's costs grow with the guest and with the vCPUs that write."""

import argparse
import json
import re
import subprocess
import sys

from tracking import boot

import processes  # noqa: E402  (lab/, which boot has put on the path)

VCPUS = (1, 2, 4, 8)
LINE = re.compile(r"^growth (\d+)-(GiB|threads) (\S+) ([\d.]+)$", re.MULTILINE)
TITLES = {
    "enable_us": "enable, in blocks, us",
    "memory_kib_per_gib": "memory for the log, KiB a GiB",
    "harvest_100_dirty_ns": "harvest, 100 dirty pages at random, ns",
    "harvest_100_dirty_invalidations": "  batches of invalidations",
    "harvest_idle_ns": "harvest, nothing dirty, ns",
    "disable_us": "disable, us",
    "write_fault_ns": "write fault, ns of CPU time",
    "harvest_per_dirty_page_ns": "harvest, a dirty page of 1 GiB, ns",
}


def faults_by_vcpus(models, build):
    """{model: {vCPUs: instructions a write fault}}. Raises Failed."""
    found = {}
    for model in models:
        result = boot.vcpus_machine(model, max(VCPUS), build).run(lambda result: None)
        if result.void or result.verdict != "PASS":
            raise boot.Failed("bench: the log was wrong: %s" % result.void)
        found[model] = {n: result.costs["together"]["write_fault_%d_vcpus" % n] for n in VCPUS}
    return found


def on_this_machine(largest_gib):
    """{"GiB" or "threads": {quantity: {size: value}}} of core/ alone. Raises Failed."""
    if subprocess.run([boot.ROOT + "/scripts/build", "host"], stdout=sys.stderr, check=False).returncode != 0:
        raise boot.Failed("bench: the build failed")
    done = subprocess.run([boot.ROOT + "/build/host/bench/growth/bench_growth", str(largest_gib)],
                          stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise boot.Failed(done.stdout + "bench: core/ did not do what it should; its output is above")
    found = {}
    for size, kind, quantity, value in LINE.findall(done.stdout):
        found.setdefault(kind, {}).setdefault(quantity, {})[int(size)] = float(value)
    return found


def print_table(title, head, rows):
    print(title)
    print("  %-40s%s" % ("", "".join("%10s" % h for h in head)))
    for name, values in rows:
        print("  %-40s%s" % (name, "".join("%10s" % ("%.1f" % v if v < 1000 else "%.0f" % v) for v in values)))
    print()


def print_text(faults, host):
    print_table("vCPUs of a guest that write at once, each on a CPU of its own; instructions, -icount shift=0",
                VCPUS, [("write fault, " + boot.MODELS[m].split(",")[0], [c[n] for n in VCPUS])
                        for m, c in faults.items()])
    print_table("core/ alone on this machine: GiB of guest", host["GiB"]["enable_us"],
                [(TITLES[q], list(v.values())) for q, v in host["GiB"].items()])
    print_table("core/ alone on this machine: threads that write at once", host["threads"]["write_fault_ns"],
                [(TITLES[q], list(v.values())) for q, v in host["threads"].items()])


def main(words):
    if "--counts" in words:
        from growth import counts
        return counts.main([word for word in words if word != "--counts"])
    parser = argparse.ArgumentParser(prog="scripts/bench growth", description=__doc__.partition(":")[2].strip())
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--cpu", action="append", choices=sorted(boot.MODELS))
    parser.add_argument("--largest", type=int, default=1024, metavar="GIB", help="guest on this machine; default: 1024")
    options = parser.parse_args(words)
    processes.end_on_signals()
    try:
        host = on_this_machine(options.largest)
        faults = faults_by_vcpus(options.cpu or list(boot.MODELS), boot.build_godwit())
    except boot.Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({"write_fault_by_vcpus": faults, "this_machine": host}, indent=1))
    else:
        print_text(faults, host)
    return 0
