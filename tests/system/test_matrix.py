# SPDX-License-Identifier: MIT
"""What breaks a migration between whole hosts, and what comes of it: one copy of the guest, and nothing left behind.

The whole table runs on fake hosts: docs/design/migration.md, "Failing on purpose".
"""

import contextlib
import json
import re

from guests import TWO_HOSTS, free_pages, guest, guest_names, nothing_leaks
from harness import LONG, expect

LAB = TWO_HOSTS
LIMITS = "--max-rounds 3 --on-timeout stop"
# Where a worker is killed, or a guest destroyed: at each step with --long.
SOURCE_STEPS = ["source-final"] + LONG * ["source-head", "source-log", "source-round0", "source-state", "source-end",
                                          "source-ready"]
DESTINATION_STEPS = ["dest-pages"] + LONG * ["dest-config", "dest-created", "dest-accept", "dest-state", "dest-ready"]
OTHER = {"north": "south", "south": "north"}
RESERVED_PAGES = 1024  # that no guest gets
STANDS = "grep -l '^State:.*T (stopped)' $(pidof godwit | sed 's,[0-9][0-9]*,/proc/&/status,g') </dev/null 2>/dev/null"
# A migration by itself, in the small group if there is one; it fails at the step that is named, or at none.
BEGIN = """
rm -f /run/matrix.*
(test ! -d /run/groups/small || echo 0 >/run/groups/small/cgroup.procs
 GODWIT_FAIL_AT=%s godwit migrate --json -s wire %s %s %s >/run/matrix.json 2>/run/matrix.log
 echo $? >/run/matrix.status) </dev/null >/dev/null 2>&1 &
"""


# With what the daemon has open, and how often it had to clear away what a receiver left.
LOOK = """godwit info --json && godwit list --json &&
echo "; $(pidof godwit); $(ls /proc/$(pidof godwitd)/fd | wc -l); $(grep -c 'left behind' /var/log/godwitd)" """


def look(bench, host):
    """What a migration that failed may not change on a host."""
    said = bench.check(host, LOOK)
    info, end = json.JSONDecoder().raw_decode(said)
    rows, last = json.JSONDecoder().raw_decode(said[end:].lstrip())
    processes, descriptors, cleared = said[end:].lstrip()[last:].split(";")[1:]
    return {"free_bytes": info["free_bytes"], "processes": processes.split(), "descriptors": int(descriptors),
            "cleared": int(cleared), "guests": sorted((row["name"], row["state"] == "paused") for row in rows["guests"])}


class Attempt:
    """A migration to the other host that does not go well. It must leave everything as it was."""

    def __init__(self, g, options="", source="", destination=""):
        self.g, self.bench, self.here, self.there = g, g.bench, g.host, OTHER[g.host]
        self.footprint = g.footprint()
        self.hosts = g.bench.each(lambda host: look(g.bench, host))
        self.bench.run(self.there, "printf '%s' '" + destination + "' >/run/wire.fail; wire --serve")
        self.bench.check(self.here, BEGIN % (source, LIMITS + " " + options, g.name, self.there))

    def wait_standing(self, host):
        """Until a process of the migration stands still there, as its step asks."""
        self.bench.wait("a process at %s stands still" % host, lambda: self.bench.run(host, STANDS).stdout.strip(),
                        lambda: self.bench.run(self.here, "cat /run/matrix.log").stdout)

    def end(self, *statuses, silent=0):
        """Waits for its end, also if nothing is to be seen for so many seconds; returns what it said."""
        self.bench.wait("the migration ends",
                        lambda: self.bench.run(self.here, "test -s /run/matrix.status").returncode == 0,
                        lambda: self.bench.run(self.here, "cat /run/matrix.log").stdout, 30 + silent)
        self.bench.run(self.there, "rm -f /run/wire.fail")
        status = int(self.bench.check(self.here, "cat /run/matrix.status"))
        said = self.bench.check(self.here, "cat /run/matrix.log")
        expect(status in statuses, "ended with %d, not %s: %s" % (status, statuses, said))
        return said

    def report(self):
        return json.loads(self.bench.check(self.here, "cat /run/matrix.json"))

    def expect_as_before(self, host, cleared=(0,)):
        """Nothing is left of it there, and the daemon had to clear as often as is allowed."""
        wanted, now = dict(self.hosts[host]), [None]
        before = wanted.pop("cleared")

        def same():
            now[0] = look(self.bench, host)
            return now[0].pop("cleared") - before in cleared and now[0] == wanted
        self.bench.wait("%s is as before: %s" % (host, self.hosts[host]), same, lambda: now[0])

    def expect_undone(self, cleared=(0,)):
        """The guest runs on as before it, and nothing is left anywhere."""
        self.g.expect_untouched(self.footprint)
        self.expect_as_before(self.here)
        self.expect_as_before(self.there, cleared)
        self.g.wait_more(3)
        self.g.expect_whole()


