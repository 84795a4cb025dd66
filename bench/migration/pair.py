# SPDX-License-Identifier: MIT
"""Two emulated hosts with the plugin that follows a guest between them; what Godwit's and KVM's have in common."""

import concurrent.futures
import contextlib
import os
import shutil
import subprocess
import time

from . import flight, profile
from .images import LIBS, OUT, PROGRAM, QEMU, ROOT, Failed

import image  # noqa: E402
import hosts  # noqa: E402  (lab/, which images has put on the path)

PLUGIN = os.path.join(ROOT, "build/host/bench/migration/flight.so")
NAMES = ("north", "south")
SMP, MEMORY = 1, "1G"  # one CPU for each core of the machine: else they spin for locks of CPUs that wait for a core
QUIET_S = 40  # without anything new, on a fast idle machine
MOVE_S = 120  # after which a move counts as failed


class Pair(hosts.Lab):
    """A lab of two hosts, all of it in build/migration. Subclasses know how to run and move a guest there."""

    system = None
    text = None  # "FROM-TO", the code of the hypervisor, where it is told apart
    program, program_path = None, None  # what moves the guest: its name there, its file here

    def __init__(self, cpu, disk, profiled):
        super().__init__(os.path.join(OUT, "hosts-" + self.system))
        self.cpu, self.disk, self.profiled = cpu, disk, profiled
        self.profiles = None  # of each host: how often each block had run before and after the migration
        self.at = None  # the host that the guest is on: 0 or 1
        self.window = None  # what the plugin said when the migration was asked for, and when it was over

    # -- what the lab asks for --------------------------------------------------------------------

    def make_files(self, name, index, names):
        super().make_files(name, index, names)
        shutil.copyfile(self.disk, self.path("disk-" + name))
        if index == 0:
            flight.create(self.path("flight"))

    def qemu(self, name, index, **options):
        argv = super().qemu(name, index, **options)
        words = "%s,map=flight,host=%d,program=%#x-%#x" % (PLUGIN, index, *PROGRAM)
        words += ",profile=profile-" + name if self.profiled else ""
        words += "".join(",watch=%#x" % address for address in self.watched())
        return argv + ["-plugin", words + (",text=" + self.text if self.text else "")]

    def watched(self):
        """Addresses of the instructions that a fault of the guest's memory goes through."""
        return []

    # -- the guest --------------------------------------------------------------------------------

    def start(self, load):
        """Starts the guest on the first host and waits until its load runs."""
        raise NotImplementedError

    def halt(self, still):
        """Pauses the guest, or lets it go on."""
        raise NotImplementedError

    def move(self, limits):
        """Moves the guest to the other host; what the system itself reports, as in results.py."""
        raise NotImplementedError

    def end(self):
        """Ends the guest wherever it is."""
        raise NotImplementedError

    def reboot(self):
        """New hosts without a guest, whatever became of the old ones."""
        self.at = None
        self.down()
        self.boot()
        self.fix_addresses()

    def console(self, host):
        """What the guest has printed on a host (0 or 1) since it came there."""
        raise NotImplementedError

    # -- measuring --------------------------------------------------------------------------------

    def flight(self):
        return flight.read(self.path("flight"))

    def command(self, host, words, seconds=300):
        """Runs a command on a host; its output. Raises Failed unless it ends well."""
        try:
            done = self.run(NAMES[host], words, capture_output=True, text=True, errors="replace",
                            stdin=subprocess.DEVNULL, timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise Failed("bench: %s: %s did not end in %d s" % (NAMES[host], words, seconds)) from error
        if done.returncode != 0:
            raise Failed("bench: %s: %s ended with %d\n%s%s" % (NAMES[host], words, done.returncode, done.stdout,
                                                             done.stderr))
        return done.stdout

    @contextlib.contextmanager
    def watch(self):
        """Around the migration itself, without what is prepared before it."""
        began, before = self.flight(), self.read_profiles()
        yield
        self.window = began, self.flight()
        self.profiles = list(zip(before, self.read_profiles()))

    def read_profiles(self):
        return [profile.read(self.path("profile-" + name)) for name in NAMES] if self.profiled else []

    # -- functions --------------------------------------------------------------------------------

    def fix_addresses(self):
        """Programs lie at the same addresses from now on, if functions are to be named."""
        for name in NAMES if self.profiled else ():
            self.run(name, "echo 0 >/proc/sys/kernel/randomize_va_space")

    def address_spaces(self, host):
        """[(kind, from, to, Symbols)] of a host, for profile.functions()."""
        kernel, user = profile.Symbols(), profile.Symbols()
        kernel.add(profile.listing(self.command(host, "cat /proc/kallsyms")))
        user.add(profile.user_symbols(self.command(host, "set -- $(pidof %s); cat /proc/$1/maps" % self.program), self.locate))
        return [("kernel", profile.KERNEL, 1 << 64, kernel), ("user", 0, profile.KERNEL, user)]

    def locate(self, path):
        """Where a program or library of the hosts is on this machine, or None."""
        places = [self.program_path] if path.endswith("/" + self.program) else \
            [os.path.join(root, LIBS, os.path.basename(path)) for root in (QEMU, image.SYSROOT)]
        return next((os.path.realpath(place) for place in places if os.path.exists(place)), None)

    def profile_tables(self):
        """The functions that the last migration has spent most instructions in, on both hosts."""
        spaces = self.address_spaces(self.at)
        return "\n\n".join(profile.table("%s, %s" % (self.system, what), profile.functions(*self.profiles[host], spaces))
                           for what, host in (("source", 1 - self.at), ("destination", self.at)))

    def wire_bytes(self):
        """Bytes that each host has sent to the other since it was started, all headers included."""
        words = "cat $(grep -l 52:54:00:4c /sys/class/net/*/address | sed s,address$,statistics/tx_bytes,)"
        with concurrent.futures.ThreadPoolExecutor(len(NAMES)) as both:
            return [int(text) for text in both.map(lambda host: self.command(host, words, 60), range(len(NAMES)))]

    def wait(self, what, condition, seconds=QUIET_S):
        """Waits until condition() is true, for at most so many seconds without a new heartbeat."""
        limit = seconds * self.settings()["scale"]
        since, seen = time.monotonic(), None
        while not condition():
            now = self.flight().beats
            if seen != [beat.count for beat in now]:
                since, seen = time.monotonic(), [beat.count for beat in now]
            if time.monotonic() - since > limit:
                raise Failed("bench: %s: %s: nothing happened for %d s" % (self.system, what, limit))
            time.sleep(0.1)

    def measure(self, limits):
        """Moves the guest once: a result (results.py). The guest runs on at the other host afterwards."""
        source, target = self.at, 1 - self.at
        sent, before = self.wire_bytes(), self.flight()
        found = self.move(limits)
        began, ended = self.window
        moved = len(before.moves)
        self.wait("the guest's first heartbeat", lambda: len(self.flight().moves) > moved)
        after = self.flight()
        if len(after.moves) != moved + 1 or after.moves[-1].target != target:
            raise Failed("bench: %s: the guest was seen on both hosts in turn" % self.system)
        move = after.moves[-1]
        self.at = target
        moved_bytes = [now - then for now, then in zip(self.wire_bytes(), sent)]
        found["wire_bytes"], found["back_bytes"] = moved_bytes[source], moved_bytes[target]
        found["gap_ms"] = move.gap_ns / 1e6
        found["beats_per_s"] = flight.beats_per_s(began.beats[source], move.last)
        found["faults"] = sum(after.watched[source]) - sum(before.watched[source])
        found["instructions_at_source"], found["instructions_at_target"] = (
            ended.executed[h] - began.executed[h] for h in (source, target))
        found["instructions"] = found["instructions_at_source"] + found["instructions_at_target"]
        found["program_instructions"] = sum(after - before for before, after in zip(began.program, ended.program))
        found["instructions_besides"] = found["instructions"] - found["program_instructions"]
        found["gap_instructions"] = sum(move.executed.values())
        found["gap_instructions_at_source"], found["gap_instructions_at_target"] = move.executed_at
        found.update({"gap_instructions_" + kind: value for kind, value in move.executed.items()})
        found["faults_before"] = sum(after.watched[target])
        return found

    def check_guest(self):
        """Raises Failed if the guest has found a page that does not hold what it wrote."""
        text = self.console(self.at)
        if "LOST" in text:
            raise Failed("bench: %s: the guest lost memory:\n%s" % (self.system, text))
