# SPDX-License-Identifier: MIT
"""Life of a guest on one host, by the commands of the toolstack."""

import json

from guests import LINUX, TWO_HOSTS, free_pages, guest, guest_names, list_json, must_fail
from harness import LONG, expect

LAB = TWO_HOSTS


def test_version(bench):
    out = bench.check("north", ["godwit", "version"])
    expect("hypervisor: Godwit" in out, out)


def test_devices_of_the_control_domain(bench):
    bench.check("north", "test -c /dev/xen/privcmd -a -c /dev/xen/hypercall -a -c /dev/xen/evtchn")
    expect(bench.check("north", ["nproc"]).strip() == "2", "the control domain has not two CPUs")


def test_create_list_destroy(bench):
    with guest(bench, "first") as one, guest(bench, "second") as two:
        one.wait_count(3)
        two.wait_count(3)
        expect({"first", "second"} <= set(guest_names(bench, "north")), "a guest is not listed")
        bench.check("north", ["godwit", "destroy", "first"])
        expect("first" not in guest_names(bench, "north"), "first is still listed")
        two.wait_more(3)
        two.expect_whole()


def test_pause_and_unpause(bench):
    with guest(bench, "sleeper") as g:
        g.wait_count(3)
        bench.check("north", ["godwit", "pause", "sleeper"])
        expect(g.state() == "paused", "state is %s" % g.state())
        bench.check("north", ["sleep", "1"])
        before = g.count()
        bench.check("north", ["sleep", "2"])
        expect(g.count() == before, "a paused guest counted on")
        bench.check("north", ["godwit", "unpause", "sleeper"])
        g.wait_more(3)
        g.expect_whole()


def test_linux_guest_and_power_key(bench):
    with guest(bench, "linux", LINUX) as g:
        g.wait_count(3)
        bench.check("north", ["godwit", "shutdown", "-w", "linux"], seconds=300)
        bench.wait("end of the guest", lambda: "linux" not in guest_names(bench, "north"))


def test_linux_guest_with_four_vcpus(bench):
    with guest(bench, "linux4", LINUX, vcpus=4) as g:
        g.wait_count(3)
        expect(b"with 4 CPUs" in g.console(), g.console()[-500:].decode(errors="replace"))


def test_console_takes_input(bench):
    with guest(bench, "talker", "/srv/guests/linux.cfg") as g:
        bench.wait("a shell", lambda: b"/ #" in g.console(), g.console)
        bench.check("north", "(sleep 1; echo 'echo 7 times 6 is $((7*6))'; sleep 3) |"
                    " godwit console -t 5 talker >/dev/null")
        bench.wait("the guest's answer", lambda: b"7 times 6 is 42" in g.console(), g.console)


def test_create_and_destroy_loses_no_memory(bench):
    with guest(bench, "warm") as g:
        g.wait_count(1)
    before = free_pages(bench, "north")
    bench.check("north", "for i in $(seq %d); do godwit create -p /srv/guests/traveller.cfg >/dev/null"
                " && godwit destroy traveller || exit 1; done" % (300 if LONG else 30), seconds=1800)
    bench.wait("all memory is free again", lambda: free_pages(bench, "north") == before,
               lambda: free_pages(bench, "north"))


def test_dirty_shows_written_pages(bench):
    with guest(bench, "writer", vcpus=2) as g:
        g.wait_count(3)
        lines = bench.check("north", ["godwit", "dirty", "-n", "3", "--json", "writer"]).splitlines()
        rows = [json.loads(line) for line in lines]
        expect(len(rows) == 3, "\n".join(lines))
        g.wait_more(3)
        g.expect_whole()


def test_tracking_is_chosen_and_shown(bench):
    with guest(bench, "chosen", logdirty="fault", logdirty_split="eager") as g:
        g.wait_count(3)
        info = json.loads(bench.check("north", ["godwit", "info", "--json", "chosen"]))
        expect((info["logdirty_tracking"], info["logdirty_split"]) == ("fault", "eager"), json.dumps(info))
        bench.check("north", ["godwit", "dirty", "-n", "1", "chosen"])
        g.wait_more(3)
        g.expect_whole()


def test_same_name_twice(bench):
    with guest(bench, "single"):
        must_fail(bench, "north", "godwit create /srv/guests/traveller.cfg 'name=\"single\"'", 7, "single")
        expect(guest_names(bench, "north").count("single") == 1, "two guests of one name")


def test_unknown_guest(bench):
    for verb in ("pause", "unpause", "destroy", "shutdown", "console", "domid", "dirty"):
        must_fail(bench, "north", ["godwit", verb, "nobody"], 8, "nobody")
    must_fail(bench, "north", ["godwit", "migrate", "nobody", "south"], 8, "nobody")


def test_listing_is_complete_json(bench):
    with guest(bench, "row", vcpus=3) as g:
        g.wait_count(1)
        row = [r for r in list_json(bench, "north") if r["name"] == "row"][0]
        expect(row["vcpus"] == 3 and row["memory_bytes"] >= 32 << 20, json.dumps(row))
