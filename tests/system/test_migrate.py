# SPDX-License-Identifier: MIT
"""Live migration between two hosts, and every way in which it may fail."""

import json
import os
import re
import subprocess
import tempfile
import time

from guests import LINUX, TWO_HOSTS, free_pages, guest
from harness import ROOT, expect

LAB = TWO_HOSTS


def check_report(report, verified=True):
    expect(report["result"] == "moved" and report["downtime_ms"] <= report["total_ms"], str(report))
    expect(not verified or report["verified_pages"] > 0, "no page was compared: %s" % report)


def move_once(bench, name, **keys):
    with guest(bench, name, **keys) as g:
        g.wait_count(5)
        check_report(g.migrate("south", "--verify"))
        g.expect_only_at("south")
        g.wait_more(5)
        g.expect_whole()


# Two that write are what all that fails below is tried again with; at full speed they are moved in test_chains.py.
def test_one_vcpu(bench):
    move_once(bench, "one", vcpus=1)


def test_two_vcpus_idle(bench):
    move_once(bench, "idle2", vcpus=2, extra="travel=idle")


def test_four_vcpus_writing(bench):
    move_once(bench, "four", vcpus=4)


def test_vcpus_not_started_yet(bench):
    with guest(bench, "late", vcpus=2, extra="travel=late") as g:
        g.wait_count(3)
        check_report(g.migrate("south", "--verify"))
        g.wait_count(45)
        expect(b"2 vCPUs now" in g.console(), "the late vCPU did not start")
        g.expect_whole()


def test_linux(bench):
    move_once(bench, "linux", config=LINUX)


def test_four_connections_compressed(bench):
    with guest(bench, "lanes", vcpus=2) as g:
        g.wait_count(3)
        check_report(g.migrate("south", "--verify", "--streams", "4", "--compress=1"))
        g.expect_only_at("south")
        g.wait_more(5)
        g.expect_whole()


def test_over_ssh(bench):
    with guest(bench, "secret") as g:
        g.wait_count(3)
        check_report(g.migrate_by_ssh("south", "--verify"))
        g.expect_only_at("south")
        g.wait_more(5)
        g.expect_whole()


def copy_keys(bench, host, folder):
    """Puts the keys of one role where godwit looks for them, and sets the clock that judges them."""
    script = ["date -s @%d >/dev/null" % time.time(), "umask 077", "rm -rf /etc/godwit/tls",
              "mkdir -p /etc/godwit/tls"]
    for name in ("ca.pem", "cert.pem", "key.pem"):
        with open(os.path.join(folder, name)) as f:
            script.append("cat >/etc/godwit/tls/%s <<'END'\n%sEND" % (name, f.read()))
    bench.check(host, "\n".join(script))


def test_over_tls(bench):
    """By certificates, through a receiver that goes on listening; a stranger's guest stays at home."""
    make_keys = os.path.join(ROOT, "toolstack/tests/migration/make_keys.sh")
    with tempfile.TemporaryDirectory() as keys, guest(bench, "sealed", vcpus=2) as g:
        subprocess.run([make_keys, keys], check=True)
        copy_keys(bench, "south", keys + "/south")
        bench.check("south", "setsid godwit migrate-receive --listen tls://:7700 >/dev/null 2>/run/receive.log"
                    " </dev/null & echo $! >/run/receive.pid")
        bench.wait("south listens", lambda: "listening on tls://" in bench.check("south", "cat /run/receive.log"))
        try:
            g.wait_count(3)
            copy_keys(bench, "north", keys + "/foreign")
            g.migrate_by_ssh("south", "--tls-name", "south.example", url="tls://south:7700", status=10)
            g.expect_only_at("north")
            copy_keys(bench, "north", keys + "/north")
            check_report(g.migrate_by_ssh("south", "--verify", "--tls-name", "south.example",
                                          url="tls://south:7700"))
            g.expect_only_at("south")
            g.wait_more(5)
            g.expect_whole()
        finally:
            log = bench.run("south", "kill $(cat /run/receive.pid); sleep 1; cat /run/receive.log").stdout
        for line in ("refused: the certificate of", "(north.example): received sealed", "stopped"):
            expect(line in log, "the receiver's log lacks \"%s\":\n%s" % (line, log))


