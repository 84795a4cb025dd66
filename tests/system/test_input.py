# SPDX-License-Identifier: MIT
"""Bad input to the toolstack: a clear error each time, nothing left behind."""

import json

from guests import TWO_HOSTS, free_pages, guest, guest_names, must_fail
from harness import expect

LAB = TWO_HOSTS
GOOD = "name=\"x\"\nkernel=\"/srv/guests/guest-traveller.bin\"\nmemory=32\nvcpus=1\n"


def create(bench, text, status, *words):
    bench.check("north", "cat >/tmp/x.cfg <<'END'\n%sEND" % text)
    must_fail(bench, "north", "godwit create -p /tmp/x.cfg", status, *words)
    expect("x" not in guest_names(bench, "north"), "a guest was made")


def test_configs_name_the_line(bench):
    create(bench, GOOD + "colour=\"red\"\n", 6, "colour", "5")
    create(bench, GOOD + "memory=\n", 6, "5")
    create(bench, GOOD + "vif=[ 'mac=00:16:3e:00:00:01' ]\n", 6, "vif", "5")
    create(bench, GOOD + "vcpus=\"many\"\n", 6, "vcpus")
    create(bench, GOOD.replace("vcpus=1", "vcpus=1000"), 6, "vcpus")
    create(bench, GOOD.replace("memory=32", "memory=0"), 6, "memory")
    create(bench, "name=\"x\"\n", 6, "kernel")
    create(bench, GOOD + "logdirty=\"dbm\"\n", 6, "x.cfg:5", "logdirty")
    create(bench, GOOD + "logdirty_split=\"hardware\"\n", 6, "x.cfg:5", "logdirty_split")


def test_tracking_that_the_cpus_lack(bench):
    host = json.loads(bench.check("north", ["godwit", "info", "--json"]))
    expect(host["host_tracking"] == "fault", "this test needs CPUs without hardware dirty state: %s" % host)
    before = free_pages(bench, "north")
    create(bench, GOOD + "logdirty=\"hardware\"\n", 3, "FEAT_HAFDBS", "auto")
    bench.wait("all memory is free again", lambda: free_pages(bench, "north") == before,
               lambda: free_pages(bench, "north"))


def test_config_of_garbage(bench):
    bench.check("north", "head -c 3000 /dev/urandom >/tmp/x.cfg")
    must_fail(bench, "north", "godwit create /tmp/x.cfg", 6, "x.cfg")
    must_fail(bench, "north", "godwit create /tmp/no-such.cfg", 6, "no-such.cfg")


def kernel(bench, make, *words):
    bench.check("north", make)
    result = must_fail(bench, "north", "godwit create -p /srv/guests/traveller.cfg 'name=\"x\"'"
                       " 'kernel=\"/tmp/kernel\"'", 1, *words)
    expect("x" not in guest_names(bench, "north"), "a guest was made: " + result)


def test_kernels_that_cannot_be_loaded(bench):
    before = free_pages(bench, "north")
    kernel(bench, "rm -f /tmp/kernel", "/tmp/kernel")
    kernel(bench, ": >/tmp/kernel", "/tmp/kernel")
    kernel(bench, "head -c 40 /srv/guests/linux >/tmp/kernel; truncate -s 100M /tmp/kernel", "/tmp/kernel")
    kernel(bench, "printf '\\037\\213\\010\\000garbage-after-a-gzip-header' >/tmp/kernel", "/tmp/kernel")
    bench.check("north", "rm /tmp/kernel")
    bench.wait("all memory is free again", lambda: free_pages(bench, "north") == before,
               lambda: free_pages(bench, "north"))


def test_ramdisk_that_does_not_fit(bench):
    bench.check("north", "truncate -s 64M /tmp/ramdisk")
    must_fail(bench, "north", "godwit create -p /srv/guests/traveller.cfg 'name=\"x\"'"
              " 'ramdisk=\"/tmp/ramdisk\"'", 1, "/tmp/ramdisk")
    expect("x" not in guest_names(bench, "north"), "a guest was made")


def test_more_memory_than_there_is(bench):
    before = free_pages(bench, "north")
    result = bench.run("north", "godwit create -p /srv/guests/traveller.cfg 'name=\"x\"' memory=100000")
    expect(result.returncode == 1 and "x" not in guest_names(bench, "north"), result.stdout + result.stderr)
    bench.wait("all memory is free again", lambda: free_pages(bench, "north") == before,
               lambda: free_pages(bench, "north"))


def restore(bench, make):
    bench.check("north", make)
    result = bench.run("north", "godwit restore /tmp/x.save")
    expect(result.returncode not in (0, 139, 134) and result.stderr, "status %d, said: %s"
           % (result.returncode, result.stderr))
    expect("x" not in guest_names(bench, "north"), "a guest was made of " + make)


def test_streams_that_are_damaged(bench):
    with guest(bench, "x") as g:
        g.wait_count(3)
        bench.check("north", "godwit save x /tmp/good.save")
        before = free_pages(bench, "north")
        size = int(bench.check("north", "stat -c %s /tmp/good.save"))
        restore(bench, "head -c 100000 /dev/urandom >/tmp/x.save")
        for part in (0, 10, 24, 40, 100, size // 3, size // 2, size - 1):
            restore(bench, "head -c %d /tmp/good.save >/tmp/x.save" % part)
        for at in (0, 9, 30, 41, 45, 60, size - 20, size - 9):
            restore(bench, "cp /tmp/good.save /tmp/x.save; printf '\\377\\177' |"
                    " dd of=/tmp/x.save bs=1 seek=%d conv=notrunc 2>/dev/null" % at)
        bench.wait("all memory is free again", lambda: free_pages(bench, "north") == before,
                   lambda: free_pages(bench, "north"))
        bench.check("north", "godwit restore /tmp/good.save && rm /tmp/good.save /tmp/x.save")
        g.wait_more(3)
