# SPDX-License-Identifier: MIT
"""Hosts whose CPUs differ: no guest moves between them, neither by a migration nor in a file."""

from guests import TWO_HOSTS, guest_names, must_fail
from harness import LONG, Skip, expect
from test_matrix import OTHER, Attempt, traveller

# Other hosts than those of other tests take a boot: with --long.
LAB = dict(TWO_HOSTS, cpu={"north": "cortex-a72", "south": "neoverse-n1"}) if LONG else TWO_HOSTS
REASON = "refused: the CPUs differ: ID_AA64"
NEXT_STEP = "it takes a host with CPUs of the same model"


def expect_refused(g):
    one = Attempt(g)
    said = one.end(10)
    expect(OTHER[g.host] + " " + REASON in said and NEXT_STEP in said and "runs on here" in said, said)
    report = one.report()
    expect((report["pages"], report["rounds"], report["bytes"] < 4096) == (0, [], True), "pages were sent: %s" % report)
    one.expect_undone()


def test_a_feature_is_lacking(bench):
    """Refused before a page is looked at, from the older CPU to the newer and back: both have what the other has not."""
    if not LONG:
        raise Skip("the long form boots hosts with different CPUs")
    for host in bench.hosts:
        with traveller(bench, "picky", host) as g:
            expect_refused(g)
            bench.check(host, "godwit save -c picky /srv/picky && ssh %s 'cat >/srv/picky' </srv/picky" % OTHER[host])
            must_fail(bench, OTHER[host], "godwit restore /srv/picky", 3, "the CPUs differ: ID_AA64", NEXT_STEP)
            expect(guest_names(bench, OTHER[host]) == ["Domain-0"], "it was restored")
