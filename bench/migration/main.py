# SPDX-License-Identifier: MIT
"""scripts/bench migration: the same guest moved by Godwit, and by Debian's QEMU with KVM."""

import argparse
import json
import os
import subprocess
import sys
import time

from . import flight, godwit, images, kvm, results

import hosts  # noqa: E402  (lab/, which images has put on the path)
import processes  # noqa: E402

RUNS = 3
SETTLE_S, AFTER_S = 1, 2
CLASSES = {"godwit": godwit.Godwit, "kvm": kvm.Kvm}
FAILURES = (images.Failed, hosts.LabError, OSError, ValueError, subprocess.SubprocessError)
RESULTS = os.path.join(images.OUT, "results.json")
# Bytes a second for a load's link; without an entry it is as fast as the hosts are.
BANDWIDTH = {}


def say(text):
    print("bench: " + text, file=sys.stderr, flush=True)


def move_once(pair, load):
    """Lets the guest run, moves it, lets it run on and stops it there; the run's numbers."""
    pair.halt(False)
    at, alone = pair.at, pair.flight()
    time.sleep(SETTLE_S)
    settled = pair.flight()
    run = pair.measure({"bandwidth": BANDWIDTH.get(load, 0)})
    run["beats_before_per_s"] = flight.beats_per_s(alone.beats[at], settled.beats[at])
    target, before = pair.at, pair.flight()
    time.sleep(AFTER_S)
    after = pair.flight()
    if after.beats[target].count <= before.beats[target].count:
        raise images.Failed("bench: %s: the guest stands still after its move" % pair.system)
    run["faults_after"] = sum(after.watched[target]) - run.pop("faults_before")
    pair.check_guest()
    pair.halt(True)
    return run


def start(pair, load):
    pair.start(load)
    pair.halt(True)


def start_anew(pair, load):
    """After a failure: the guest, and if that does not work the hosts, too."""
    try:
        pair.end()
        start(pair, load)
    except FAILURES as failure:
        say("%s; booting its hosts again" % failure)
        pair.reboot()
        start(pair, load)


def start_any(pairs, load):
    """Starts the guest on each; those that it runs on."""
    running = []
    for pair in pairs:
        try:
            start(pair, load)
        except FAILURES as failure:
            say(str(failure))
            if not try_anew(pair, load):
                continue
        running.append(pair)
    return running


def try_anew(pair, load):
    """start_anew(); whether the guest runs."""
    try:
        start_anew(pair, load)
    except FAILURES as failure:
        say("%s; %s goes without %s" % (failure, pair.system, load))
        return False
    return True


def run_once(pair, load):
    """A run, moved or failed, as the file has it."""
    try:
        found = move_once(pair, load)
    except FAILURES as failure:
        say(str(failure))
        found = {"failed": (str(failure) or repr(failure)).splitlines()[0]}
    return dict(found, system=pair.system, load=load, cpu=pair.cpu)


def run_load(pairs, load, runs, keep, until=None):
    """Alternating runs, none of them begun after a moment until; a guest that could not be moved is started anew."""
    running = start_any(pairs, load)
    for number in range(runs):
        if until and time.monotonic() > until:
            say("%s: no time for more than %d of %d" % (load, number, runs))
            break
        for pair in list(running):
            begin = time.monotonic()
            found = run_once(pair, load)
            keep(found)
            if "failed" in found and not try_anew(pair, load):
                running.remove(pair)
            if pair.profiles and "failed" not in found:
                print(pair.profile_tables() + "\n", flush=True)
            say("%s, %s, %d of %d: %s (%.0f s)" % (pair.system, load, number + 1, runs, brief(found),
                                                  time.monotonic() - begin))
    for pair in pairs:
        end(pair)


def end(pair):
    """Ends the guest, so that another can be started."""
    try:
        pair.end()
    except FAILURES as failure:
        say("%s; booting its hosts again" % failure)
        try:
            pair.reboot()
        except FAILURES as more:
            say(str(more))


def brief(run):
    if "failed" in run:
        return "failed"
    return "total %.2f s, gap %.0f ms, %.1f MB, %d rounds, %.0f + %.0f million instructions, %.1f of them in the gap" % (
        run["total_ms"] / 1e3, run["gap_ms"], run["wire_bytes"] / 1e6, run["rounds"],
        run["instructions_at_source"] / 1e6, run["instructions_at_target"] / 1e6, run["gap_instructions"] / 1e6)


def measure(options, store):
    begin = time.monotonic()
    disk = images.DISK if options.built else images.build()
    versions = dict(zip(("emulator", "qemu"), images.qemu_versions()))
    say("booting two hosts for each of: " + ", ".join(options.system))
    pairs = [CLASSES[name](options.cpu, disk, options.profile) for name in options.system]
    try:
        for pair in pairs:
            pair.boot()
            pair.fix_addresses()
        for at, load in enumerate(options.load):
            left = begin + 60 * options.minutes - time.monotonic()
            until = time.monotonic() + left / (len(options.load) - at) if options.minutes else None
            run_load(pairs, load, options.runs, lambda run: store.add(dict(run, **versions)), until)
    finally:
        for pair in pairs:
            pair.down()


def arguments(words):
    parser = argparse.ArgumentParser(prog="scripts/bench migration", description=__doc__.partition(":")[2].strip())
    parser.add_argument("--runs", type=int, default=RUNS, metavar="N",
                        help="moves of each guest by each system, in turn (default: %d; the table in docs has 10)" % RUNS)
    parser.add_argument("--minutes", type=float, default=0, metavar="M",
                        help="begin no run when a load has had its share of this time (default: as long as it takes)")
    parser.add_argument("--load", action="append", choices=list(results.LOADS))
    parser.add_argument("--system", action="append", choices=results.SYSTEMS)
    parser.add_argument("--cpu", default="cortex-a72", help="of all hosts (default: cortex-a72)")
    parser.add_argument("--profile", action="store_true",
                        help="print the functions that each move has spent most instructions in, on both hosts")
    parser.add_argument("--built", action="store_true", help="measure what was built last")
    parser.add_argument("--table", action="store_true", help="measure nothing, print what is in the file")
    parser.add_argument("--fresh", action="store_true", help="forget the results in the file first")
    parser.add_argument("--results", default=RESULTS, metavar="FILE", help="default: build/migration/results.json")
    parser.add_argument("--markdown", action="store_true", help="the table as docs/performance.md has it")
    parser.add_argument("--json", action="store_true", help="all runs in the file")
    options = parser.parse_args(words)
    options.load = options.load or list(results.LOADS)
    options.system = options.system or list(results.SYSTEMS)
    return options


def main(words):
    options = arguments(words)
    processes.end_on_signals()
    if options.fresh and os.path.exists(options.results):
        os.unlink(options.results)
    store = results.Store(options.results)
    try:
        if not options.table:
            measure(options, store)
    except (images.Failed, hosts.LabError) as failure:
        print(failure, file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(store.runs, indent=1))
        return 0
    for cpu in sorted({run["cpu"] for run in store.runs}):
        make = results.markdown_table if options.markdown else results.text_table
        print("%s, guest of %d MiB; medians\n" % (cpu, images.GUEST_MIB))
        print(make(store.runs, cpu))
    return 0
