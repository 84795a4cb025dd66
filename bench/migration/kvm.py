# SPDX-License-Identifier: MIT
"""The guest on two Linux hosts, under Debian's QEMU with KVM."""

import json
import os
import select
import subprocess
import time

from . import pair
from .images import COMMAND_LINE, GUEST_MIB, OUT, QEMU, Failed

import image  # noqa: E402  (lab/)

HANDLER = "kvm_handle_guest_abort"
QMP_PORT, MIGRATION_PORT = 4444, 4445
PROGRAM = "LD_LIBRARY_PATH=/srv/qemu/lib /srv/qemu/qemu-system-aarch64"


class Monitor:
    """QMP of the QEMU that runs on an emulated host."""

    def __init__(self, lab, host):
        argv = lab.ssh(pair.NAMES[host]) + ["--", "nc 127.0.0.1 %d" % QMP_PORT]
        self.process = subprocess.Popen(argv, cwd=lab.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.buffer, self.events = b"", []
        self.read(30)
        self.do("qmp_capabilities")

    def read(self, seconds):
        """The next message. Raises Failed if there is none for so long."""
        end = time.monotonic() + seconds
        while b"\n" not in self.buffer:
            if not select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                raise Failed("bench: kvm: QEMU said nothing for %d s" % seconds)
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise Failed("bench: kvm: QEMU has ended")
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line)

    def do(self, command, **arguments):
        """Runs a command; what it returns."""
        self.process.stdin.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        self.process.stdin.flush()
        while True:
            message = self.read(120)
            if "error" in message:
                raise Failed("bench: kvm: %s: %s" % (command, message["error"]["desc"]))
            if "return" in message:
                return message["return"]
            self.events.append(message)

    def wait(self, event, seconds, condition=lambda data: True):
        """The data of the first event of this name that is as wanted, one that came already included."""
        end = time.monotonic() + seconds
        while True:
            for at, message in enumerate(self.events):
                if message.get("event") == event and condition(message.get("data", {})):
                    del self.events[:at + 1]
                    return message.get("data", {})
            self.events.clear()
            self.events.append(self.read(max(0, end - time.monotonic())))

    def leave(self):
        """Ends QEMU, whose answer may be lost with it."""
        self.process.stdin.write(b'{"execute": "quit"}\n')
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Kvm(pair.Pair):
    system = "kvm"
    program, program_path = "qemu-system-aarch64", os.path.join(QEMU, "usr/bin/qemu-system-aarch64")

    def __init__(self, *args):
        super().__init__(*args)
        self.monitors = [None, None]
        self.handler, self.load = None, None
        self.addresses = os.path.join(OUT, "kvm-%s-%s" % (image.kernel_version(), self.cpu))

    def watched(self):
        return [self.handler] if self.handler else []

    def qemu(self, name, index, **options):
        argv = super().qemu(name, index, **options)
        return [word.replace("virtualization=off", "virtualization=on") for word in argv]

    def boot(self):
        """Where the kernel handles faults of guests is learnt by booting it once."""
        if not os.path.exists(self.addresses):
            self.boot_once(pair.NAMES[:1])
            listing = self.command(0, "grep -w %s /proc/kallsyms" % HANDLER)
            self.down()
            with open(self.addresses, "w", encoding="ascii") as f:
                f.write(listing.split()[0])
        with open(self.addresses, encoding="ascii") as f:
            self.handler = int(f.read(), 16)
        self.boot_once(pair.NAMES)

    def boot_once(self, names):
        self.up(names, cpu=self.cpu, smp=pair.SMP, mem=pair.MEMORY, bare=True, append="nokaslr", owner=os.getpid())

    def launch(self, host, *more, load="idle"):
        words = [PROGRAM, "-machine virt,gic-version=3", "-accel kvm", "-cpu host", "-smp 1", "-m %d" % GUEST_MIB,
                 "-nodefaults", "-no-user-config", "-display none", "-kernel /srv/guests/linux",
                 "-initrd /srv/guests/load.cpio", "-append '%s'" % (COMMAND_LINE % load),
                 "-chardev file,id=console,path=/run/console", "-serial chardev:console",
                 "-qmp tcp:127.0.0.1:%d,server=on,wait=off" % QMP_PORT, *more, "-daemonize"]
        begin = time.monotonic()
        self.command(host, "rm -f /run/console; " + " ".join(words))
        self.monitors[host] = Monitor(self, host)
        return (time.monotonic() - begin) * 1000

    def quit(self, host):
        if self.monitors[host]:
            self.monitors[host].leave()
            self.monitors[host] = None
            self.command(host, "while pidof qemu-system-aarch64 >/dev/null; do sleep 0.1; done")

    def start(self, load):
        self.at, self.load = 0, load
        self.launch(0, load=load)
        self.wait("the guest boots", lambda: "is ready" in self.console(0))

    def halt(self, still):
        self.monitors[self.at].do("stop" if still else "cont")

    def end(self):
        for host in (0, 1):
            self.quit(host)
        self.at = None

    def reboot(self):
        for monitor in filter(None, self.monitors):
            monitor.process.kill()
        self.monitors = [None, None]
        super().reboot()

    def console(self, host):
        return self.command(host, "cat /run/console")

    def move(self, limits):
        source, target = self.at, 1 - self.at
        prepared_ms = self.launch(target, "-incoming tcp:0.0.0.0:%d" % MIGRATION_PORT, load=self.load)
        monitor = self.monitors[source]
        monitor.do("migrate-set-capabilities", capabilities=[{"capability": name, "state": True}
                                                             for name in ("events", "auto-converge")])
        if limits.get("bandwidth"):
            monitor.do("migrate-set-parameters", **{"max-bandwidth": limits["bandwidth"]})
        with self.watch():
            monitor.do("migrate", uri="tcp:%s:%d" % (pair.NAMES[target], MIGRATION_PORT))
            end = monitor.wait("MIGRATION", pair.MOVE_S, lambda data: data["status"] in ("completed", "failed", "cancelled"))
        report = monitor.do("query-migrate")
        while end["status"] == "completed" and report["total-time"] == 0:
            time.sleep(0.1)  # QEMU says "completed" before it notes how long it took
            report = monitor.do("query-migrate")
        if end["status"] != "completed":
            raise Failed("bench: kvm: the migration ended as %s" % end["status"])
        self.monitors[target].wait("RESUME", 60)
        self.quit(source)
        return self.take(report, prepared_ms)

    @staticmethod
    def take(report, prepared_ms):
        """The numbers of query-migrate that the table has. Pages of the flash, 128 MiB of zeros, are among them."""
        ram = report["ram"]
        pages, memory = ram["normal"] + ram["duplicate"], ram["total"] // ram["page-size"]
        return {"total_ms": report["total-time"], "downtime_ms": report["downtime"], "rounds": ram["dirty-sync-count"],
                "pages": pages, "pages_again": pages - memory, "prepared_ms": prepared_ms,
                "report": report}
