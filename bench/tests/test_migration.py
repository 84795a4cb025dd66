# SPDX-License-Identifier: MIT
"""The migration benchmark without hosts: what it reads, its medians and its table."""

import contextlib
import io
import os
import re
import struct
import sys
import tempfile
import unittest
import unittest.mock

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, BENCH)
from migration import flight, godwit, images, kvm, main, profile, results  # noqa: E402


def flight_file(moves):
    """A file as plugin.c leaves it after these moves: (from, to, last ns, first ns, instructions at each host)."""
    data = bytearray(flight.SIZE)
    flight.HEAD.pack_into(data, 0, flight.MAGIC, len(moves), 0)
    for at, (source, target, last, first, executed) in enumerate(moves):
        base = flight.MOVES_AT + at * (flight.MOVE.size + 2 * flight.BEAT.size)
        flight.MOVE.pack_into(data, base, source, target)
        flight.BEAT.pack_into(data, base + flight.MOVE.size, 5, last, 10, 20, 30, 35, 40, 50, 60, 65)
        ends = [10 + executed[0], 20, 30, 35, 40 + executed[1], 50, 60, 65]
        flight.BEAT.pack_into(data, base + flight.MOVE.size + flight.BEAT.size, 1, first, *ends)
    for host in range(flight.HOSTS):
        for cpu in range(flight.CPUS):
            flight.CPU.pack_into(data, flight.HEAD.size + (host * flight.CPUS + cpu) * flight.CPU.size,
                                 1, 2, 3, 4, 10 * host + cpu, 0, 0, 0)
    return bytes(data)


def run(system, load="idle", **numbers):
    return dict(numbers, system=system, load=load, cpu="cortex-a72")


class Flight(unittest.TestCase):
    def test_layout_is_that_of_the_header(self):
        with open(BENCH + "/migration/flight.h", encoding="utf-8") as f:
            text = f.read()
        numbers = {name: int(value) for name, value in re.findall(r"#define FLIGHT_(\w+) +(\d+)u\b", text)}
        self.assertEqual(numbers, {"HOSTS": flight.HOSTS, "CPUS": flight.CPUS, "KINDS": len(flight.KINDS),
                                   "WATCHED": flight.WATCHED, "MOVES": flight.MOVES})
        self.assertIn("%#x" % flight.MAGIC, text)
        self.assertEqual((flight.HEAD.size, flight.CPU.size, flight.BEAT.size), (64, 64, 80))

    def test_moves(self):
        found = flight.Flight(flight_file([(0, 1, 1000, 51000, (7, 900)), (1, 0, 60000, 61000, (1, 2))]))
        self.assertEqual([m.gap_ns for m in found.moves], [50000, 1000])
        self.assertEqual([m.executed["user"] for m in found.moves], [907, 3])
        self.assertEqual([m.executed_at for m in found.moves], [[7, 900], [2, 1]])
        self.assertEqual([h[0] for h in found.watched], [6, 46])
        self.assertEqual((found.executed, found.program), ([40, 40], [16, 16]))

    def test_beats_a_second(self):
        move = flight.Flight(flight_file([(0, 1, 4_000_000_000, 6_000_000_000, (0, 0))])).moves[0]
        early = flight.Flight(flight_file([(0, 1, 3_500_000_000, 6_000_000_000, (0, 0))])).moves[0].last
        early.count = 2
        self.assertEqual(flight.beats_per_s(early, move.last), 6)
        self.assertIsNone(flight.beats_per_s(move.last, move.last))

    def test_refuses_other_files(self):
        for data in (b"\0" * flight.SIZE, flight_file([])[:-1]):
            with self.assertRaises((ValueError, struct.error)):
                flight.Flight(data)


class Profile(unittest.TestCase):
    def test_layout_is_that_of_the_header(self):
        with open(BENCH + "/migration/profile.h", encoding="utf-8") as f:
            fields = re.findall(r"^    uint64_t (\w+);", f.read(), re.M)
        self.assertEqual((fields, profile.BLOCK.size), (["address", "length", "count", "blocks"], 24))

    def test_blocks_become_functions(self):
        with tempfile.NamedTemporaryFile() as f:
            f.write(profile.HEAD.pack(3, 0, 0))
            for block in ((0x1000, 4, 10), (0x2010, 5, 2), (0x1000, 4, 1), (0x9000, 9, 9)):  # the last is not in use
                f.write(profile.BLOCK.pack(*block))
            f.flush()
            after = profile.read(f.name)
        self.assertEqual(after, {0x1000: 44, 0x2010: 10})
        names = profile.Symbols()
        names.add(profile.listing("1000 T one\n2000 t two@@V1\n0500 d data\n"))
        found = profile.functions(profile.collections.Counter({0x1000: 40}), after, [("user", 0, 1 << 63, names)])
        self.assertEqual(found, {("user", "one"): 4, ("user", "two"): 10})
        self.assertIn("71.4 %  user        two", profile.table("x", found))