def start_slowly(g, *options):
    """Moves it to south at 400 kB/s, which takes long, by a process of its own; returns when its memory is on the way."""
    g.bench.run("south", ["wire", "--serve"])
    g.bench.check("north", "setsid godwit migrate --json -s wire --verify --bandwidth 400kB/s %s %s south"
                  " >/run/moving.json 2>/run/moving.log </dev/null & echo $! >/run/moving.pid" % (" ".join(options), g.name))
    g.bench.wait("%s is on its way" % g.name, lambda: status(g).get("phase") == "rounds" and status(g)["bytes"] > 0,
                 lambda: str(status(g)))


def status(g):
    """What migrate-status says at north; nothing as long as it knows of none."""
    result = g.bench.run("north", ["godwit", "migrate-status", "--json", g.name])
    return json.loads(result.stdout) if result.returncode == 0 else {}


def report_of(g):
    """What the process has printed, once it has ended."""
    g.bench.wait("the migration ends", lambda: g.bench.run("north", "kill -0 $(cat /run/moving.pid)").returncode != 0,
                 lambda: str(status(g).get("bytes")))
    return json.loads(g.bench.check("north", "cat /run/moving.json"))


def test_changed_from_another_shell(bench):
    with guest(bench, "watched", vcpus=2) as g:
        g.wait_count(3)
        start_slowly(g, "--max-rounds 3 --on-timeout stop")
        before = status(g)
        expect(before["result"] == "active" and before["runs_at"] == "source", str(before))
        expect(before["limits"]["bandwidth_bytes_per_s"] == 400000, str(before["limits"]))
        bench.wait("more is sent", lambda: status(g)["bytes"] > before["bytes"], lambda: str(status(g)))
        force = json.loads(bench.check("north", ["godwit", "migrate-set", "--json", "--bandwidth", "unlimited", g.name]))
        expect(force["bandwidth_bytes_per_s"] == 0 and force["max_rounds"] == 3, str(force))
        report = report_of(g)
        check_report(report)
        speed = report["bytes"] * 1000 / report["total_ms"]
        expect(speed > 500000, "the limit was said to be off, but it sent %d bytes/s: %s" % (speed, report))
        g.moved("south")
        g.expect_only_at("south")
        expect(status(g) == report, "migrate-status differs from what migrate has printed")
        expect("-> south" in bench.check("north", ["godwit", "migrate-status", g.name]), "no destination")
        page = bench.check("north", "godwit migrate-status --json %s | godwit report -" % g.name)
        expect("</html>" in page and g.name in page, "no page was drawn: %s" % page[:200])
        g.wait_more(5)
        g.expect_whole()


def test_cancelled_from_another_shell(bench):
    with guest(bench, "stayer", vcpus=2) as g:
        g.wait_count(3)
        before = g.footprint()
        start_slowly(g)
        bench.check("north", ["godwit", "migrate-cancel", g.name])
        g.expect_only_at("north")
        report = report_of(g)
        g.expect_untouched(before)
        expect(report["result"] == "cancelled" and report["exit"] == 11 and report["runs_at"] == "source", str(report))
        bench.check("north", ["godwit", "migrate-cancel", g.name], status=7)
        g.wait_more(5)
        check_report(g.migrate("south", "--verify"))
        g.wait_more(5)
        g.expect_whole()


def ask(g, status=0):
    """What a dry run reports."""
    g.bench.run("south", ["wire", "--serve"])
    result = g.bench.run("north", ["godwit", "migrate", "--dry-run", "--json", "-s", "wire", g.name, "south"])
    expect(result.returncode == status, "ended with %d, not %d: %s%s"
           % (result.returncode, status, result.stdout, result.stderr))
    return json.loads(result.stdout)


