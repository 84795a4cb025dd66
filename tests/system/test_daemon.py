# SPDX-License-Identifier: MIT
"""What godwitd does: guests that end, consoles, its own end and return."""

import json

from guests import TRAVELLER, TWO_HOSTS, free_pages, guest, guest_names, must_fail
from harness import expect

LAB = TWO_HOSTS
ENDER = {"kernel": "/srv/guests/guest-ender.bin"}
START = "/usr/sbin/godwitd >>/var/log/godwitd 2>&1 </dev/null &"


def log(bench, name):
    return bench.check("north", "cat /var/log/godwit/%s.log 2>/dev/null || true" % name)


def ender(bench, name, **keys):
    """A guest that ends as it is told on its console."""
    return guest(bench, name, TRAVELLER, **ENDER, **keys)


def wait_up(bench, name, times=1):
    bench.wait("%s is up" % name, lambda: log(bench, name).count("ender is up") >= times,
               lambda: log(bench, name))


def tell(bench, name, word):
    bench.check("north", "(printf %s; sleep 2) | godwit console -t 2 %s >/dev/null" % (word, name))


def domid(bench, name):
    result = bench.run("north", ["godwit", "domid", name])
    return int(result.stdout) if result.returncode == 0 else None


def test_power_off_destroys(bench):
    before = free_pages(bench, "north")
    with ender(bench, "enda"):
        wait_up(bench, "enda")
        tell(bench, "enda", "p")
        bench.wait("the guest is gone", lambda: "enda" not in guest_names(bench, "north"))
        expect("powering off" in log(bench, "enda"), "its last words are not logged")
    bench.wait("all memory is free again", lambda: free_pages(bench, "north") == before,
               lambda: free_pages(bench, "north"))


def test_reboot_restarts(bench):
    with ender(bench, "endb"):
        wait_up(bench, "endb")
        first = domid(bench, "endb")
        bench.check("north", "godwit save -c -i endb /srv/endb")
        tell(bench, "endb", "r")
        wait_up(bench, "endb", 2)
        expect(domid(bench, "endb") not in (None, first), "not a new domain")
        must_fail(bench, "north", "godwit save -c --since /srv/endb endb /srv/next", 7, "was restarted", "take a full save")
        bench.check("north", "test ! -e /srv/next && rm /srv/endb")
        tell(bench, "endb", "s")
        bench.wait("it answers", lambda: "still there" in log(bench, "endb"), lambda: log(bench, "endb"))


def test_crash_is_preserved_if_wanted(bench):
    with ender(bench, "endc", on_crash="preserve") as g:
        wait_up(bench, "endc")
        tell(bench, "endc", "c")
        bench.wait("it has crashed", lambda: g.state() == "crashed", g.state)
        must_fail(bench, "north", ["godwit", "create", TRAVELLER, 'name="endc"'], 7, "endc")
        bench.check("north", ["godwit", "destroy", "endc"])


def test_second_daemon_refuses(bench):
    must_fail(bench, "north", "godwitd", 7, "another godwitd is running")


def test_daemon_is_killed_and_comes_back(bench):
    with ender(bench, "endd"), ender(bench, "ende"):
        wait_up(bench, "endd")
        wait_up(bench, "ende")
        bench.check("north", "kill -9 $(cat /run/godwit/godwitd.lock)")
        must_fail(bench, "north", "godwit console -t 1 endd </dev/null", 5, "godwitd")
        expect("endd" in guest_names(bench, "north"), "a guest is gone with the daemon")
        bench.check("north", START)
        bench.wait("the daemon is back", lambda: bench.run(
            "north", "godwit console -t 0.2 endd </dev/null").returncode == 0)
        tell(bench, "endd", "s")
        bench.wait("its console works", lambda: "still there" in log(bench, "endd"), lambda: log(bench, "endd"))
        tell(bench, "ende", "p")
        bench.wait("the other one's end is seen", lambda: "ende" not in guest_names(bench, "north"))


def test_guest_that_ends_without_daemon(bench):
    with ender(bench, "endf") as g:
        wait_up(bench, "endf")
        bench.check("north", ["godwit", "pause", "endf"])
        tell(bench, "endf", "p")  # waits in the console's ring
        bench.check("north", "kill -9 $(cat /run/godwit/godwitd.lock); godwit unpause endf")
        bench.wait("it has shut down", lambda: g.state() == "shutdown", g.state)
        bench.check("north", START)
        bench.wait("its end is seen", lambda: "endf" not in guest_names(bench, "north"))


def test_dirty_ends_politely(bench):
    with guest(bench, "writer", vcpus=2) as g:
        g.wait_count(2)
        out = bench.check("north", "godwit dirty -i 0.3 writer & p=$!; sleep 3; kill -INT $p; wait $p")
        expect("pages/s" in out, out)
        info = json.loads(bench.check("north", ["godwit", "info", "--json", "writer"]))
        expect(info["logdirty"] == 0, "logging is still on")
        g.wait_more(2)
        g.expect_whole()
