# SPDX-License-Identifier: MIT
"""scripts/bench growth: how the dirty log's costs grow with the guest and with the vCPUs that write."""

import argparse
import json
import sys

from tracking import boot

import processes  # noqa: E402  (lab/, which boot has put on the path)

VCPUS = (1, 2, 4, 8)


def faults_by_vcpus(models, build):
    """{model: {vCPUs: instructions a write fault}}"""
    found = {}
    for model in models:
        result = boot.vcpus_machine(model, max(VCPUS), build).run(lambda result: None)
        if result.void or result.verdict != "PASS":
            raise boot.Failed("bench: the log was wrong: %s" % result.void)
        found[model] = {n: result.costs["together"]["write_fault_%d_vcpus" % n] for n in VCPUS}
    return found


def print_text(faults):
    print("Instructions a write fault, by the number of vCPUs that write at once (each on a CPU of its own, run in turn)")
    print("%-14s %s" % ("", "".join("%10d" % n for n in VCPUS)))
    for model, costs in faults.items():
        print("%-14s %s" % (boot.MODELS[model].split(",")[0], "".join("%10.1f" % costs[n] for n in VCPUS)))


def main(words):
    parser = argparse.ArgumentParser(prog="scripts/bench growth", description=__doc__.partition(":")[2].strip())
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--cpu", action="append", choices=sorted(boot.MODELS))
    options = parser.parse_args(words)
    processes.end_on_signals()
    try:
        faults = faults_by_vcpus(options.cpu or list(boot.MODELS), boot.build_godwit())
    except boot.Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({"write_fault_by_vcpus": faults}, indent=1))
    else:
        print_text(faults)
    return 0