def test_dry_run(bench):
    """It says what a migration would say, and neither host is as much as a page poorer."""
    with guest(bench, "asker", vcpus=2) as g:
        g.wait_count(3)
        before, free = g.footprint(), free_pages(bench, "south")
        report = ask(g)
        expect(report["result"] == "possible" and report["runs_at"] == "source" and report["pages"] == 0, str(report))
        g.expect_only_at("north")
        for key, says in ("name", "with the name"), ("uuid", "with the UUID"):
            value = re.search('"%s": *"([^"]*)"' % key, bench.check("north", ["godwit", "list", "-l", g.name])).group(1)
            name = g.name if key == "name" else "copy"
            bench.check("south", "godwit create -p /srv/guests/traveller.cfg 'name=\"%s\"' '%s=\"%s\"'" % (name, key, value))
            report = ask(g, status=7)
            expect(report["result"] == "refused" and says in report["error"], str(report))
            bench.check("south", ["godwit", "destroy", name])
        g.expect_untouched(before)
        bench.wait("south has its memory back", lambda: free_pages(bench, "south") == free,
                   lambda: free_pages(bench, "south"))
        g.wait_more(3)
        g.expect_whole()


def test_paused_stays_paused(bench):
    with guest(bench, "still") as g:
        g.wait_count(3)
        g.migrate("south", "-p")
        expect(g.state() == "paused", "state is %s" % g.state())
        bench.check("south", ["godwit", "unpause", "still"])
        g.wait_more(3)
        g.expect_whole()


def fail_and_retry(bench, name, spoil, status=10):
    """A migration that fails leaves the guest running, not logged; the next one succeeds."""
    with guest(bench, name, vcpus=2) as g:
        g.wait_count(3)
        free = free_pages(bench, "south")
        spoil(g, status)
        g.expect_only_at("north")
        expect(g.state() in ("running", "blocked", "runnable"), "state is %s" % g.state())
        g.wait_more(5)
        bench.wait("south has its memory back", lambda: free_pages(bench, "south") == free,
                   lambda: free_pages(bench, "south"))
        check_report(g.migrate("south", "--verify"))
        g.expect_only_at("south")
        g.wait_more(5)
        g.expect_whole()


def test_no_such_host(bench):
    fail_and_retry(bench, "nohost", lambda g, s: g.migrate_by_ssh("nowhere", status=s))


def test_transport_that_says_nonsense(bench):
    fail_and_retry(bench, "nonsense", lambda g, s: g.migrate(
        "south", "-s", "sh -c 'cat /dev/urandom | head -c 100000; cat >/dev/null'", status=s))


def cut_after(bytes_forward):
    """A transport that dies after so many bytes of the stream."""
    def spoil(g, status):
        g.bench.check("north", "printf '#!/bin/sh\\ndd bs=4096 count=%d iflag=count_bytes 2>/dev/null | wire \"$@\"\\n'"
                      " >/tmp/cut && chmod +x /tmp/cut; ssh south wire --serve"
                      % bytes_forward)
        g.migrate("south", "-s", "/tmp/cut", status=status)
    return spoil


def test_cut_in_the_headers(bench):
    fail_and_retry(bench, "cut1", cut_after(60))


def test_cut_in_the_first_round(bench):
    fail_and_retry(bench, "cut2", cut_after(500000))


def test_cut_late(bench):
    """Cut after as many bytes as the guest has memory that is not zero: in a later round or the last."""
    fail_and_retry(bench, "cut3", cut_after(4400000))


def test_name_taken_at_the_destination(bench):
    def spoil(g, status):
        other = guest(g.bench, "twin-other", host="south")
        with other:
            g.bench.check("south", "godwit create -p /srv/guests/traveller.cfg 'name=\"%s\"'" % g.name)
            g.migrate("south", status=status)
            g.bench.check("south", ["godwit", "destroy", g.name])
    fail_and_retry(bench, "twin", spoil)
