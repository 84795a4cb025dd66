# SPDX-License-Identifier: MIT
"""Save and restore on one host, and across hosts by file."""

import glob
import os
import subprocess
import tempfile

from guests import LINUX, TWO_HOSTS, free_pages, guest, guest_names
from harness import LONG, ROOT, expect
import ticks

LAB = TWO_HOSTS
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


def test_full_disk_loses_no_guest(bench):
    """The file cannot be written: the guest runs on."""
    with guest(bench, "unlucky") as g:
        g.wait_count(3)
        result = bench.run("north", "ulimit -f 2000; godwit save unlucky /srv/x.save")
        expect(result.returncode != 0, "a save that did not fit in 1 MB succeeded")
        g.wait_more(5)
        g.expect_whole()
        bench.check("north", "rm -f /srv/x.save")


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
