# SPDX-License-Identifier: MIT
"""One lab: its folder, its hosts, and what can be done with them. Used by scripts/lab and the tests."""

import json
import os
import re
import select
import shlex
import shutil
import socket
import subprocess
import sys
import time

LAB = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(LAB)
sys.path.insert(0, LAB)
import cpio  # noqa: E402
import image  # noqa: E402

NAMES = ("north", "south", "east", "west", "dawn", "dusk", "noon", "night")
IMAGES = os.path.join(ROOT, "build/image")
HYPERVISOR = os.path.join(ROOT, "build/el2/hypervisor/godwit.bin")
MTU = 64000
# Where guest-loader puts the control domain's modules: past the tree, which QEMU puts at 128 MiB.
KERNEL_ADDRESS, INITRD_ADDRESS = 0x50000000, 0x54000000
QUIET_SECONDS = 60  # a booting host that prints nothing for so long, on a fast idle machine, hangs


class LabError(Exception):
    pass


def calibrate():
    """How much slower than a fast idle machine this one is now: 1.0 or more."""
    start = time.monotonic()
    total = 0
    for i in range(1_500_000):
        total += i & 7
    return max(1.0, (time.monotonic() - start) / 0.08)


def cpu_model(name):
    """QEMU's default pointer authentication for `max` is a slow cipher; no guest can tell."""
    return "max,pauth-impdef=on" if name == "max" else name


