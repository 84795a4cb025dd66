# SPDX-License-Identifier: MIT
"""Save and restore on one host, and across hosts by file."""

import glob
import json
import os
import subprocess
import tempfile

from guests import LINUX, TWO_HOSTS, free_pages, guest, guest_names, must_fail
from harness import LONG, ROOT, Skip, expect
from test_daemon import START
import ticks

LAB = TWO_HOSTS
BUSY = {"memory": 16, "vcpus": 2, "extra": "travel=load"}
GOLDEN = os.path.join(ROOT, "toolstack/tests/golden/version-*-traveller.save.zst")
MEMTYPE = os.path.join(ROOT, "build/dom0/tests/system/xenctrl/memtype")


def save_and_restore(bench, g, rounds):
    for _ in range(rounds):
        bench.check("north", ["godwit", "save", g.name, "/srv/x.save"], seconds=300)
        expect(g.name not in guest_names(bench, "north"), "a saved guest is still there")
        bench.check("north", ["godwit", "restore", "/srv/x.save"], seconds=300)
        g.wait_more(5)
    bench.check("north", "rm /srv/x.save")
    expect(not ticks.faults(g.console()), "; ".join(ticks.faults(g.console())))


def test_tiny_guest(bench):
    with guest(bench, "tiny", vcpus=2) as g:
        g.wait_count(3)
        before = free_pages(bench, "north")
        save_and_restore(bench, g, 50 if LONG else 3)
        bench.wait("no memory is lost", lambda: free_pages(bench, "north") == before,
                   lambda: free_pages(bench, "north"))


def test_linux_guest(bench):
    with guest(bench, "lin", LINUX) as g:
        g.wait_count(3)
        save_and_restore(bench, g, 10 if LONG else 1)


def test_vcpus_that_sleep_or_never_started(bench):
    for mode in ("idle", "late"):
        with guest(bench, mode, vcpus=3, extra="travel=" + mode) as g:
            g.wait_count(3)
            save_and_restore(bench, g, 1)
            if mode == "late":
                g.wait_count(45)
                expect(b"3 vCPUs now" in g.console(), "the late vCPUs did not start")
                expect(not ticks.faults(g.console()), "; ".join(ticks.faults(g.console())))


def test_checkpoint_lets_it_run_on(bench):
    with guest(bench, "check") as g:
        g.wait_count(3)
        bench.check("north", ["godwit", "save", "-c", "check", "/srv/x.save"])
        g.wait_more(5)
        g.expect_whole()
        bench.check("north", "rm /srv/x.save")


def test_read_only_memory_stays_read_only(bench):
    """Pages that the guest may only read are so again after restore, and after a compared migration."""
    first, pages = 0x40000 + (14 << 20) // 4096, 100  # the guest does not write there

    def memtype(host, name, what):
        domid = bench.check(host, ["godwit", "domid", name]).strip()
        return bench.check(host, ["/tmp/memtype", domid, hex(first - 10), str(pages + 20), what]) if what == "show" else \
            bench.check(host, ["/tmp/memtype", domid, hex(first), str(pages), what])

    for host in bench.hosts:
        expect(bench.lab.put(host, [MEMTYPE], "/tmp") == 0, "memtype could not be copied")
    with guest(bench, "rom", vcpus=2) as g:
        g.wait_count(3)
        memtype("north", "rom", "ro")
        save_and_restore(bench, g, 1)
        expect(memtype("north", "rom", "show").strip() == str(pages), "restored with other types")
        g.migrate("south", "--verify")
        expect(memtype("south", "rom", "show").strip() == str(pages), "migrated with other types")
        g.wait_more(5)
        g.expect_whole()


def test_streams_of_earlier_versions(bench):
    """What an older Godwit saved from a real guest runs here, and counts on where it stopped."""
    for packed in sorted(glob.glob(GOLDEN)):
        with tempfile.TemporaryDirectory() as folder, guest(bench, "golden", config=None) as g:
            path = os.path.join(folder, "x.save")
            subprocess.run(["zstd", "-q", "-d", packed, "-o", path], check=True)
            expect(bench.lab.put("north", [path], "/srv") == 0, "the stream could not be copied")
            bench.check("north", ["godwit", "restore", "/srv/x.save"])
            bench.check("north", "rm /srv/x.save")
            g.wait_count(15)
            wrong = [text for text in ticks.faults(g.console()) if not text.startswith("the count starts with")]
            expect(not wrong, "%s: %s" % (os.path.basename(packed), "; ".join(wrong)))


