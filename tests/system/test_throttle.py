# SPDX-License-Identifier: MIT
"""A guest that writes faster than its link: without a throttle it stays, with one it moves, and only the writer pays."""

import json
import re
import time

import ticks
from guests import TWO_HOSTS, guest
from harness import LONG, expect
from test_migrate import report_of, status

LAB = dict(TWO_HOSTS, cpu="neoverse-n1") if LONG else TWO_HOSTS  # these CPUs can note writes themselves
RIVALS = "/srv/guests/rivals.cfg"
READER, WRITER = 0, 1
LINK = ("--verify", "--bandwidth", "6MB/s", "--max-downtime", "800ms")
ROW = re.compile(rb"^tick (\d+): (\d+) pages written, none lost\r?\nread (\d+)\r?$", re.M)
SPELL = 10    # ticks, of 100 ms each
SAME = 0.25   # of the pages per tick: hosts that share cores are no clocks, but 90 % less is 0.1


def rows(g):
    """(tick, pages written, pages read) as the guest has told them."""
    return rows_of(g.console())


def rows_of(text):
    return [tuple(map(int, found)) for found in ROW.findall(text)]


def speeds(told):
    """Pages per tick: (read, written)."""
    first, last = told[0], told[-1]
    expect(last[0] > first[0], "the guest did not count: %s" % told)
    return (last[2] - first[2]) / (last[0] - first[0]), (last[1] - first[1]) / (last[0] - first[0])


def spell(g):
    """The guest's speeds in the next second."""
    begin = len(rows(g))
    g.wait_more(SPELL)
    return speeds(rows(g)[begin:])


def expect_same(before, now, what):
    expect(now > before * SAME, "%s: %d pages per tick before, %d now" % (what, before, now))


def expect_whole(g):
    g.expect_whole()
    text = g.console()
    expect(len(rows_of(text)) >= ticks.count(text) - 1, "a line of the console is missing")


def throttled(report):
    """vCPU -> the most that was taken from it."""
    most = {}
    for told in (one for number in report["rounds"] for one in number["throttle"]):
        most[told["vcpu"]] = max(told["percent"], most.get(told["vcpu"], 0))
    return most


def wait_throttled(g, percent):
    """Asks seldom: asking takes time from the migration."""
    seen = {}

    def is_throttled():
        seen.update(status(g))
        return seen and throttled(seen).get(WRITER, 0) >= percent or time.sleep(0.5)
    g.bench.wait("the writer is throttled", is_throttled, lambda: str(seen))


def vcpus(g):
    return json.loads(g.bench.check(g.host, ["godwit", "info", "--json", g.name]))["vcpu_stalls"]


def expect_writer_pays(report):
    expect(list(throttled(report)) == [WRITER], "throttled: %s" % throttled(report))
    stalls = [vcpu["stall_throttle_ns"] for vcpu in report["vcpus"]]
    expect(stalls[READER] == 0 and stalls[WRITER] > 0, "stalled by the throttle: %s ns" % stalls)


def move_throttled(g, before):
    count = g.count()
    report = g.migrate("south", *LINK, "--max-rounds", "30", "--on-timeout", "cancel")
    during = [row for row in rows(g) if row[0] > count]
    expect(report["result"] == "moved" and report["verified_pages"] > 0, str(report))
    expect_writer_pays(report)
    if len(during) > SPELL:
        expect_same(before[0], speeds(during)[0], "the reader, while it was moved")
    g.expect_only_at("south")
    expect_same(before[1], spell(g)[1], "the writer, after it")
    expect_whole(g)


def expect_tracking(g, tracking):
    info = json.loads(g.bench.check(g.host, ["godwit", "info", "--json", g.name]))
    expect(info["logdirty_tracking"] == tracking, "writes are noted by %s" % info["logdirty_tracking"])


def diverges_without(bench, name, tracking):
    with guest(bench, name, config=RIVALS, logdirty=tracking) as g:
        expect_tracking(g, tracking)
        g.wait_count(5)
        before, footprint = spell(g), g.footprint()
        g.migrate("south", *LINK, "--no-throttle", "--max-rounds", "4", "--on-timeout", "cancel", status=12)
        g.expect_only_at("north")
        g.expect_untouched(footprint)
        expect(throttled(status(g)) == {}, "it was throttled: %s" % status(g))
        now = spell(g)
        expect_same(before[0], now[0], "the reader")
        expect_same(before[1], now[1], "the writer")
        move_throttled(g, now)


def test_diverges_without(bench):
    diverges_without(bench, "rivals", "fault")


def test_writer_that_naps(bench):
    with guest(bench, "napper", config=RIVALS, logdirty="fault", extra="rival=naps") as g:
        g.wait_count(5)
        move_throttled(g, spell(g))


def cancelled_while_throttled(bench, name, tracking):
    with guest(bench, name, config=RIVALS, logdirty=tracking) as g:
        g.wait_count(5)
        before, footprint = spell(g), g.footprint()
        bench.run("south", ["wire", "--serve"])
        bench.check("north", "setsid godwit migrate --json -s wire %s --max-downtime 1ms --timeout 5m %s south"
                    " >/run/moving.json 2>/run/moving.log </dev/null & echo $! >/run/moving.pid" % (" ".join(LINK), name))
        wait_throttled(g, 50)
        expect_same(before[0], spell(g)[0], "the reader, while the writer is throttled")
        bench.check("north", ["godwit", "migrate-cancel", name])
        report = report_of(g)
        expect(report["result"] == "cancelled", str(report))
        expect_writer_pays(report)
        g.expect_only_at("north")
        g.expect_untouched(footprint)
        expect(not any(vcpu["throttle_percent"] for vcpu in vcpus(g)), "a throttle is left: %s" % vcpus(g))
        expect_same(before[1], spell(g)[1], "the writer, after it")
        expect_whole(g)


def test_cancelled_while_throttled(bench):
    cancelled_while_throttled(bench, "hasty", "fault")


def cases(_bench):
    """The long form: also where the MMU notes writes, and who writes is known by a sample of pages only."""
    if LONG:
        yield "diverges_without_by_sample", lambda bench: diverges_without(bench, "sampled", "hardware")
        yield "cancelled_while_throttled_by_sample", lambda bench: cancelled_while_throttled(bench, "hastier", "hardware")
