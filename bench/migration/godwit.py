# SPDX-License-Identifier: MIT
"""The guest on Godwit's hosts."""

import json
import os
import subprocess

from . import pair, profile
from .images import COMMAND_LINE, ROOT, Failed

import hosts  # noqa: E402  (lab/)

HYPERVISOR = os.path.join(ROOT, "build/el2-release/hypervisor/godwit.bin")
HANDLERS = ("s2_fault_write", "s2_fault_write_fast")
CONTROL_MEMORY = "512M"
GUEST = "load"
PORT = 7001


def symbols():
    """Of the release build: name -> address."""
    elf = HYPERVISOR[:-len(".bin")] + ".elf"
    listing = subprocess.run(["nm", elf], stdout=subprocess.PIPE, text=True, check=True).stdout
    return {words[2]: int(words[0], 16) for words in map(str.split, listing.splitlines()) if len(words) == 3}


class Godwit(pair.Pair):
    system = "godwit"
    program, program_path = "godwit", os.path.join(ROOT, "build/dom0/toolstack/cli/godwit")

    def __init__(self, *args):
        super().__init__(*args)
        self.symbols = symbols()
        self.text = "%#x-%#x" % (self.symbols["_text_start"], self.symbols["_text_end"])

    def boot(self):
        hosts.HYPERVISOR = HYPERVISOR
        self.up(pair.NAMES, cpu=self.cpu, smp=pair.SMP, mem=pair.MEMORY, control_mem=CONTROL_MEMORY, owner=os.getpid())

    def address_spaces(self, host):
        own = profile.Symbols()
        own.add((address, name) for name, address in self.symbols.items())
        start, end = self.symbols["_text_start"], self.symbols["_text_end"]
        return [("hypervisor", start, end, own)] + super().address_spaces(host)

    def watched(self):
        return [self.symbols[name] for name in HANDLERS]

    def start(self, load):
        self.at = 0
        self.command(0, "rm -f /var/log/godwit/%s.log; godwit create /srv/guests/load.cfg name='\"%s\"' extra='\"%s\"'"
                     % (GUEST, GUEST, COMMAND_LINE % load))
        self.wait("the guest boots", lambda: "is ready" in self.console(0))

    def halt(self, still):
        self.command(self.at, ["godwit", "pause" if still else "unpause", GUEST])

    def end(self):
        for host in (0, 1):
            self.command(host, "godwit destroy %s 2>/dev/null || ! godwit info %s 2>/dev/null" % (GUEST, GUEST), 60)
        self.at = None

    def console(self, host):
        return self.command(host, "cat /var/log/godwit/%s.log 2>/dev/null || true" % GUEST)

    def listen(self, host):
        """A receiver on plain TCP, as QEMU's is; it stays for later moves."""
        self.command(host, "rm -f /var/log/godwit/%s.log; [ -e /run/receiver ] || "
                     "{ touch /run/receiver; setsid godwit migrate-receive --insecure --listen tcp://0.0.0.0:%d "
                     "</dev/null >/run/receiver.log 2>&1 & sleep 1; }" % (GUEST, PORT))

    def move(self, limits):
        target = 1 - self.at
        self.listen(target)
        words = ["godwit", "migrate", "--json", "--insecure"]
        if limits.get("bandwidth"):
            words += ["--bandwidth", "%dMiB/s" % (limits["bandwidth"] >> 20)]
        with self.watch():
            report = json.loads(self.command(self.at, words + [GUEST, "tcp://%s:%d" % (pair.NAMES[target], PORT)],
                                             pair.MOVE_S))
        if report["result"] not in ("moved", "resumed"):
            raise Failed("bench: godwit: the migration ended as %s" % report["result"])
        return self.take(report)

    @staticmethod
    def take(report):
        """The numbers of `godwit migrate --json` that the table has."""
        rounds, pages = report["rounds"], report["pages"]
        return {"total_ms": report["total_ms"], "downtime_ms": report["downtime_ms"],
                "rounds": len(rounds) if isinstance(rounds, list) else rounds, "pages": pages,
                "pages_again": report.get("resent_pages", pages - report["memory_pages"]), "report": report}