def save_checked(bench, name, path, *options):
    """Saves with sums of all pages, and returns what stream-check says of the file."""
    bench.check("north", ["godwit", "save", "-q", "--verify", *options, name, path], seconds=300)
    return json.loads(bench.check("north", ["godwit", "stream-check", "-q", "--json", path]))


def steps(console):
    """Where the guest has not counted on by one: (before, after)."""
    numbers = [int(n) for n, _ in ticks.TICK.findall(console)]
    return [(a, b) for a, b in zip(numbers, numbers[1:]) if b != a + 1]


def test_chain_of_saves_under_load(bench):
    """A live one, one since it, and a live one that ends the guest: restored from all, then from two."""
    with guest(bench, "links", **BUSY) as g:
        g.wait_count(3)
        full = save_checked(bench, "links", "/srv/a", "-c", "-l", "-i")
        g.wait_more(2)
        first = g.count()
        part = save_checked(bench, "links", "/srv/b", "-c", "-i", "--since", "/srv/a")
        last = g.count()
        expect(full["pages"] >= 4096 and 0 < part["pages"] < 2048, "%d and %d pages" % (full["pages"], part["pages"]))
        g.wait_more(2)
        save_checked(bench, "links", "/srv/c", "-l", "--since", "/srv/b")
        expect("links" not in guest_names(bench, "north"), "a saved guest is still there")
        bench.check("north", ["godwit", "restore", "--verify", "/srv/c"])  # finds the others by itself
        expect(g.footprint()["logdirty"] == 0, "a restored guest is logged")
        must_fail(bench, "north", "godwit save --since /srv/b links /srv/d", 7, "restored or moved", "take a full save")
        g.wait_more(5)
        g.expect_whole()
        bench.check("north", ["godwit", "destroy", "links"])
        bench.check("north", ["godwit", "restore", "--verify", "/srv/a", "/srv/b"])
        bench.wait("it counts again", lambda: steps(g.console()), g.console)
        g.wait_more(3)
        back = steps(g.console())
        expect(len(back) == 1 and first < back[0][1] <= last + 1, "%s, not one step back to %d..%d"
               % (back, first + 1, last + 1))
        expect(b"LOST" not in g.console(), "a page was lost")
    bench.check("north", "rm /srv/[abc]")


def test_full_disk_loses_no_guest(bench):
    """A save that does not fit leaves no part of a file and no log: the guest runs on."""
    with guest(bench, "unlucky", **BUSY) as g:
        g.wait_count(3)
        before = g.footprint()
        result = bench.run("north", "ulimit -f 2000; godwit save unlucky /srv/x.save")
        expect(result.returncode != 0, "a save that did not fit in 1 MB succeeded")
        bench.check("north", "mkdir -p /tmp/small && mount -t tmpfs -o size=1m none /tmp/small")
        try:
            for options in ("", "-c -l", "-c -i"):
                must_fail(bench, "north", "godwit save %s unlucky /tmp/small/x" % options, 1, "No space left", "runs on")
                g.expect_untouched(before)
            bench.check("north", "godwit save -c -i unlucky /srv/a")
            g.wait_more(2)
            must_fail(bench, "north", "godwit save -c -l -i --since /srv/a unlucky /tmp/small/x", 1, "No space left",
                      "runs on", "the next save must be a full one")
            must_fail(bench, "north", "godwit save --since /srv/a unlucky /srv/b", 7, "take a full save")
            g.expect_untouched(before)
            bench.check("north", "test -z \"$(ls -A /tmp/small)\"")
        finally:
            bench.check("north", "umount /tmp/small; rm -f /srv/a /srv/x.save")
        g.wait_more(5)
        g.expect_whole()


# Starts a save that stops at a step, sends signals to its worker and its guard, and waits for its end.
BREAK_OFF = """
GODWIT_FAIL_AT=save-round:stop godwit save -c -l -i broken /srv/k >/run/save.out 2>&1 &
guard=$!
until worker=$(cat /proc/$guard/task/$guard/children) && [ "$worker" ] && grep -q 'T (stopped)' /proc/${worker%% *}/status; do
    kill -0 $guard || exit 99
    sleep 0.1
done
kill -STOP $guard
%s
wait $guard
echo "ended with $?"
cat /run/save.out
"""