class Lab:
    def __init__(self, folder=None):
        folder = folder or os.environ.get("GODWIT_LAB") or os.path.join(ROOT, "build/lab")
        self.folder = os.path.abspath(folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    # -- what is there ---------------------------------------------------------------------------

    def settings(self):
        try:
            with open(self.path("lab.json")) as f:
                return json.load(f)
        except FileNotFoundError:
            raise LabError("no lab is up; start one with: scripts/lab up") from None

    def check_host(self, host):
        hosts = self.settings()["hosts"]
        if host not in hosts:
            raise LabError("no host %s; there are: %s" % (host, " ".join(hosts)))
        return hosts[host]

    def keeper(self, *words):
        """Sends one command to the keeper; None when there is no keeper."""
        try:
            with self.connect("control.sock", 60) as s:
                s.sendall((" ".join(words) + "\n").encode())
                answer = s.makefile().readline().strip()
        except OSError:
            return None
        if answer.startswith("error"):
            raise LabError(answer)
        return answer

    def connect(self, name, timeout=None):
        """Connects to a socket of the folder, whose full path may be longer than a socket's name may."""
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(timeout)
        fd = os.open(self.folder, os.O_PATH)
        try:
            s.connect("/proc/self/fd/%d/%s" % (fd, name))
        except OSError:
            s.close()
            raise
        finally:
            os.close(fd)
        return s

    def running(self):
        answer = self.keeper("running")
        return answer.split() if answer is not None else []

    # -- up and down -----------------------------------------------------------------------------

    def up(self, names, cpu="cortex-a72", smp=2, mem="1G", bare=False, owner=None, append="",
           control_mem="512M", say=lambda text: None):
        """Boots the hosts and waits until each runs its ssh server. Raises LabError otherwise.

        cpu: one model for all, or {host: model}.
        """
        if self.keeper("running") is not None:
            raise LabError("a lab is up already in %s; end it with: scripts/lab down" % self.folder)
        needed = [os.path.join(IMAGES, n) for n in ("control.cpio", "disk.img")]
        for path in needed + ([] if bare else [HYPERVISOR]):
            if not os.path.exists(path):
                raise LabError("%s is missing; build it with: scripts/build" % os.path.relpath(path))
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder, mode=0o700)
        self.make_keys()
        scale = calibrate()
        options = dict(cpu=cpu, smp=smp, mem=mem, bare=bare, append=append, control_mem=control_mem)
        hosts = {}
        for index, name in enumerate(names):
            self.make_files(name, index, names)
            own = dict(options, cpu=cpu[name] if isinstance(cpu, dict) else cpu)
            hosts[name] = {"argv": self.qemu(name, index, **own), "address": address(index)}
        with open(self.path("lab.json"), "w") as f:
            json.dump({"hosts": hosts, "options": options, "scale": scale}, f, indent=1)
        argv = [sys.executable, os.path.join(LAB, "keeper.py"), self.folder]
        with open(self.path("keeper.log"), "w") as log:
            subprocess.Popen(argv + ([str(owner)] if owner else []), stdin=subprocess.DEVNULL,
                             stdout=log, stderr=log, start_new_session=True)
        for name in names:
            say("waiting for %s" % name)
            self.wait_ready(name)

    def down(self):
        """Ends all hosts and the keeper; the logs stay. Ending a lab that is not up is no error."""
        try:
            with open(self.path("keeper.pid")) as f:
                pid = int(f.read())
            fd = os.pidfd_open(pid)
        except (OSError, ValueError):
            return
        for host in self.settings()["hosts"]:
            self.close_connection(host)
        if self.keeper("stop") is None:
            return
        select.select([fd], [], [], 30)  # readable once the keeper has ended
        os.close(fd)
        os.unlink(self.path("keeper.pid"))

    def restart(self, host):
        """Starts a host again that ended or was killed; its disk is kept."""
        self.check_host(host)
        self.close_connection(host)
        os.rename(self.path("console-%s.log" % host), self.path("console-%s.log.old" % host))
        self.keeper("start", host)
        self.wait_ready(host)

    def wait_ready(self, host):
        """Waits for the line that the control domain prints last, as long as its console goes on."""
        want = b"lab: %s is ready" % host.encode()
        text = self.wait_console(host, [want, b"Kernel panic", b"PANIC"])
        if want not in text:
            raise LabError("%s did not come up:\n%s" % (host, self.tail(host)))
        with open(self.path("port-%s" % host), "w") as f:
            f.write(str(self.forwarded_port(host)))

    def wait_console(self, host, patterns, start=0, quiet=None):
        """Waits until one of the byte strings is on the host's console; returns all of it from start."""
        quiet = (quiet or QUIET_SECONDS) * self.settings()["scale"]
        size, since = -1, time.monotonic()
        while True:
            text = self.console_text(host)[start:]
            if any(p in text for p in patterns):
                return text
            if len(text) != size:
                size, since = len(text), time.monotonic()
            if time.monotonic() - since > quiet:
                raise LabError("%s: nothing new on the console for %d s; its end:\n%s"
                               % (host, quiet, self.tail(host)))
            if host not in self.running() and time.monotonic() - since > 5:
                raise LabError("%s: QEMU has ended:\n%s" % (host, self.tail(host)))
            time.sleep(0.1)

    def console_text(self, host):
        try:
            with open(self.path("console-%s.log" % host), "rb") as f:
                return f.read()
        except FileNotFoundError:
            return b""

    def tail(self, host, lines=25):
        text = self.console_text(host).decode(errors="replace").splitlines()[-lines:]
        try:
            with open(self.path("qemu-%s.log" % host)) as f:
                text += f.read().splitlines()[-lines:]
        except FileNotFoundError:
            pass
        return "\n".join("    " + line for line in text)

    # -- making a host ---------------------------------------------------------------------------

    def make_keys(self):
        """One key to log in with and one host key, made for this lab and thrown away with it."""
        for name in ("login", "host"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f",
                            self.path(name)], check=True)
        subprocess.run(["dropbearconvert", "openssh", "dropbear", self.path("host"),
                        self.path("host.dropbear")], check=True, capture_output=True)
        with open(self.path("host.pub")) as f:
            key = " ".join(f.read().split()[:2])
        with open(self.path("known_hosts"), "w") as f:
            f.write("* %s\n" % key)
        self.host_key = key

    def make_files(self, name, index, names):
        """The host's own initramfs, that is the common one with keys and names after it, and its disk."""
        own = cpio.Archive()
        own.file("etc/dropbear/host_key", self.path("host.dropbear"), 0o600)
        own.directory("root", 0o700)
        own.directory("root/.ssh", 0o700)
        own.file("root/.ssh/authorized_keys", self.path("login.pub"), 0o600)
        own.file("root/.ssh/id_ed25519", self.path("login"), 0o600)
        own.text("root/.ssh/known_hosts", "".join("%s %s\n" % (n, self.host_key) for n in names)
                 + "".join("%s %s\n" % (address(i), self.host_key) for i in range(len(names))))
        own.text("etc/hosts", "127.0.0.1 localhost\n"
                 + "".join("%s %s\n" % (address(i), n) for i, n in enumerate(names)))
        with open(os.path.join(IMAGES, "control.cpio"), "rb") as f:
            common = f.read()
        with open(self.path("initrd-" + name), "wb") as f:
            f.write(common + b"\0" * (-len(common) % 512) + own.bytes())
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", os.path.join(IMAGES, "disk.img"),
                        self.path("disk-" + name)], check=True)

    def qemu(self, name, index, cpu, smp, mem, bare, append, control_mem):
        """The command line of one host. Paths are relative: QEMU runs in the lab's folder."""
        words = ["lab.host=" + name, "lab.address=" + address(index), "lab.mtu=%d" % MTU]
        argv = ["qemu-system-aarch64", "-nodefaults", "-display", "none", "-rtc", "clock=vm",
                "-machine", "virt,virtualization=%s,gic-version=3,its=off,dtb-randomness=off"
                % ("off" if bare else "on"),
                "-cpu", cpu_model(cpu), "-smp", str(smp), "-m", mem,
                "-chardev", "socket,id=console,path=console-%s.sock,server=on,wait=off,"
                "logfile=console-%s.log" % (name, name), "-serial", "chardev:console",
                "-qmp", "unix:qmp-%s.sock,server=on,wait=off" % name,
                "-netdev", "user,id=way-in,restrict=on,hostfwd=tcp:127.0.0.1:0-:22",
                "-device", "virtio-net-device,netdev=way-in,mac=52:54:00:57:00:%02x" % index,
                "-netdev", "stream,id=lab,server=off,addr.type=unix,addr.path=net-%s.sock" % name,
                "-device", "virtio-net-device,netdev=lab,mac=52:54:00:4c:00:%02x" % index,
                "-drive", "if=none,id=disk,format=raw,cache=unsafe,file=disk-" + name,
                "-device", "virtio-blk-device,drive=disk", "-device", "virtio-rng-device"]
        if bare:
            return argv + ["-kernel", image.kernel_image(), "-initrd", "initrd-" + name,
                           "-append", " ".join(["console=ttyAMA0"] + words + append.split())]
        words = ["console=hvc0"] + words
        return argv + ["-kernel", HYPERVISOR,
                       "-append", " ".join(["dom0_mem=" + control_mem] + append.split()),
                       "-device", "guest-loader,addr=%#x,kernel=%s,bootargs=%s"
                       % (KERNEL_ADDRESS, image.kernel_image(), " ".join(words)),
                       "-device", "guest-loader,addr=%#x,initrd=initrd-%s" % (INITRD_ADDRESS, name)]

    def forwarded_port(self, host):
        """Asks QEMU which port of the loopback it took for the way in."""
        with self.connect("qmp-%s.sock" % host, 30) as s:
            stream = s.makefile("rw")
            stream.readline()
            for command in ('{"execute":"qmp_capabilities"}',
                            '{"execute":"human-monitor-command",'
                            '"arguments":{"command-line":"info usernet"}}'):
                stream.write(command + "\n")
                stream.flush()
                answer = json.loads(stream.readline())
                while "event" in answer:
                    answer = json.loads(stream.readline())
        found = re.search(r"HOST_FORWARD.*127\.0\.0\.1\s+(\d+)", answer["return"])
        if not found:
            raise LabError("QEMU tells no forwarded port: " + answer["return"])
        return int(found.group(1))

    # -- working with a host ---------------------------------------------------------------------

    def ssh(self, host, *options):
        """The command that reaches a host's shell; the first use opens a connection that later ones share."""
        self.check_host(host)
        if host not in self.running():
            raise LabError("%s is not running" % host)
        with open(self.path("port-%s" % host)) as f:
            port = f.read()
        settings = ["UserKnownHostsFile=known_hosts", "GlobalKnownHostsFile=/dev/null",
                    "IdentitiesOnly=yes", "IdentityFile=login", "BatchMode=yes", "LogLevel=ERROR",
                    "ConnectTimeout=%d" % (30 * self.settings()["scale"]),
                    "ControlMaster=auto", "ControlPath=ssh-%s.sock" % host, "ControlPersist=600"]
        argv = ["ssh", "-F", "/dev/null", "-p", port]
        for setting in settings:
            argv += ["-o", setting]
        return argv + list(options) + ["root@127.0.0.1"]

    def close_connection(self, host):
        if os.path.exists(self.path("ssh-%s.sock" % host)):
            subprocess.run(["ssh", "-F", "/dev/null", "-o", "ControlPath=ssh-%s.sock" % host, "-O",
                            "exit", "root@127.0.0.1"], cwd=self.folder, capture_output=True, check=False)

    def run(self, host, command, **keywords):
        """Runs a command (list of words, or one string for the shell) and returns subprocess's result."""
        text = command if isinstance(command, str) else shlex.join(command)
        keywords.setdefault("cwd", self.folder)
        return subprocess.run(self.ssh(host, *keywords.pop("options", ())) + ["--", text],
                              check=False, **keywords)

    def put(self, host, files, folder):
        for path in files:
            if not os.path.exists(path):
                raise LabError("no such file: " + path)
        tar = subprocess.Popen(["tar", "-c", "--owner=0", "--group=0", "--transform", "s,^.*/,,", "-P",
                                "-h", "--"] + list(files), stdout=subprocess.PIPE)
        result = self.run(host, "mkdir -p {0} && tar -x -C {0}".format(shlex.quote(folder)),
                          stdin=tar.stdout)
        tar.stdout.close()
        return tar.wait() or result.returncode

    def get(self, host, files, folder):
        for path in files:
            target = os.path.join(folder, os.path.basename(path))
            with open(target, "wb") as f:
                status = self.run(host, ["cat", path], stdout=f).returncode
            if status != 0:
                os.unlink(target)
                return status
        return 0


def address(index):
    return "10.77.0.%d" % (index + 1)
