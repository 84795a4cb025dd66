# SPDX-License-Identifier: MIT
"""Guests with Debian's programs at work, moved again and again in the middle of it; see lab/work."""

import re
import time

from guests import TWO_HOSTS, guest, tail
from harness import LONG, expect, times

LAB = dict(TWO_HOSTS, cpu="neoverse-n1") if LONG else TWO_HOSTS  # these CPUs can note writes themselves
WORK = "/srv/guests/work.cfg"
WORDS = "console=ttyAMA0 quiet cma=0 work=%s work_mib=%d work_memtests=%d"
SHORT = "" if LONG else " work_keys=3000 work_data=small work_builds=1"
SOME_MEMTESTS = 0x7  # three of memtester's tests of one loop; 0 means all
BATCH = "sort", "xz", "compile", "memtester"
# "NAME beat N: what, at SECONDS s", and "pass" for "beat": of the guest's own clock.
SIGN = re.compile(rb"^(\w+) (beat|pass) (\d+): [^\n]*, at (\d+\.\d+) s\r?$", re.M)
# A destination is silent while it makes 256 MiB ready. Where programs lay in them before, the emulator throws away all
# that it has translated of these, write by write: a minute and more on a busy machine.
STALL = ("--stall", "300") if LONG else ()
COMPLAINT = re.compile(rb"^.*(?:WRONG|Call trace|\bBUG\b|WARNING|Oops|stall|Unable to handle|panic|hung_task).*$", re.M)


def signs(g):
    """The signs of life of each worker so far: name -> list of (kind, number, seconds)."""
    found = {}
    for name, kind, number, seconds in SIGN.findall(g.console()):
        found.setdefault(name.decode(), []).append((kind, int(number), float(seconds)))
    return found


def expect_no_complaint(g):
    found = COMPLAINT.findall(g.console())
    expect(not found, "the guest complains:\n%s\nand before:\n%s"
           % (b"\n".join(found[:10]).decode(errors="replace"), tail(g.console(), 30)))


def wait_signs(g, names, more):
    """Waits until each worker has shown so many more signs of life than now."""
    before = {name: len(signs(g).get(name, [])) for name in names}

    def shown():
        expect_no_complaint(g)
        now = signs(g)
        return all(len(now.get(name, [])) >= before[name] + more for name in names)
    g.bench.wait("%s go on" % ", ".join(names), shown, progress=g.console, seconds=90)


class Clock:
    """Holds the guest's clock against the time that has gone by here."""

    def __init__(self, g):
        self.slack = 15 * g.bench.scale  # a sign of life is this late at the most when it is read
        self.began, self.guest_began, self.stood = time.monotonic(), self.guest_now(g), 0

    @staticmethod
    def guest_now(g):
        return max(seconds for rows in signs(g).values() for _, _, seconds in rows)

    def check(self, g):
        here, there = time.monotonic() - self.began, self.guest_now(g) - self.guest_began
        expect(there <= here + self.slack, "%.1f s went by in the guest, but only %.1f s here" % (there, here))
        expect(there >= here - self.stood - self.slack, "%.1f s went by here, but only %.1f s in the guest, which "
               "stood still for %.1f s" % (here, there, self.stood))


def expect_in_order(g):
    """No line of the console is lost or broken, and no worker's clock went back."""
    for name, rows in signs(g).items():
        for kind in (b"beat", b"pass"):
            numbers = [n for k, n, _ in rows if k == kind]
            expect(numbers == sorted(set(numbers)), "%s: %s out of order: %s" % (name, kind.decode(), numbers))
            if (name, kind) != ("memtester", b"beat"):  # those start anew with each loop
                expect(numbers == list(range(1, len(numbers) + 1)), "%s: a line is missing: %s" % (name, numbers))
        times = [seconds for _, _, seconds in rows]
        expect(times == sorted(times), "%s: the clock went back: %s" % (name, times))


def finish(g, names):
    """Presses the power key: the workers end their passes and the guest says how it was."""
    g.bench.check(g.host, ["godwit", "shutdown", g.name])
    g.bench.wait("the verdict", lambda: b"work ends: " in g.console(), progress=g.console, seconds=120)
    text = g.console()
    expect_no_complaint(g)
    expect(b"work ends: all right" in text, tail(text))
    expect(b"kernel log: " in text, "the guest did not look at its kernel's log:\n" + tail(text))
    expect_in_order(g)
    for name in names:
        expect(any(kind == b"pass" for kind, _, _ in signs(g).get(name, [])), "%s ended no pass" % name)


def move_at_work(bench, name, names, moves=5, options=(), mib=64, memtests=SOME_MEMTESTS, **keys):
    """A guest that works is moved twice, in the long form so often; all of its work goes on between the moves and
    comes out right."""
    extra = WORDS % (",".join(names), mib, memtests) + SHORT
    keys = dict({"memory": 256, "vcpus": 2} if LONG else {"memory": 144, "vcpus": 1}, **keys)
    with guest(bench, name, WORK, extra=extra, **keys) as g:
        wait_signs(g, names, 1)
        clock = Clock(g)
        for _ in times(2, moves, "moves of a guest with " + ", ".join(names)):
            report = g.migrate("south" if g.host == "north" else "north", "--verify", *STALL, *options)
            expect(report["verified_pages"] > 0, "no page was compared: %s" % report)
            clock.stood += report["downtime_ms"] / 1000
            wait_signs(g, names, 1)
            clock.check(g)
        finish(g, names)
        return g.console()


def test_sort_xz_compile_memtester(bench):
    move_at_work(bench, "batch", BATCH, 6, mib=64 if LONG else 8)


def test_redis(bench):
    text = move_at_work(bench, "redis", ("redis",), 9)
    expect(re.search(rb"^redis all \d+ keys are right", text, re.M), "not all keys were read again:\n" + tail(text))


def cases(_bench):
    """The long form: redis moved in each way that there is, and each other worker for itself."""
    if not LONG:
        return
    for options in (("--streams", "4"), ("--compress=1",), ("--streams", "3", "--compress=3")):
        for tracking in ("fault", "hardware"):
            name = "redis" + "".join(o.strip("-").replace("=", "") for o in options) + "-" + tracking
            yield name, lambda b, o=options, t=tracking: move_at_work(b, "ways", ("redis",), options=o, logdirty=t)
    for name in BATCH:
        yield name, lambda b, n=name: move_at_work(b, "alone", (n,), memtests=0, logdirty="hardware")
