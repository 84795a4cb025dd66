# SPDX-License-Identifier: MIT
"""Migrations that meet, between whole hosts; the free pages of both are counted.

The whole table runs on fake hosts: docs/design/migration.md, "Failing on purpose".
"""

from guests import TWO_HOSTS, guest, nothing_leaks
from harness import expect

LAB = TWO_HOSTS

# Starts a migration that stops at a step, does something meanwhile, and lets it go on.
STOP_AND_GO = """
GODWIT_FAIL_AT=%(step)s:stop godwit migrate -s wire --max-rounds 3 --on-timeout stop %(name)s south >/run/matrix.out 2>&1 &
job=$!
until pid=$(grep -l '^State:.*T (stopped)' /proc/[0-9]*/status 2>/dev/null | head -n 1 | cut -d / -f 3) && [ "$pid" ]; do
    kill -0 $job || exit 99
    sleep 0.1
done
%(meanwhile)s
kill -CONT "$pid"
wait $job
status=$?
cat /run/matrix.out
exit $status
"""


def stop_and_go(g, step, meanwhile, *statuses):
    g.bench.run("south", ["wire", "--serve"])
    result = g.bench.run("north", STOP_AND_GO % {"step": step, "name": g.name, "meanwhile": meanwhile})
    said = result.stdout + result.stderr
    expect(result.returncode in statuses, "ended with %d, not one of %s:\n%s" % (result.returncode, statuses, said))
    return said


def expect_at_work(g, host):
    g.expect_only_at(host)
    g.wait_more(5)
    g.expect_whole()


def test_second_migration_of_a_guest(bench):
    with nothing_leaks(bench), guest(bench, "wanted", vcpus=2) as g:
        g.wait_count(3)
        said = stop_and_go(g, "source-round0", "godwit migrate -s wire wanted south 2>&1; echo ended with $?", 0)
        expect("ended with 7" in said and "wanted" in said, said)
        g.moved("south")
        expect_at_work(g, "south")


def test_crossing_guests(bench):
    """Each host sends the other a guest, at the same time."""
    start = ("wire --serve; (godwit migrate -s wire --verify --max-rounds 3 --on-timeout stop %s %s >/run/cross.out 2>&1;"
             " echo $? >/run/cross.status) </dev/null >/dev/null 2>&1 &")
    with nothing_leaks(bench), guest(bench, "eastward", vcpus=2) as a, \
            guest(bench, "westward", host="south", vcpus=2) as b:
        a.wait_count(3)
        b.wait_count(3)
        for host in bench.hosts:
            bench.check(host, "rm -f /run/cross.status; wire --serve")
        bench.check("north", start % ("eastward", "south"))
        bench.check("south", start % ("westward", "north"))
        for host in bench.hosts:
            bench.wait("%s has sent its guest" % host,
                       lambda at=host: bench.run(at, "cat /run/cross.status").stdout.strip(),
                       lambda at=host: bench.run(at, "tail -c 200 /run/cross.out; godwit list").stdout, seconds=60)
            expect(bench.check(host, "cat /run/cross.status").strip() == "0",
                   bench.run(host, "cat /run/cross.out").stdout)
        a.moved("south")
        b.moved("north")
        expect_at_work(a, "south")
        expect_at_work(b, "north")
