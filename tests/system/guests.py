# SPDX-License-Identifier: MIT
"""Guests for the system tests: make them, read their consoles, move them, judge their counting."""

import contextlib
import json
import os
import shlex
import sys

from harness import ROOT, Failure, expect
from reports import expect_adds_up

sys.path.insert(0, os.path.join(ROOT, "lab"))
import ticks  # noqa: E402

TWO_HOSTS = {"names": ["north", "south"], "smp": 2, "mem": "1G"}
TRAVELLER = "/srv/guests/traveller.cfg"
LINUX = "/srv/guests/demo.cfg"


class Guest:
    """A guest that counts (traveller or demo), on one of the hosts."""

    def __init__(self, bench, name, config, host="north", **keys):
        self.bench, self.name, self.host = bench, name, host
        self.past, self.seen = b"", {}
        if not config:  # it comes from a file
            return
        words = ["godwit", "create", config, 'name="%s"' % name]
        words += ["%s=%s" % (k, json.dumps(v)) for k, v in keys.items()]
        bench.check(host, words)

    def log_since(self, host, start):
        """What the host's daemon has logged of the guest, from a byte offset on."""
        return self.bench.lab.run(
            host, "tail -c +%d /var/log/godwit/%s.log 2>/dev/null || true" % (start + 1, shlex.quote(self.name)),
            capture_output=True).stdout

    def console(self):
        """All that the guest has printed, in order, wherever it was."""
        return self.past + self.log_since(self.host, self.seen.get(self.host, 0))

    def moved(self, to):
        """Notes that the guest is on another host now: its stay here is over."""
        stay = self.log_since(self.host, self.seen.get(self.host, 0))
        self.past += stay
        self.seen[self.host] = self.seen.get(self.host, 0) + len(stay)
        self.host = to

    def count(self):
        return ticks.count(self.console())

    def wait_count(self, number):
        seen = [b""]

        def counted():
            seen[0] = self.console()
            return ticks.count(seen[0]) >= number
        self.bench.wait("%s counts to %d" % (self.name, number), counted, progress=lambda: seen[0], seconds=60)

    def wait_more(self, number=5):
        self.wait_count(self.count() + number)

    def migrate(self, to, *options, status=0):
        """Moves it and returns migrate's own report, or None without one."""
        if "-s" not in options:
            options += ("-s", "wire")
            self.bench.run(to, ["wire", "--serve"])
        return self.migrate_by_ssh(to, *options, status=status)

    def migrate_by_ssh(self, to, *options, status=0, url=None):
        if "--stall" not in options:  # a destination that has no CPU is silent for long: that is no failure of it
            options += ("--stall", "%d" % (60 * self.bench.scale))
        words = ["godwit", "migrate", "--json", "--max-rounds", "3", "--on-timeout", "stop", *options, self.name, url or to]
        result = self.bench.run(self.host, words, seconds=600)
        expect(result.returncode == status, "%s: ended with %d, not %d\n%s%s"
               % (" ".join(words), result.returncode, status, result.stdout, result.stderr))
        report = json.loads(result.stdout) if result.stdout.strip().startswith("{") else None
        if status == 0:
            self.moved(to)
            expect_adds_up(report)
        return report

    def expect_whole(self):
        """The guest has lost no count and no page."""
        wrong = ticks.faults(self.console())
        expect(not wrong, "; ".join(wrong))

    def expect_only_at(self, host):
        for name, names in self.bench.each(lambda at: guest_names(self.bench, at)).items():
            expect((self.name in names) == (name == host), "guests of %s: %s" % (name, names))

    def footprint(self):
        """Its blocks, pages and tables (logging splits blocks, its end merges them), the throttle of its vCPUs, and what
        its host has free."""
        said = self.bench.check(self.host, "godwit info --json %s && godwit info --json" % shlex.quote(self.name))
        info, end = json.JSONDecoder().raw_decode(said)
        host = json.loads(said[end:])
        throttle = [vcpu["throttle_percent"] for vcpu in info.get("vcpu_stalls", [])]
        return {"free_bytes": host["free_bytes"], "throttle": throttle, **{key: info[key] for key in (
            "logdirty", "leaves_1gib", "leaves_2mib", "leaves_4kib", "tables")}}

    def pages(self):
        """How much of its host's memory it has, tables and all that the host keeps for it included."""
        said = json.loads(self.bench.check(self.host, ["godwit", "info", "--json", self.name]))
        return (said["memory_bytes"] + said["hypervisor_bytes"]) >> 12

    def expect_untouched(self, before):
        """Nothing of a save or of a migration is left: no log, no split block, no page."""
        now = [None]

        def same():
            now[0] = self.footprint()
            return now[0] == before
        self.bench.wait("%s is as before: %s" % (self.name, before), same, lambda: now[0])

    def state(self):
        for row in list_json(self.bench, self.host):
            if row["name"] == self.name:
                return row["state"]
        return None


def list_json(bench, host):
    return json.loads(bench.check(host, ["godwit", "list", "--json"]))["guests"]


def guest_names(bench, host):
    return [row["name"] for row in list_json(bench, host)]


def free_pages(bench, host):
    return json.loads(bench.check(host, ["godwit", "info", "--json"]))["free_bytes"] // 4096


@contextlib.contextmanager
def nothing_leaks(bench):
    """What is done inside leaves no page and no table behind on any host."""
    def free():
        return bench.each(lambda host: free_pages(bench, host))
    before = free()
    yield
    now = [before]

    def all_back():
        now[0] = free()
        return now[0] == before
    bench.wait("all pages come back: %s" % before, all_back, lambda: now[0])


@contextlib.contextmanager
def guest(bench, name, config=TRAVELLER, host="north", **keys):
    """A guest for one test; whatever is left of it afterwards is destroyed."""
    made = None
    try:
        made = Guest(bench, name, config, host, **keys)
        yield made
    finally:
        bench.each(lambda at: bench.run(at, "godwit destroy %s; rm -f /var/log/godwit/%s.log"
                                        % (shlex.quote(name), shlex.quote(name))))


def tail(text, lines=15):
    return b"\n".join(text.splitlines()[-lines:]).decode(errors="replace")


def must_fail(bench, host, command, status, *words):
    """The command must end with this status and say each of the words."""
    result = bench.run(host, command)
    said = result.stdout + result.stderr
    if result.returncode != status or not all(word in said for word in words):
        raise Failure("%s: ended with %d, wanted %d and %s; it said:\n%s"
                      % (command, result.returncode, status, list(words), said))
    return said
