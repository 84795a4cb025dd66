# SPDX-License-Identifier: MIT
"""scripts/bench tracking: what tracing writes costs, on Godwit and on KVM, counted in instructions."""

import argparse
import concurrent.futures
import json
import os
import sys
import time

from . import boot, table

import processes  # noqa: E402  (lab/, which boot has put on the path)


class Progress:
    """On a terminal, a line that says what runs and how far it is."""

    def __init__(self, total):
        self.total, self.done, self.running = total, 0, {}
        self.begin = time.monotonic()
        self.shown = sys.stderr.isatty()

    def show(self, result):
        self.running[result.name + " " + result.model] = sum(len(c) for c in result.costs.values())
        self.draw()

    def finish(self, machine):
        self.done += 1
        self.running.pop(machine.name + " " + machine.model, None)
        self.draw()

    def draw(self):
        if self.shown:
            what = ", ".join("%s: %d counts" % item for item in self.running.items())
            sys.stderr.write("\r\033[Kbench: %d of %d machines done, %d s; %s"
                             % (self.done, self.total, time.monotonic() - self.begin, what))
            sys.stderr.flush()

    def clear(self):
        if self.shown:
            sys.stderr.write("\r\033[K")


def say(text):
    print("bench: " + text, file=sys.stderr, flush=True)


def machines_of(models, wanted, build):
    """The longest first, so that two at a time end together."""
    found = []
    if wanted in ("all", "kvm"):
        kernels = [boot.lab_kernel()]
        later = boot.later_kernel()
        if later is None:
            say("no Linux with a dirty ring can be had; its columns are left out")
        else:
            kernels.insert(0, later)
        boot.build_kvm_driver(build + "/guests/guest-tracking.bin")
        found += [boot.kvm_machine(model, *kernel) for kernel in kernels for model in models]
    if wanted in ("all", "godwit"):
        found += [boot.godwit_machine(model, mode, build) for model in models
                  for mode, (_, _, having) in boot.GODWIT_MODES.items() if model in having]
    return found


def run_all(machines):
    """Two machines at a time. {model: [results]}"""
    progress, results = Progress(len(machines)), {}
    workers = max(1, min(2, os.cpu_count() or 1))
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        tasks = {pool.submit(machine.run, progress.show): machine for machine in machines}
        try:
            for task in concurrent.futures.as_completed(tasks):
                result = task.result()
                results.setdefault(result.model, []).append(result)
                progress.finish(tasks[task])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            processes.end_descendants()
            raise
        finally:
            progress.clear()
    return results


def as_json(results):
    document = {"qemu": boot.qemu_version(), "icount": "shift=0", "kernels": {}, "costs": {}, "void": [], "missed": []}
    for model, found in results.items():
        columns = table.columns_of(found)
        costs = document["costs"][model] = {}
        for column in columns:
            name = column.machine + ("-" + column.way if column.way else "")
            for (quantity, layout), _ in column.costs.items():
                costs.setdefault(name, {}).setdefault(layout, {})[quantity] = column.value(quantity, layout)
            document["void"] += [[model, name, layout, why] for layout, why in column.void.items()]
        document["missed"] += [[model, c.machine, quantity, layout, value, aim]
                               for c, quantity, layout, value, aim in table.misses(columns)]
        document["kernels"].update({r.name: r.kernel for r in found if r.kernel})
    return document


def print_text(results, models, make):
    print("Instructions, or faults where it says so. 128 MiB guest, one CPU, -icount shift=0. %s" % boot.qemu_version())
    for name, kernel in sorted({(r.name, r.kernel) for found in results.values() for r in found if r.kernel}):
        print("%s: Linux %s" % (name, kernel))
    missed = 0
    for model in models:
        columns = table.columns_of(results[model])
        missed += len(table.misses(columns))
        print("\n" + make(boot.MODELS[model].split(",")[0], columns))
    print("\n%d aims missed" % missed)


def gate(results):
    """A PASS or FAIL line for each aim, or for the limit where an aim is missed. The number of FAILs."""
    failed = 0
    for model, found in results.items():
        for column in table.columns_of(found):
            for quantity, layout, _ in table.LINES:
                aim = column.aim(quantity, layout)
                if aim is None:
                    continue
                value, limit = column.value(quantity, layout), column.limit(quantity, layout)
                good = value is not None and value <= limit
                failed += not good
                print("%-5s %s %s, %s, on %s: %s, at most %g%s"
                      % ("PASS" if good else "FAIL", " ".join(column.heading()), quantity, layout, model,
                         table.number(value), limit, "" if limit == aim else " (aim %g)" % aim), flush=True)
    return failed


def main(words):
    parser = argparse.ArgumentParser(prog="scripts/bench tracking", description=__doc__.partition(":")[2].strip())
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--markdown", action="store_true", help="tables as docs/performance.md has them")
    parser.add_argument("--gate", action="store_true", help="Godwit alone; a PASS or FAIL line for each aim")
    parser.add_argument("--only", choices=["godwit", "kvm"], default="all")
    parser.add_argument("--cpu", action="append", choices=sorted(boot.MODELS))
    options = parser.parse_args(words)
    processes.end_on_signals()
    models = options.cpu or list(boot.MODELS)
    try:
        build = boot.build_godwit()
        results = run_all(machines_of(models, "godwit" if options.gate else options.only, build))
    except boot.Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    if options.gate:
        return 1 if gate(results) else 0
    if options.json:
        print(json.dumps(as_json(results), indent=1))
    else:
        print_text(results, models, table.markdown_table if options.markdown else table.text_table)
    return 1 if any(r.void for found in results.values() for r in found) else 0
