# SPDX-License-Identifier: MIT
"""The lab itself, without the hypervisor."""

import os
import signal
import subprocess
import sys
import tempfile
import time

from harness import ROOT, expect
import hosts

LAB = {"names": ["north", "south"], "bare": True, "smp": 1, "mem": "512M"}


def lab_command(bench, *words):
    return subprocess.run([os.path.join(ROOT, "scripts/lab"), *words], capture_output=True, text=True,
                          check=False, stdin=subprocess.DEVNULL,
                          env=dict(os.environ, GODWIT_LAB=bench.lab.folder))


def test_exec_passes_status_and_output(bench):
    result = lab_command(bench, "exec", "north", "--", "sh", "-c", "echo 'a  b'; echo err >&2; exit 7")
    expect(result.returncode == 7, "status %d, not 7" % result.returncode)
    expect(result.stdout == "a  b\n" and result.stderr == "err\n", repr(result))


def test_unknown_host_is_refused(bench):
    result = lab_command(bench, "exec", "nowhere", "--", "true")
    expect(result.returncode == 1 and "no host nowhere" in result.stderr, repr(result))


def test_a_word_that_names_no_test_is_refused(_bench):
    """A typing error must not look like a run in which nothing failed."""
    result = subprocess.run([os.path.join(ROOT, "tests/system/run"), "-k", "no-such-test", "matrix", "save"],
                            capture_output=True, text=True, check=False)
    expect(result.returncode == 2 and 'no test has "no-such-test" in its name' in result.stderr, repr(result))


def test_put_and_get(bench):
    with tempfile.TemporaryDirectory() as folder:
        name = os.path.join(folder, "data")
        with open(name, "wb") as f:
            f.write(os.urandom(1 << 20))
        expect(lab_command(bench, "put", "north", name, "/tmp/there").returncode == 0, "put failed")
        os.rename(name, name + ".sent")
        expect(lab_command(bench, "get", "north", "/tmp/there/data", folder).returncode == 0, "get failed")
        with open(name, "rb") as a, open(name + ".sent", "rb") as b:
            expect(a.read() == b.read(), "the file came back different")


def test_hosts_reach_each_other_by_name(bench):
    out = bench.check("north", ["ssh", "-o", "BatchMode=yes", "-l", "root", "south", "hostname"])
    expect(out == "south\n", "south calls itself %r" % out)
    bench.check("south", ["ssh", "-T", "root@north", "exit 5"], status=5)


def test_unplugged_cable(bench):
    bench.lab.keeper("link", "south", "off")
    result = bench.run("north", ["ping", "-c", "1", "-W", "1", "south"])
    bench.lab.keeper("link", "south", "on")
    expect(result.returncode == 1, "a ping came through an unplugged cable")
    bench.check("north", ["ping", "-c", "3", "-W", "3", "south"])


def test_power_off_and_start_keep_the_disk(bench):
    bench.check("south", "echo kept >/srv/note && (poweroff)")
    bench.wait("power-off of south", lambda: bench.lab.running() == ["north"])
    bench.lab.restart("south")
    expect(bench.check("south", ["cat", "/srv/note"]) == "kept\n", "the note is gone")


def test_reboot(bench):
    seen = len(bench.lab.console_text("south"))
    bench.check("south", "(reboot)")
    bench.lab.wait_console("south", [b"lab: south is ready"], start=seen)
    bench.lab.close_connection("south")
    bench.check("south", "true")


def test_nothing_survives_a_killed_owner(bench):
    """A process that owns a lab is killed without a chance to clean up."""
    with tempfile.TemporaryDirectory() as folder:
        program = ("import sys; sys.path.insert(0, %r); import hosts, os, time; "
                   "hosts.Lab(%r).up(['north'], bare=True, smp=1, mem='512M', owner=os.getpid()); "
                   "print('up', flush=True); time.sleep(600)" % (os.path.join(ROOT, "lab"), folder))
        owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        expect(owner.stdout.readline() == "up\n", "the lab did not come up")
        lab = hosts.Lab(folder)
        expect(lab.running() == ["north"], "north is not running")
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        bench.wait("end of the orphaned hosts", lambda: not processes_naming(folder))


def test_nothing_survives_a_killed_keeper(bench):
    with tempfile.TemporaryDirectory() as folder:
        lab = hosts.Lab(folder)
        lab.up(["north"], bare=True, smp=1, mem="512M", owner=os.getpid())
        with open(lab.path("keeper.pid")) as f:
            os.kill(int(f.read()), signal.SIGKILL)
        bench.wait("end of the hosts", lambda: not processes_naming(folder))
        time.sleep(0.1)


def processes_naming(folder):
    """Processes that work in a folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink("/proc/%s/cwd" % pid) == os.path.realpath(folder):
                found.append(pid)
        except OSError:
            pass
    return found