def carry(g):
    """A migration that succeeds, with every page compared."""
    one = Attempt(g, "--verify")
    one.end(0)
    report = one.report()
    expect(report["verified_pages"] == report["memory_pages"], "not all pages were compared: %s" % report)
    g.moved(one.there)


def move(g, footprint):
    """The next migration succeeds, and the guest is in as many blocks there as it was here."""
    carry(g)
    expect_at_work(g, g.host)
    after = dict(g.footprint(), free_bytes=footprint["free_bytes"])
    expect(after == footprint, "%s was %s, and is %s" % (g.name, footprint, after))


def expect_at_work(g, host):
    g.expect_only_at(host)
    g.wait_more(3)
    g.expect_whole()


@contextlib.contextmanager
def traveller(bench, name, host="north"):
    with nothing_leaks(bench), guest(bench, name, host=host, vcpus=2) as g:
        g.wait_count(3)
        yield g


def test_second_migration_of_a_guest(bench):
    with traveller(bench, "wanted") as g:
        first = Attempt(g, source="source-round0:stop")
        first.wait_standing("north")
        second = bench.run("north", "godwit migrate -s wire wanted south")
        expect(second.returncode == 7 and "wanted is being migrated already" in second.stderr, "ended with %d: %s"
               % (second.returncode, second.stderr))
        bench.check("north", "killall -CONT godwit")
        first.end(0)
        g.moved("south")
        expect_at_work(g, "south")


def test_crossing_guests(bench):
    """Each host sends the other a guest, and both are on their way at the same time."""
    with nothing_leaks(bench), guest(bench, "eastward", vcpus=2) as a, \
            guest(bench, "westward", host="south", vcpus=2) as b:
        a.wait_count(3)
        b.wait_count(3)
        both = [Attempt(g, "--verify", source="source-round0:stop") for g in (a, b)]
        for one in both:
            one.wait_standing(one.here)
        at = bench.each(lambda host: sorted(guest_names(bench, host)))
        expect(at == {"north": ["Domain-0", "eastward", "westward--incoming"],
                      "south": ["Domain-0", "eastward--incoming", "westward"]}, "they do not meet: %s" % at)
        bench.each(lambda host: bench.check(host, "killall -CONT godwit"))
        for one in both:
            one.end(0)
            one.g.moved(one.there)
        for one in both:
            expect_at_work(one.g, one.there)


def test_receiver_stands_still(bench):
    """The source gives up. What stands there then goes on, finds nobody, and leaves nothing."""
    seconds = 60 if LONG else 4
    with traveller(bench, "patient") as g:
        one = Attempt(g, "--stall %d" % seconds, destination="dest-pages:stop")
        one.wait_standing("south")
        said = one.end(10, silent=seconds)
        expect('south did not answer for %d s; "patient" runs on here' % seconds in said, said)
        g.expect_untouched(one.footprint)
        g.wait_more(3)
        expect("patient--incoming" in guest_names(bench, "south"), "the receiver did not stand still")
        bench.check("south", "while pidof godwit; do killall -CONT godwit; sleep 0.1; done >/dev/null 2>&1")
        one.expect_undone()
        move(g, one.footprint)


