# SPDX-License-Identifier: MIT
"""The results of the migration benchmark: a file of runs, medians of them, and the table.

A run is a dictionary: system, load, cpu, and what pair.py, godwit.py and kvm.py measured; or "failed", a sentence,
instead of that.
"""

import json
import os
import statistics

SYSTEMS = ("godwit", "kvm")
LOADS = {"idle": "idle", "tenth": "10 % of RAM rewritten each second", "paced": "1000 pages of 16 MiB rewritten each second",
         "hot": "16 MiB rewritten without a pause", "fast": "96 MiB rewritten faster than the link"}

# (quantity, what the table says, unit's size, format)
LINES = [
    ("total_ms", "total, s", 1e3, "%.2f"),
    ("gap_ms", "downtime: last store here to first store there, ms", 1, "%.0f"),
    ("downtime_ms", "downtime as the source reports it, ms", 1, "%.0f"),
    ("instructions", "instructions of both hosts, millions", 1e6, "%.0f"),
    ("instructions_at_source", "of them at the source, the guest's own included", 1e6, "%.0f"),
    ("instructions_at_target", "of them at the destination", 1e6, "%.0f"),
    ("instructions_besides", "of both hosts without those of the guest's program", 1e6, "%.0f"),
    ("gap_instructions", "of both hosts from last to first store", 1e6, "%.1f"),
    ("gap_instructions_at_source", "of them at the source", 1e6, "%.1f"),
    ("gap_instructions_at_target", "of them at the destination", 1e6, "%.1f"),
    ("wire_bytes", "bytes on the wire, MB", 1e6, "%.1f"),
    ("pages_again", "pages sent again", 1, "%.0f"),
    ("rounds", "rounds", 1, "%.0f"),
    ("beats_per_s", "pages the guest writes a second meanwhile (idle: heartbeats)", 1, "%.0f"),
    ("beats_before_per_s", "pages it writes a second before", 1, "%.0f"),
    ("faults", "faults of the guest's memory at the source", 1, "%.0f"),
    ("faults_after", "at the destination, 2 s from its start", 1, "%.0f"),
]
PROGRESS = ("beats_per_s", "beats_before_per_s")  # what the guest does, of which more is better


class Store:
    """The file; each run is written when it is over, so nothing measured is lost."""

    def __init__(self, path):
        self.path, self.runs = path, []
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                self.runs = json.load(f)

    def add(self, run):
        self.runs.append(run)
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        with open(self.path + ".new", "w", encoding="utf-8") as f:
            json.dump(self.runs, f, indent=1)
        os.rename(self.path + ".new", self.path)


def select(runs, system, load, cpu):
    return [r for r in runs if (r["system"], r["load"], r["cpu"]) == (system, load, cpu)]


def median(runs, quantity):
    """None without a run that has the quantity."""
    values = [r[quantity] for r in runs if r.get(quantity) is not None]
    return statistics.median(values) if values else None


def ratio(godwit, kvm):
    """How many times what Godwit needs QEMU needs."""
    if godwit is None or kvm is None:
        return "-"
    if godwit == 0 or kvm == 0:
        return "=" if godwit == kvm else "inf" if godwit == 0 else "0x"
    value = kvm / godwit
    return "%.0fx" % value if value >= 10 else "%.1fx" % value if value >= 1 else "%.2gx" % value


def cell(value, size, form):
    return "-" if value is None else form % (value / size)


def count_text(runs):
    """How many runs a column is the median of, those that failed told apart."""
    failed = sum("failed" in r for r in runs)
    return "%d%s" % (len(runs) - failed, ", %d failed" % failed if failed else "")


def rows(runs, cpu):
    """Cells of the table: load, quantity, Godwit, QEMU, ratio."""
    for load, text in LOADS.items():
        godwit, kvm = (select(runs, system, load, cpu) for system in SYSTEMS)
        if not godwit and not kvm:
            continue
        yield text, "runs", count_text(godwit), count_text(kvm), ""
        for quantity, line, size, form in LINES:
            ours, theirs = (median(r, quantity) for r in (godwit, kvm))
            if ours is not None or theirs is not None:
                yield text, line, cell(ours, size, form), cell(theirs, size, form), ratio(ours, theirs)


def behind(runs, cpu):
    """(load, quantity, Godwit, QEMU) of the lines in which Godwit is not ahead; that the guest does much is no cost."""
    for load in LOADS:
        godwit, kvm = (select(runs, system, load, cpu) for system in SYSTEMS)
        for quantity, line, _, _ in LINES:
            ours, theirs = (median(r, quantity) for r in (godwit, kvm))
            if quantity not in PROGRESS and ours is not None and theirs is not None and ours > theirs:
                yield load, line, ours, theirs


HEAD = ("", "Godwit", "QEMU/KVM", "ratio")


def text_table(runs, cpu):
    found = list(rows(runs, cpu))
    widths = [max([len(HEAD[i])] + [len(row[i + 1]) for row in found]) for i in range(4)]
    out, load = [], None
    for row in found:
        if row[0] != load:
            load = row[0]
            out += ["", load] + ["  ".join([HEAD[0].ljust(widths[0])] + [h.rjust(w) for h, w in zip(HEAD[1:], widths[1:])])]
        out.append("  ".join([row[1].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[2:], widths[1:])]).rstrip())
    return "\n".join(out[1:])


def markdown_table(runs, cpu):
    out, load = [], None
    for row in rows(runs, cpu):
        if row[0] != load:
            load = row[0]
            out += ["", "| %s | Godwit | QEMU/KVM | ratio |" % load, "|---|--:|--:|--:|"]
        out.append("| " + " | ".join(row[1:]) + " |")
    return "\n".join(out[1:])
