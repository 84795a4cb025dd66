# SPDX-License-Identifier: MIT
"""Moves in a row, around three hosts, mixed with saves, and of eight guests at once."""

import contextlib

from guests import free_pages, guest, guest_names, must_fail, nothing_leaks
from harness import LONG, expect, times

LAB = {"names": ["north", "south", "east"], "smp": 1, "mem": "512M", "control_mem": "256M"}
SMALL = {"memory": 16, "vcpus": 2}
LOAD = dict(SMALL, extra="travel=load")
# Its slow vCPU looks at each of its 512 pages once in so many counts.
ALL_PAGES = 18
EIGHT = ["eight%d" % i for i in range(8)]
BROKEN = ["eight3"]  # of them: its migration fails when all of it is there


def shape(g):
    """Its blocks, pages and tables, and whether it is logged."""
    return {key: value for key, value in g.footprint().items() if key != "free_bytes"}


def travel(g, stops, seen):
    """Moves it to each of the hosts in turn. On each it looks as before, and as much is free as the first time."""
    made = shape(g)
    g.bench.each(lambda host: g.bench.check(host, ["wire", "--serve"]))
    for stop in stops:
        report = g.migrate(stop, "--verify", "-s", "wire")
        expect(report["verified_pages"] > 0, "no page was compared: %s" % report)
        if stop in seen:
            g.expect_untouched(seen[stop])
        else:
            g.bench.wait("it is at %s as it was: %s" % (stop, made), lambda: shape(g) == made, lambda: str(shape(g)))
            seen[stop] = g.footprint()
            expect(seen[stop]["logdirty"] == 0, "it is logged at %s" % stop)


def test_there_and_back_under_load(bench):
    with nothing_leaks(bench), guest(bench, "commuter", **LOAD) as g:
        g.wait_count(3)
        seen = {}
        for _ in times(5, 100, "times there and back"):
            travel(g, ["south", "north"], seen)
        g.expect_only_at("north")
        g.wait_more(5)
        g.expect_whole()


def fail(g, to, *words, step="source-final:error"):
    """A migration that ends with the guest here, when all that it takes is there already."""
    g.bench.check(to, ["wire", "--serve"])
    must_fail(g.bench, g.host, "GODWIT_FAIL_AT=%s godwit migrate --max-rounds 3 --on-timeout stop -s wire %s %s"
              % (step, g.name, to), 10, "runs on here", *words)
    g.bench.wait("nothing of it is at %s" % to, lambda: guest_names(g.bench, to) == ["Domain-0"],
                 lambda: guest_names(g.bench, to))


def test_around_three_hosts(bench):
    with nothing_leaks(bench), guest(bench, "tourist", **LOAD) as g:
        g.wait_count(3)
        before = g.footprint()
        fail(g, "east", step="source-ready:error")
        g.expect_untouched(before)
        seen = {}
        for _ in times(1, 33, "times around"):
            travel(g, ["south", "east", "north"], seen)
        travel(g, ["east"], seen)
        g.expect_only_at("east")
        g.wait_more(5)
        g.expect_whole()


def save(g, path, *options):
    g.bench.check(g.host, ["godwit", "save", "--verify", *options, g.name, path], seconds=300)
    g.bench.check(g.host, ["godwit", "stream-check", "-q", path])


def carry(g, paths, to, *options):
    """Restores an ended guest on another host from copies of its files."""
    for path in paths:
        g.bench.check(g.host, "ssh %s 'cat >%s' <%s" % (to, path, path), seconds=300)
    g.moved(to)
    g.bench.check(to, ["godwit", "restore", *options, *paths], seconds=300)
    g.wait_more(ALL_PAGES)  # and finds each page as it has written it
    expect(b"LOST" not in g.console(), "it did not find what it had written")


