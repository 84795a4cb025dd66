# SPDX-License-Identifier: MIT
"""Makes the tables of the tracking benchmark: what each hypervisor costs, and where Godwit misses an aim."""

import re

# (quantity, layout of the guest's memory, what the line says). Instructions, or faults, a page.
LINES = [
    ("null_hypercall", "pages", "empty hypercall of the guest (PSCI_VERSION)"),
    ("write_fault", "pages", "first write to a page since the last harvest"),
    ("faults_write", "pages", "  faults it takes"),
    ("harvest_per_dirty_page_dense", "pages", "harvest and protect again, a dirty page, all dirty"),
    ("harvest_per_dirty_page_sparse", "pages", "  one page in 2 MiB dirty"),
    ("harvest_per_clean_page", "pages", "harvest, a clean page more"),
    ("harvest_idle", "pages", "harvest, nothing dirty, the whole call"),
    ("enable", "pages", "enable, mapped in pages, a page"),
    ("enable", "blocks", "enable, mapped in 2 MiB blocks, a page"),
    ("enable_per_page_more", "blocks", "enable, in blocks, a page more"),
    ("first_harvest", "pages", "first harvest after it, in pages, a page"),
    ("first_harvest", "blocks", "first harvest after it, in blocks, a page"),
    ("arm", "pages", "both, in pages"),
    ("arm", "blocks", "both, in blocks"),
    ("first_write_after_enable", "blocks", "first write to a page after it, in blocks"),
    ("faults_first_write_after_enable", "blocks", "  faults it takes"),
    ("memory_per_gib", "pages", "memory for the log, KiB a GiB, in pages"),
    ("memory_per_gib", "blocks", "memory for the log, KiB a GiB, in blocks"),
    ("disable", "pages", "disable, mapped in pages, a page"),
    ("disable", "blocks", "disable, in blocks before, a page"),
    ("first_write_after_disable", "pages", "first write to a page after it, in pages"),
    ("faults_after_disable", "pages", "  faults it takes"),
    ("first_write_after_disable", "blocks", "first write to a page after it, in blocks before"),
    ("faults_after_disable", "blocks", "  faults it takes"),
    ("disable_and_write", "pages", "disable and write every page, in pages"),
    ("disable_and_write", "blocks", "disable and write every page, in blocks before"),
]

# Sums: work that one interface does at once and another puts off.
SUMS = {
    "arm": ("enable", "first_harvest"),
    "disable_and_write": ("disable", "first_write_after_disable"),
}

# The most that Godwit should need: (machine, quantity, layout) -> number. None: any machine of Godwit.
AIMS = {
    ("godwit-fault", "write_fault", "pages"): 200,
    ("godwit-fault", "harvest_per_clean_page", "pages"): 0.02,
    ("godwit-fault-ranges", "harvest_per_clean_page", "pages"): 0.002,
    ("godwit-hardware", "harvest_idle", "pages"): 2.0 * 32768,  # 2.0 a page scanned
    ("godwit-hardware", "faults_write", "pages"): 0,
    ("godwit-eager", "enable", "blocks"): 3,
    (None, "harvest_per_dirty_page_dense", "pages"): 20,
    (None, "harvest_per_dirty_page_sparse", "pages"): 80,
    (None, "enable", "pages"): 6,
    (None, "enable", "blocks"): 0.1,
    (None, "faults_after_disable", "pages"): 0,
    (None, "faults_after_disable", "blocks"): 0,
}

# Aims that are missed, and what the gate holds them to instead; docs/performance.md says why.
LIMITS = {
    (None, "harvest_per_dirty_page_sparse", "pages"): 112,
    ("godwit-hardware", "harvest_per_dirty_page_sparse", "pages"): 300,
    ("godwit-hardware-ranges", "harvest_per_dirty_page_sparse", "pages"): 345,
    ("godwit-eager", "harvest_per_dirty_page_sparse", "pages"): 300,
    (None, "enable", "blocks"): 0.31,
    ("godwit-eager", "enable", "blocks"): 3,
}

ORDER = ["godwit-fault", "godwit-hardware", "godwit-eager", "", "ranges", "plain", "manual", "ring"]