def test_killed_sender(bench):
    """Its worker, with the guest stopped: it runs on. All of it: the guest waits for the operator."""
    with traveller(bench, "orphan") as g:
        for step in SOURCE_STEPS:
            one = Attempt(g, source=step + ":kill")
            said = one.end(10)
            expect('killed by signal 9; "orphan" runs on here' in said, said)
            one.expect_undone()
        held = Attempt(g, source="source-final:stop")
        held.wait_standing("north")
        bench.check("north", "killall -9 godwit")
        held.end(137)
        expect("were killed" in bench.run("north", ["godwit", "migrate-status", g.name]).stdout, "nobody knows of it")
        expect(g.state() == "paused", "it is %s" % g.state())
        bench.check("north", ["godwit", "unpause", g.name])
        move(g, one.footprint)


def test_killed_receiver(bench):
    """Its worker: the other process says so. All of it: the daemon there destroys what there is."""
    with traveller(bench, "unwanted") as g:
        for step in DESTINATION_STEPS:
            one = Attempt(g, destination=step + ":kill")
            said = one.end(10)
            expect("south refused: receiving was killed by signal 9" in said, said)
            one.expect_undone(cleared=(0, 1))  # it may be faster than the other process
        one = Attempt(g, destination="dest-state:stop")
        one.wait_standing("south")
        bench.check("south", "killall -9 godwit")
        said = one.end(10)
        expect("the connection to south ended" in said, said)
        one.expect_undone(cleared=(1,))
        move(g, one.footprint)


def missing_mebibytes(said):
    """What the destination lacks, as it says itself."""
    found = re.search(r"south refused: not enough memory on this host: (\d+) MiB are missing; end or move another of its "
                      r'guests first; "big" runs on here', said)
    expect(found, said)
    return int(found.group(1))


def test_no_room_at_the_destination(bench):
    """Refused before a page is looked at; with --long also where there is no room for its tables."""
    with traveller(bench, "big") as g:
        needed = g.pages()
        for left in [24] + LONG * [0]:  # MiB; each of the hog has half a page of tables, and 40 are its own
            hog = int((free_pages(bench, "south") - 40 - left * 256) / 256.5)
            with guest(bench, "hog", host="south", memory=hog):
                free = free_pages(bench, "south")
                one = Attempt(g)
                missing = missing_mebibytes(one.end(10))
                lacking = (needed + RESERVED_PAGES - free) / 256
                expect(lacking - 1 < missing < lacking + 2, "%d MiB are missing, not %.1f" % (missing, lacking))
                report = one.report()
                expect((report["pages"], report["rounds"], report["bytes"] < 4096) == (0, [], True), "pages were sent: %s" % report)
                one.expect_undone()
        move(g, one.footprint)


def tell(bench, host, name, word):
    bench.check(host, "(printf %s; sleep 0.3) | godwit console -t 0.3 %s >/dev/null" % (word, name))


def log_of(bench, host, name):
    return bench.check(host, "cat /var/log/godwit/%s.log 2>/dev/null || true" % name)


def domid(bench, host, name):
    return int(bench.run(host, ["godwit", "domid", name]).stdout or 0)


def meanwhile(g, step, act, ended, *statuses):
    """Its guest ends while the migration stands at a step; nothing is left at the destination."""
    one = Attempt(g, source=step + ":stop")
    one.wait_standing(g.host)
    act()
    g.bench.wait("the host has seen its end", ended)
    g.bench.check(g.host, "killall -CONT godwit")
    said = one.end(*statuses)
    one.expect_as_before(one.there)
    expect(one.report()["result"] == "failed", "it is said to be %s" % one.report()["result"])
    return said


