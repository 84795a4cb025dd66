# SPDX-License-Identifier: MIT
"""Xen's hypercalls through the distribution's libxenctrl: runs the cases of xenctrl-tests one by one."""

import os

from guests import TWO_HOSTS
from harness import LONG, ROOT, Failure

LAB = TWO_HOSTS  # one would do, but these are up for others
PROGRAM = os.path.join(ROOT, "build/dom0/tests/system/xenctrl/xenctrl-tests")


def cases(bench):
    """(name, test) of each case that the program has."""
    if bench.lab.put("north", [PROGRAM], "/tmp") != 0:
        raise Failure("the test program could not be copied")
    for name in bench.check("north", ["/tmp/xenctrl-tests", "--list"]).split():
        yield name, lambda b, n=name: run_case(b, n)


def run_case(bench, name):
    if bench.run("north", ["test", "-x", "/tmp/xenctrl-tests"]).returncode != 0:
        bench.lab.put("north", [PROGRAM], "/tmp")
    result = bench.run("north", ("GODWIT_TEST_LONG=1 " if LONG else "") + "/tmp/xenctrl-tests " + name,
                       seconds=3600 if LONG else 180)
    if result.returncode != 0 or "PASS " + name not in result.stdout:
        raise Failure("status %d\n%s%s" % (result.returncode, result.stdout, result.stderr))
