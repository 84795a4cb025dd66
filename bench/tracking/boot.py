# SPDX-License-Identifier: MIT
"""Builds what the tracking benchmark boots, and boots it: Godwit, or a Linux with KVM."""

import os
import re
import subprocess
import sys
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "lab"))
import cpio  # noqa: E402

MODELS = {"a72": "cortex-a72", "n1": "neoverse-n1", "max": "max,pauth-impdef=on"}
HERE = os.path.join(ROOT, "bench/tracking")
OUT = os.path.join(ROOT, "build/tracking")
TIMEOUT_S = 900

# What Godwit is measured as: its command line, the driver's, and the CPU models that have it.
GODWIT_MODES = {
    "fault": ("logdirty=fault", "ranges=1", MODELS),
    "hardware": ("logdirty=hardware", "ranges=1", ("n1", "max")),
    "eager": ("logdirty-split=eager", "ranges=0", MODELS),  # and by hardware where there is
}

COST = re.compile(r"^cost (\S+) (\S+) ([\d.]+) \S+\s*$")
VOID = re.compile(r"^void (\S+) (.*?)\s*$")
KERNEL = re.compile(r"^kernel (\S+) (.*?)\s*$")
NOTICED = re.compile(r"noticed by (the MMU|faults)")
RESULT = re.compile(r"^Test result: (\w+)")


class Failed(Exception):
    """A measurement that did not come to its end; the message says which and why."""


class Result:
    """What one machine printed."""

    def __init__(self, name, model):
        self.name, self.model = name, model
        self.costs = {}  # series -> quantity -> number
        self.void = {}  # series -> why
        self.kernel = None
        self.noticed = None  # Godwit: by what writes are noticed
        self.verdict = None

    def take(self, line):
        """Reads one line of output."""
        if found := COST.match(line):
            self.costs.setdefault(found[1], {})[found[2]] = float(found[3])
        elif found := VOID.match(line):
            self.void.setdefault(found[1], found[2])
        elif found := KERNEL.match(line):
            self.kernel = "%s, %s" % (found[1], found[2])
        elif found := NOTICED.search(line):
            self.noticed = found[1]
        elif found := RESULT.match(line):
            self.verdict = found[1]


class Machine:
    """A machine to boot: what its results are named after, and QEMU's arguments beyond the common ones."""

    def __init__(self, name, model, arguments, cpus=1):
        self.name, self.model = name, model
        self.argv = ["setpriv", "--pdeathsig", "KILL", "qemu-system-aarch64", "-nodefaults", "-display", "none",
                     "-serial", "stdio", "-cpu", MODELS[model], "-smp", str(cpus), "-icount",
                     "shift=0,sleep=off", "-seed", "1", "-no-reboot"] + arguments

    def run(self, progress):
        """Boots it and reads its output; calls progress(result) after each line. Raises Failed."""
        result, output = Result(self.name, self.model), []
        with subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace") as process:
            watchdog = threading.Timer(TIMEOUT_S, process.kill)
            watchdog.start()
            try:
                for line in process.stdout:
                    output.append(line)
                    result.take(line)
                    progress(result)
            finally:
                watchdog.cancel()
                process.kill()
        if self.name == "godwit-hardware" and result.noticed != "the MMU":
            raise Failed("%sbench: no hardware updates on %s" % ("".join(output), self.model))
        if result.verdict not in ("PASS", "FAIL") or not result.costs:
            raise Failed("%sbench: %s on %s did not finish; its output is above"
                         % ("".join(output), self.name, self.model))
        return result


def _godwit(name, model, build, options, words, cpus=1):
    return Machine(name, model, [
        "-M", "virt,virtualization=on,gic-version=3,its=off,dtb-randomness=off", "-m", "1G",
        "-kernel", build + "/hypervisor/godwit.bin",
        "-append", ("dom0_mem=64M dom0_max_vcpus=1 " + options).strip(),
        "-device", "guest-loader,addr=0x4a000000,kernel=%s/guests/control-tracking.Image,bootargs=%s" % (build, words),
        "-device", "guest-loader,addr=0x4b000000,initrd=%s/guests/guest-tracking.bin" % build], cpus)


def godwit_machine(model, mode, build):
    """Godwit with the driver in place of a control domain."""
    options, words, _ = GODWIT_MODES[mode]
    return _godwit("godwit-" + mode, model, build, options, words)


def vcpus_machine(model, vcpus, build):
    """The same with a guest of several vCPUs, which write at once."""
    return _godwit("godwit-vcpus", model, build, "logdirty=fault", "vcpus=%d" % vcpus, vcpus)


def kvm_machine(model, name, kernel, words=""):
    """A Linux whose init is the driver. Words of its command line with a "=" reach init's environment.

    The device tree keeps its random seed: without one, each system call stirs an empty pool of entropy
    for its stack offset, 9000 instructions on CPUs without RNDR.
    """
    return Machine("kvm-" + name, model, [
        "-M", "virt,virtualization=on,gic-version=3,its=off", "-m", "768M", "-kernel", kernel,
        "-initrd", OUT + "/init.cpio", "-append", ("console=ttyAMA0 quiet panic=-1 " + words).strip()])


def lab_kernel():
    """(version, path) of the kernel that the lab boots. Raises Failed."""
    try:
        with open(ROOT + "/build/sysroot/kernel-version", encoding="ascii") as f:
            release = f.read().strip()
    except OSError as error:
        raise Failed("bench: no arm64 kernel: %s (scripts/deps fetches it)" % error) from error
    path = os.path.realpath(ROOT + "/build/sysroot/boot/vmlinuz-" + release)
    if not os.path.exists(path):
        raise Failed("bench: no arm64 kernel at %s (scripts/deps fetches it)" % path)
    return ".".join(release.split(".")[:2]), path


def later_kernel():
    """(version, path) of the kernel that has the dirty ring; None if it cannot be had."""
    done = subprocess.run([ROOT + "/scripts/deps", "--kernels"], stdout=sys.stderr, check=False)
    path = os.path.realpath(ROOT + "/build/kernels/vmlinuz-6.12")
    return ("6.12", path) if done.returncode == 0 and os.path.exists(path) else None


def build_kvm_driver(program):
    """The initramfs with nothing but the driver as init, and the guest."""
    sysroot = os.path.realpath(ROOT + "/build/sysroot")
    sources = sorted(os.path.join(HERE, "kvm", n) for n in os.listdir(HERE + "/kvm") if n.endswith(".c"))
    os.makedirs(OUT, exist_ok=True)
    subprocess.run(["aarch64-linux-gnu-gcc", "--sysroot=" + sysroot, "-std=gnu11", "-O2", "-static", "-Wall",
                    "-Wextra", "-Werror", "-D__XEN_TOOLS__", "-isystem", sysroot + "/xen-headers",
                    "-o", OUT + "/init", *sources, HERE + "/scenario.c"], check=True)
    archive = cpio.Archive()
    archive.node("dev/console", 5, 1)
    archive.file("init", OUT + "/init", 0o755)
    archive.file("guest.bin", program)
    archive.write(OUT + "/init.cpio")


def build_godwit():
    """The release build; returns its folder. Raises Failed."""
    done = subprocess.run([ROOT + "/scripts/build", "el2-release"], stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise Failed("bench: the build failed")
    return ROOT + "/build/el2-release"


def qemu_version():
    out = subprocess.run(["qemu-system-aarch64", "--version"], capture_output=True, text=True, check=True)
    return out.stdout.splitlines()[0]
