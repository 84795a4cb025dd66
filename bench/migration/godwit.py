# SPDX-License-Identifier: MIT
"""The guest on Godwit's hosts."""

import json
import os
import subprocess

from . import pair
from .images import COMMAND_LINE, ROOT, Failed

import hosts  # noqa: E402  (lab/)

HYPERVISOR = os.path.join(ROOT, "build/el2-release/hypervisor/godwit.bin")
HANDLERS = ("s2_fault_write", "s2_fault_write_fast")
CONTROL_MEMORY = "512M"
GUEST = "load"


def symbols():
    """Of the release build: name -> address."""
    elf = HYPERVISOR[:-len(".bin")] + ".elf"
    listing = subprocess.run(["nm", elf], stdout=subprocess.PIPE, text=True, check=True).stdout
    return {words[2]: int(words[0], 16) for words in map(str.split, listing.splitlines()) if len(words) == 3}


class Godwit(pair.Pair):
    system = "godwit"

    def __init__(self, *args):
        super().__init__(*args)
        self.symbols = symbols()
        self.text = "%#x-%#x" % (self.symbols["_text_start"], self.symbols["_text_end"])

    def boot(self):
        hosts.HYPERVISOR = HYPERVISOR
        self.up(pair.NAMES, cpu=self.cpu, smp=pair.SMP, mem=pair.MEMORY, control_mem=CONTROL_MEMORY, owner=os.getpid())

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
            self.run(pair.NAMES[host], ["godwit", "destroy", GUEST], capture_output=True)
        self.at = None

    def console(self, host):
        return self.command(host, "cat /var/log/godwit/%s.log 2>/dev/null || true" % GUEST)

    def move(self, limits):
        target = pair.NAMES[1 - self.at]
        self.command(1 - self.at, "wire --serve; rm -f /var/log/godwit/%s.log" % GUEST)
        words = ["godwit", "migrate", "--json", "-s", "wire", GUEST, target]
        with self.watch():
            report = json.loads(self.command(self.at, words))
        if report["result"] not in ("moved", "resumed"):
            raise Failed("bench: godwit: the migration ended as %s" % report["result"])
        return self.take(report)

    @staticmethod
    def take(report):
        """The numbers of `godwit migrate --json` that the table has."""
        pages, memory = report["pages"], report["memory_pages"]
        return {"total_ms": report["total_ms"], "downtime_ms": report["downtime_ms"], "rounds": report["rounds"],
                "pages": pages, "pages_again": pages - memory, "report": report}