class Reports(unittest.TestCase):
    def test_qemu(self):
        ram = {"normal": 100, "duplicate": 60, "total": 150 * 4096, "page-size": 4096, "dirty-sync-count": 3}
        found = kvm.Kvm.take({"total-time": 900, "downtime": 40, "ram": ram}, 12.5)
        self.assertEqual((found["total_ms"], found["downtime_ms"], found["rounds"], found["pages_again"]), (900, 40, 3, 10))

    def test_godwit(self):
        found = godwit.Godwit.take({"total_ms": 800, "downtime_ms": 30, "rounds": 2, "pages": 105, "memory_pages": 100})
        self.assertEqual((found["total_ms"], found["downtime_ms"], found["rounds"], found["pages_again"]), (800, 30, 2, 5))


class Table(unittest.TestCase):
    runs = [run("godwit", total_ms=ms, gap_ms=50.0, faults=0) for ms in (1000, 9000, 2000)] + \
        [run("kvm", total_ms=ms, gap_ms=25.0, faults=40) for ms in (3000, 5000)] + \
        [run("godwit", gap_instructions=30e6), run("kvm", gap_instructions=60e6), run("kvm", failed="it broke")]

    def row(self, line):
        return [r[2:] for r in results.rows(self.runs, "cortex-a72") if r[1].startswith(line)][0]

    def test_medians_and_ratios(self):
        self.assertEqual(self.row("total"), ("2.00", "4.00", "2.0x"))
        self.assertEqual(self.row("downtime: last"), ("50", "25", "0.5x"))
        self.assertEqual(self.row("faults"), ("0", "40", "inf"))

    def test_instructions(self):
        self.assertEqual(self.row("of both hosts from"), ("30.0", "60.0", "2.0x"))

    def test_failed_runs_are_shown(self):
        self.assertEqual(self.row("runs"), ("4", "3, 1 failed", ""))

    def test_behind(self):
        self.assertEqual([b[1] for b in results.behind(self.runs, "cortex-a72")], [results.LINES[1][1]])

    def test_other_models_are_apart(self):
        self.assertEqual(list(results.rows(self.runs, "max")), [])

    def test_forms(self):
        text = results.markdown_table(self.runs, "cortex-a72")
        self.assertTrue(text.startswith("| idle | Godwit | QEMU/KVM | ratio |\n|---|--:|--:|--:|\n| runs |"))
        self.assertIn("| total, s | 2.00 | 4.00 | 2.0x |", text)
        self.assertTrue(results.text_table(self.runs, "cortex-a72").startswith("idle\n"))

    def test_file_keeps_runs(self):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/new/results.json"
            results.Store(path).add(self.runs[0])
            results.Store(path).add(self.runs[1])
            self.assertEqual(results.Store(path).runs, self.runs[:2])


class FakePair:
    """Hosts that fail when they are told to; what was done with them."""

    system, cpu, profiles, at = "godwit", "cortex-a72", None, 0

    def __init__(self, *broken):
        self.broken, self.done = list(broken), []

    def do(self, what):
        self.done.append(what)
        if self.broken and self.broken[0] == what:
            self.broken.pop(0)
            raise images.Failed("bench: it broke\nand more")

    def start(self, load):
        self.do("start")

    def end(self):
        self.do("end")

    def reboot(self):
        self.do("reboot")

    def halt(self, still):
        if not still:
            self.do("move")


class Failures(unittest.TestCase):
    """A run that fails is kept as one, and the next one is measured."""

    def run_two(self, *pairs, until=None):
        kept = []
        with contextlib.redirect_stderr(io.StringIO()), unittest.mock.patch.object(main, "move_once", self.move_once):
            main.run_load(pairs, "idle", 2, kept.append, until)
        return kept

    @staticmethod
    def move_once(pair, load):
        pair.halt(False)
        return {"total_ms": 1, "gap_ms": 1, "wire_bytes": 1, "rounds": 1, "instructions_at_source": 1,
                "instructions_at_target": 1, "gap_instructions": 1}

    def test_guest_is_started_anew(self):
        pair = FakePair("move")
        kept = self.run_two(pair)
        self.assertEqual([r.get("failed") for r in kept], ["bench: it broke", None])
        self.assertEqual(pair.done, ["start", "move", "end", "start", "move", "end"])

    def test_hosts_are_booted_anew(self):
        pair = FakePair("move", "end")
        self.assertEqual(["failed" in r for r in self.run_two(pair)], [True, False])
        self.assertEqual(pair.done, ["start", "move", "end", "reboot", "start", "move", "end"])

    def test_hosts_that_never_come_back(self):
        broken, sound = FakePair("move", "end", "reboot"), FakePair()
        kept = self.run_two(broken, sound)
        self.assertEqual(["failed" in r for r in kept], [True, False, False])
        self.assertEqual(broken.done, ["start", "move", "end", "reboot", "end"])
        self.assertEqual(sound.done, ["start", "move", "move", "end"])

    def test_guest_that_never_starts(self):
        broken = FakePair("start", "end", "reboot", "end", "reboot")
        self.assertEqual(self.run_two(broken), [])
        self.assertEqual(broken.done, ["start", "end", "reboot", "end", "reboot"])

    def test_no_run_begins_late(self):
        pair = FakePair()
        self.assertEqual(len(self.run_two(pair, until=main.time.monotonic() - 1)), 0)
        self.assertEqual(len(self.run_two(pair, until=main.time.monotonic() + 60)), 2)


if __name__ == "__main__":
    unittest.main()
