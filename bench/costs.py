# SPDX-License-Identifier: MIT
"""scripts/bench: what Godwit costs, counted in instructions under -icount, as a table."""


import argparse
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PARTS = {"walk": "el2-release", "linear": "el2-release-linear"}
MODELS = {"a72": "cortex-a72", "n1": "neoverse-n1", "max": "max,pauth-impdef=on"}
# What --check allows on a72: a little more than what was counted last.
LIMITS = {
    "null_hypercall": 300,
    "write_fault": 142,
    "write_fault_with_splits": 150,
    "clean_call": 3700,
    "clean_per_1000_clean_pages_more": 20,
    "clean_per_dirty_page": 15,
    "ranges_idle": 4000,
    "ranges_per_dirty_page": 30,
    "enable_per_page_in_blocks": 1.05,
    "off_per_page": 5.4,
    "longest_step_enable": 5500,
    "longest_step_clean": 230000,
    "longest_step_clean_of_blocks": 425000,
    "longest_step_ranges": 235000,
    "longest_step_off": 38000,
    # GODWIT_OP_PAGES, a page: 171 of it are the copy, 153 the cleaning of its lines.
    "pages_read_in_blocks": 632,
    "pages_read_in_pages": 643,
    "pages_read_zeros_in_blocks": 745,
    "pages_read_zeros_in_pages": 757,
    "pages_write_in_blocks": 580,
    "pages_write_in_pages": 592,
    "pages_write_zeros_in_blocks": 430,
    "pages_write_zeros_in_pages": 441,
}
# The same on n1, whose MMU notes writes.
HARDWARE_LIMITS = {
    "hardware_faults_per_dirty_page": 0,
    "hardware_clean_per_scanned_page": 1.6,
    "hardware_clean_per_dirty_page": 22,
}
COST = re.compile(r"^cost (\S+) ([\d.]+) (\S+)\r?$", re.MULTILINE)


def boot(build, model, control_mib=64):
    argv = ["setpriv", "--pdeathsig", "KILL", "qemu-system-aarch64", "-nodefaults", "-display", "none",
            "-serial", "stdio", "-M", "virt,virtualization=on,gic-version=3,its=off,dtb-randomness=off",
            "-cpu", MODELS[model], "-smp", "1", "-m", "512M", "-icount", "shift=0,sleep=off", "-no-reboot",
            "-kernel", build + "/hypervisor/godwit.bin", "-append", "dom0_mem=%dM dom0_max_vcpus=1" % control_mib,
            "-device", "guest-loader,addr=0x4a000000,kernel=%s/guests/control-bench.Image,bootargs=x=0" % build,
            "-device", "guest-loader,addr=0x4b000000,initrd=%s/guests/guest-store.bin" % build]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=600, check=False)
    output = done.stdout.decode(errors="replace")
    costs = {name: (float(value), unit) for name, value, unit in COST.findall(output)}
    if "Test result: PASS" not in output or not costs:
        sys.stderr.write(output)
        sys.exit("bench: the benchmark did not finish; its output is above")
    return costs


def costs_of(build, model):
    """All costs; that of scrubbing is what a control domain with twice the memory takes longer."""
    costs, larger = boot(build, model), boot(build, model, 128)
    first, unit = costs["reset_to_control_domain"]
    scrubbing = larger["reset_to_control_domain"][0] - first
    return {"reset_to_control_domain": (first, unit),
            "reset_to_control_domain_without_scrubbing": (first - scrubbing, unit), **costs}


def image_sizes(build):
    """Bytes of the Image in memory and in the file, and of its parts."""
    image = os.path.getsize(build + "/hypervisor/godwit.bin")
    listing = subprocess.run(["aarch64-linux-gnu-size", "-A", build + "/hypervisor/godwit.elf"],
                             stdout=subprocess.PIPE, text=True, check=True).stdout
    parts = {}
    for line in listing.splitlines():
        fields = line.split()
        if len(fields) == 3 and fields[0].startswith(".") and not fields[0].startswith((".debug", ".comment")):
            parts["image" + fields[0]] = (float(fields[1]), "bytes")
    return {"image_file": (float(image), "bytes"), **parts}


def check(build):
    """Prints a line for each limit; the exit status."""
    over = 0
    for model, limits in (("a72", LIMITS), ("n1", HARDWARE_LIMITS)):
        costs = boot(build, model)
        for name, limit in limits.items():
            value, unit = costs.get(name, (float("inf"), "measured"))
            over += value > limit
            print("%s  %s: %.2f %s, at most %g" % ("PASS" if value <= limit else "FAIL", name, value, unit, limit))
    return 1 if over else 0


def main(words):
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Prints what Godwit costs, counted.")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="compare with limits, a PASS or FAIL line for each")
    parser.add_argument("--cpu", action="append", choices=sorted(MODELS))
    parser.add_argument("--find", choices=sorted(PARTS), default="walk", help="how the build finds pages")
    parser.add_argument("--build", default=None, metavar="DIR",
                        help="default: build/el2-release, or build/el2-release-linear with --find linear, built first")
    options = parser.parse_args(words)
    build = options.build
    if build is None:
        build = ROOT + "/build/" + PARTS[options.find]
        subprocess.run([ROOT + "/scripts/build", PARTS[options.find]], stdout=sys.stderr, check=True)
    if options.check:
        return check(build)
    models = options.cpu or list(MODELS)
    costs = {model: costs_of(build, model) for model in models}
    sizes = image_sizes(build)
    if options.json:
        print(json.dumps({"costs": {m: {n: v for n, (v, _) in c.items()} for m, c in costs.items()},
                          "sizes": {n: v for n, (v, _) in sizes.items()}}, indent=1))
        return 0
    print("%-44s %s" % ("counted on one CPU, -icount shift=0", "".join("%14s" % MODELS[m].split(",")[0] for m in models)))
    # Models without hardware updates lack the lines about them.
    for name, unit in {n: unit for m in models for n, (_, unit) in costs[m].items()}.items():
        values = ["%14.2f" % costs[m][name][0] if name in costs[m] else "%14s" % "-" for m in models]
        print("%-44s %s %s" % (name, "".join(values), unit))
    for name, (value, unit) in sizes.items():
        print("%-44s %14d %s" % (name, value, unit))
    return 0