def test_saves_that_are_broken_off(bench):
    """By ^C and kill -9: nothing is left that stands in the way of the next save. A chain outlives the daemon."""
    with guest(bench, "broken", **BUSY) as g:
        g.wait_count(3)
        before = g.footprint()
        for signals, words in (("kill -INT $worker $guard; kill -CONT $guard $worker", ("runs on", "cancelled")),
                               ("kill -KILL $worker; kill -CONT $guard", ("killed by signal 9", "runs on"))):
            said = bench.check("north", BREAK_OFF % signals)
            expect(all(word in said for word in words), said)
            bench.check("north", "test -z \"$(ls /srv/k* 2>/dev/null)\"")
            g.expect_untouched(before)
        bench.check("north", BREAK_OFF % "kill -KILL $worker $guard")
        bench.check("north", "test -e /srv/k.partial -a ! -e /srv/k")
        g.expect_untouched(before)  # the daemon has seen it
        bench.check("north", "kill -STOP $(cat /run/godwit/godwitd.lock)")
        bench.check("north", BREAK_OFF % "kill -KILL $worker $guard")
        expect(g.footprint()["logdirty"] == 1, "a save without processes has switched its log off")
        save_checked(bench, g.name, "/srv/k", "-c")  # needs no log, and ends that one
        bench.check("north", "test ! -e /srv/k.partial")
        g.expect_untouched(before)
        bench.check("north", "kill -CONT $(cat /run/godwit/godwitd.lock)")
        save_checked(bench, g.name, "/srv/a", "-c", "-l", "-i")
        bench.check("north", "kill -9 $(cat /run/godwit/godwitd.lock); " + START)
        must_fail(bench, "north", "godwit save -c --since /srv/a broken /srv/a", 2, "based on itself")
        save_checked(bench, g.name, "/srv/b", "--since", "/srv/a")
        bench.check("north", "mkdir -p /tmp/big && mount -t tmpfs -o size=64m none /tmp/big && mv /srv/a /tmp/big")
        try:
            must_fail(bench, "north", "godwit restore /srv/b", 1, "needs a")
            bench.check("north", ["godwit", "restore", "--verify", "/tmp/big/a", "/srv/b"])
            must_fail(bench, "north", "godwit restore /tmp/big/a /srv/b", 7, "broken")
            g.wait_more(5)  # a killed daemon may take a line of the console with it
            expect(b"LOST" not in g.console(), "a page was lost")
        finally:
            bench.check("north", "umount /tmp/big; rm -f /srv/[kab]")


def test_chain_ends_with_its_host(bench):
    """A host that was started again has another log, whatever the guest's number is (--long)."""
    if not LONG:
        raise Skip("starts a host again: only with --long; test_log.c has the refusal")
    with guest(bench, "phoenix") as g:
        g.wait_count(3)
        save_checked(bench, g.name, "/srv/a", "-c", "-i")
        first = bench.check("north", ["godwit", "domid", g.name])
        bench.check("north", "sync; (poweroff)")
        bench.wait("power-off of north", lambda: "north" not in bench.lab.running(), bench.lab.running)
        bench.lab.restart("north")
        expect(g.name not in guest_names(bench, "north"), "a guest has outlived its host")
        for _ in range(int(first) - 1):  # numbers are given in turn
            with guest(bench, "filler"):
                pass
        bench.check("north", ["godwit", "restore", "--verify", "/srv/a"])
        expect(bench.check("north", ["godwit", "domid", g.name]) == first, "it has another number: this shows nothing")
        must_fail(bench, "north", "godwit save --since /srv/a phoenix /srv/b", 7, "this host was started after that save",
                  "take a full save")
        bench.check("north", "rm /srv/a")


def test_restore_on_the_other_host(bench):
    with guest(bench, "carried") as g:
        g.wait_count(3)
        bench.check("north", ["godwit", "save", "carried", "/srv/x.save"])
        bench.check("north", "ssh south 'cat >/srv/x.save' </srv/x.save", seconds=300)
        bench.check("south", ["godwit", "restore", "/srv/x.save"])
        g.moved("south")
        g.wait_more(5)
        g.expect_whole()
        for host in bench.hosts:
            bench.check(host, "rm /srv/x.save")