def test_saves_and_moves_mixed(bench):
    """Each step goes on from what the one before has left, the dirty log of a chain of saves above all. The guest
    writes at full speed: whatever a save does not write is wrong in the restored guest, which says so itself."""
    with nothing_leaks(bench), guest(bench, "mixed", **LOAD) as g:
        g.wait_count(3)
        for _ in times(1, 20, "times mixed"):
            before = g.footprint()
            save(g, "/srv/1", "-c", "-l", "-i")
            g.wait_more(2)
            save(g, "/srv/2", "-c", "-i", "--since", "/srv/1")
            fail(g, "south")  # it took the log, and switched it off
            must_fail(bench, "north", "godwit save --since /srv/2 mixed /srv/3", 7, "take a full save")
            g.expect_untouched(before)
            save(g, "/srv/1", "-c", "-i")
            save(g, "/srv/2", "-l", "-c", "-i", "--since", "/srv/1")
            g.migrate("south", "--verify")  # with the chain's log still on
            bench.check("north", "ssh south 'cat >/srv/2' </srv/2")
            must_fail(bench, "south", "godwit save --since /srv/2 mixed /srv/3", 7, "take a full save")
            save(g, "/srv/1", "-c", "-i")
            g.wait_more(2)
            save(g, "/srv/2", "-l", "-c", "-i", "--since", "/srv/1")
            g.wait_more(2)
            save(g, "/srv/3", "--since", "/srv/2")
            carry(g, ["/srv/1", "/srv/2", "/srv/3"], "east")
            expect(g.footprint()["logdirty"] == 0, "a restored guest is logged")
            save(g, "/srv/1", "-c", "-l", "-i")
            g.wait_more(2)
            save(g, "/srv/2", "-l", "--since", "/srv/1")
            carry(g, ["/srv/1", "/srv/2"], "north", "--verify")
            g.expect_only_at("north")
            g.expect_whole()
    for host in bench.hosts:
        bench.check(host, "rm -f /srv/[123]; ! ls /srv/*.partial 2>/dev/null")


def move_all(bench, names, source, to, broken=()):
    """Moves them at the same time, all but the broken ones to their end. {name: (exit status, what was said)}"""
    bench.check(to, ["wire", "--serve"])
    one = ("(case \" %s \" in *\" $g \"*) export GODWIT_FAIL_AT=source-ready:error;; esac;" % " ".join(broken) +
           " godwit migrate --verify --max-rounds 3 --on-timeout stop -s wire $g %s >/tmp/$g.out 2>&1;"
           " echo $? >/tmp/$g.rc) &" % to)
    bench.check(source, "for g in %s; do %s done; wait" % (" ".join(names), one), seconds=600)
    said = bench.check(source, "for g in %s; do echo \"$g $(cat /tmp/$g.rc) $(tail -n 1 /tmp/$g.out)\"; done"
                       % " ".join(names))
    return {line.split()[0]: (int(line.split()[1]), line.split(None, 2)[2]) for line in said.splitlines()}


def settle(bench, guests, results, source, to):
    """Each guest is at one host, as its result says, and runs there. Returns those that stayed."""
    at = {host: guest_names(bench, host) for host in bench.hosts}
    stayed = []
    for g in guests:
        status, said = results[g.name]
        expect(status in (0, 10), "%s: exit status %d: %s" % (g.name, status, said))
        home = source if status else to
        expect([h for h in at if g.name in at[h]] == [home], "%s ended with %d and is at %s: %s"
               % (g.name, status, [h for h in at if g.name in at[h]], said))
        if status:
            expect("runs on here" in said, said)
            stayed.append(g)
        else:
            g.moved(to)
    expect(not [n for h in at for n in at[h] if n.endswith("--incoming")], "half-built: %s" % at)
    for g in guests:
        g.wait_more(2)
        g.expect_whole()
    return stayed


def test_eight_at_once(bench):
    """All arrive but one that is broken off, and that one follows. Where there is room for some only, the others stay, say
    why, and follow later (--long)."""
    with nothing_leaks(bench), contextlib.ExitStack() as stack:
        guests = [stack.enter_context(guest(bench, name, **dict(SMALL, vcpus=1))) for name in EIGHT]
        for g in guests:
            g.wait_count(3)
        for _ in times(1, 10, "times eight there and back"):
            left = settle(bench, guests, move_all(bench, EIGHT, "north", "south", BROKEN), "north", "south")
            expect([g.name for g in left] == BROKEN, "not all have arrived: %s" % [g.name for g in left])
            expect(settle(bench, left, move_all(bench, BROKEN, "north", "south"), "north", "south") == [],
                   "not all have followed")
            if not LONG:  # test_moves.c has the way back, between fake hosts
                return
            with guest(bench, "hog", memory=(free_pages(bench, "north") >> 8) - 4 * 18 - 8):
                left = settle(bench, guests, move_all(bench, EIGHT, "south", "north"), "south", "north")
            expect(0 < len(left) < 8, "%d guests did not find room" % len(left))
            for g in left:
                expect(g.footprint()["logdirty"] == 0, "%s is still logged" % g.name)
            expect(settle(bench, left, move_all(bench, [g.name for g in left], "south", "north"), "south", "north")
                   == [], "not all have followed")