def test_guest_that_ends_meanwhile(bench):
    """It crashes and is started again, shuts down, or is destroyed: it never comes to life there."""
    with nothing_leaks(bench), guest(bench, "mortal", kernel="/srv/guests/guest-ender.bin", on_crash="restart") as g:
        bench.wait("it is up", lambda: "ender is up" in log_of(bench, "north", g.name))
        first, before = domid(bench, "north", g.name), g.footprint()
        said = meanwhile(g, "source-round0", lambda: tell(bench, "north", g.name, "c"),
                         lambda: domid(bench, "north", g.name) not in (0, first), 7, 8)
        expect("has ended" in said or "has shut down" in said, said)
        bench.wait("it is up again", lambda: log_of(bench, "north", g.name).count("ender is up") == 2)
        expect(g.footprint() == before, "the new one is %s, the first was %s" % (g.footprint(), before))
        carry(g)
        tell(bench, "south", g.name, "s")
        bench.wait("it answers", lambda: "still there" in log_of(bench, "south", g.name))
        carry(g)
        meanwhile(g, "source-round0", lambda: tell(bench, "north", g.name, "p"),
                  lambda: domid(bench, "north", g.name) == 0, 7, 8)
    for step in SOURCE_STEPS if LONG else ["source-ready"]:
        with traveller(bench, "victim") as g:
            meanwhile(g, step, lambda: bench.check("north", "godwit destroy victim"),
                      lambda: "victim" not in guest_names(bench, "north"), 7, 8)


# The way in must not go first when there is too little.
SQUEEZE = """
for p in $(pidof dropbear); do echo -1000 >/proc/$p/oom_score_adj; done
free=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
mkdir -p /run/hog && mount -t tmpfs -o size=100%% hog /run/hog
dd if=/dev/zero of=/run/hog/hog bs=1M count=$((free - %d)) 2>/dev/null
"""


@contextlib.contextmanager
def squeezed(bench, mebibytes):
    """Control domains with so little memory left."""
    try:
        bench.each(lambda host: bench.check(host, SQUEEZE % mebibytes))
        yield
    finally:
        bench.each(lambda host: bench.run(host, "umount /run/hog"))


def test_little_memory_in_the_control_domains(bench):
    """A migration takes less than 24 MiB on each side. With some less the network of the lab stands still."""
    with traveller(bench, "squeezed") as g:
        footprint = g.footprint()
        with squeezed(bench, 24):
            carry(g)
        expect_at_work(g, "south")
        move(g, footprint)


GROUPS = """
mkdir -p /run/groups && mount -t cgroup2 none /run/groups && echo +memory >/run/groups/cgroup.subtree_control
mkdir /run/groups/small /run/groups/tiny && echo %d >/run/groups/tiny/memory.max
wire --serve && cat /run/wire.pid >/run/groups/small/cgroup.procs"""
UNGROUP = """
cat /run/wire.pid >/run/groups/cgroup.procs
while ! rmdir /run/groups/small /run/groups/tiny; do sleep 0.1; done; umount /run/groups"""
TINY = 65536


@contextlib.contextmanager
def groups(bench):
    """What a migration takes of a control domain's memory is counted; who is moved to the tiny group gets no more."""
    try:
        bench.each(lambda host: bench.check(host, GROUPS % TINY))
        yield
    finally:
        bench.each(lambda host: bench.run(host, UNGROUP))


def starve(bench, host):
    """Goes on with what stands still, which dies of the next memory that it wants."""
    stopped = re.search(r"/proc/(\d+)/status", bench.check(host, STANDS)).group(1)
    bench.check(host, "echo %s >/run/groups/tiny/cgroup.procs && kill -CONT %s" % (stopped, stopped))


def test_memory_runs_out(bench):
    """A migration has its share, and no more; when one side does not get it, the guest is as before."""
    with traveller(bench, "starved") as g, groups(bench):
        carry(g)
        peaks = bench.each(lambda host: int(bench.check(host, "cat /run/groups/small/memory.peak")))
        expect(max(peaks.values()) < 16 << 20, "a migration takes %s bytes" % peaks)
        for role, step in (("source", "source-log"), ("destination", "dest-created")):
            one = Attempt(g, "--verify", **{role: step + ":stop"})
            host = one.here if role == "source" else one.there
            one.wait_standing(host)
            starve(bench, host)
            said = one.end(10)
            expect("killed by signal 9" in said and "runs on here" in said, said)
            expect("oom_kill 0" not in bench.check(host, "cat /run/groups/tiny/memory.events"), "memory did not run out")
            one.expect_undone(cleared=(0, 1))
        move(g, one.footprint)