class Column:
    """One way of tracing writes on one machine: costs by (quantity, layout)."""

    def __init__(self, machine, way):
        self.machine, self.way = machine, way
        self.costs, self.void = {}, {}

    @property
    def is_godwit(self):
        return self.machine.startswith("godwit")

    def heading(self):
        if self.is_godwit:
            return "Godwit", (self.machine.partition("-")[2] + " " + self.way).strip()
        return "KVM " + self.machine.partition("-")[2], self.way

    def value(self, quantity, layout):
        """None if it was not measured, or if the log was wrong while it was."""
        if layout in self.void:
            return None
        parts = [self.costs.get((part, layout)) for part in SUMS.get(quantity, (quantity,))]
        return None if None in parts else sum(parts)

    def aim(self, quantity, layout):
        return self._look_up(AIMS, quantity, layout)

    def limit(self, quantity, layout):
        """What the gate asks for: the aim, or a number above it that is known."""
        found = self._look_up(LIMITS, quantity, layout)
        return self.aim(quantity, layout) if found is None else found

    def _look_up(self, numbers, quantity, layout):
        if not self.is_godwit:
            return None
        name = self.machine + ("-" + self.way if self.way else "")
        return numbers.get((name, quantity, layout), numbers.get((None, quantity, layout)))


def columns_of(results):
    """Columns of one CPU model from the results of its machines, Godwit's first."""
    columns = {}

    def column(machine, series):
        way, _, layout = series.rpartition("/")
        return columns.setdefault((machine, way), Column(machine, way)), layout

    for result in results:
        for series, costs in result.costs.items():
            at, layout = column(result.name, series)
            at.costs.update({(quantity, layout): value for quantity, value in costs.items()})
        for series, why in result.void.items():
            at, layout = column(result.name, series)
            at.void[layout] = why

    def place(word):
        return ORDER.index(word) if word in ORDER else len(ORDER)

    def rank(item):
        version = [int(n) for n in re.findall("[0-9]+", item.machine)]
        return not item.is_godwit, version, place(item.machine), place(item.way)

    return sorted(columns.values(), key=rank)


def number(value):
    if value is None:
        return "-"
    if value == 0:
        return "0"
    if value >= 1000:
        return "%.0f" % value
    if value >= 10:
        return "%.1f" % value
    return "%.3f" % value if value >= 0.1 else "%.2g" % value


def ratio(godwit, kvm):
    """How many times what Godwit needs the cheapest way of KVM needs."""
    if godwit is None or kvm is None:
        return "-"
    if godwit == 0:
        return "=" if kvm == 0 else "inf"
    value = kvm / godwit
    if value >= 10:
        return "%.0fx" % value
    return "%.1fx" % value if value >= 1 else "%.2gx" % value


def misses(columns):
    """(column, quantity, layout, value, aim) of all that is above its aim."""
    found = []
    for quantity, layout, _ in LINES:
        for column in columns:
            value, aim = column.value(quantity, layout), column.aim(quantity, layout)
            if value is not None and aim is not None and value > aim:
                found.append((column, quantity, layout, value, aim))
    return found


def lines_of(columns):
    """The table as lists of cells. Godwit's numbers are followed by how many times as much KVM's best way needs."""
    head = [[""], [""]]
    for column in columns:
        for at, word in enumerate(column.heading()):
            head[at].append(word)
    head[0].append("")
    head[1].append("aim")
    body = []
    for quantity, layout, text in LINES:
        best = min((v for v in (c.value(quantity, layout) for c in columns if not c.is_godwit) if v is not None),
                   default=None)
        cells, notes = [text], []
        for column in columns:
            value, aim = column.value(quantity, layout), column.aim(quantity, layout)
            cell = "void" if layout in column.void else number(value)
            if column.is_godwit and value is not None and best is not None:
                cell += " (%s)" % ratio(value, best)
            cells.append(cell)
            if aim is not None and value is not None:
                notes.append("%s %g%s" % (column.heading()[1], aim, " missed" if value > aim else ""))
        body.append(cells + [", ".join(notes)])
    return head, body


def text_table(model, columns):
    head, body = lines_of(columns)
    rows = head + body
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    out = [model]
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:-1], widths[1:-1])] + [row[-1]]
        out.append("  ".join(cells).rstrip())
    for column in columns:
        for layout, why in sorted(column.void.items()):
            out.append("void: %s %s, %s: %s" % (*column.heading(), layout, why))
    return "\n".join(out)


def markdown_table(model, columns):
    """The same for docs/performance.md."""
    head, body = lines_of(columns)
    title = [" ".join(w for w in pair if w) for pair in zip(*head)]
    title[0] = model
    out = ["| " + " | ".join(title) + " |", "|---|" + "--:|" * (len(title) - 2) + "---|"]
    out += ["| " + " | ".join(cell.strip() for cell in row) + " |" for row in body]
    return "\n".join(out)
