# SPDX-License-Identifier: MIT
"""Every acquire, release and barrier of core/ and its port is in the table of docs/design/proofs.md."""

import glob
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PLACES = ["core/src/**/*.[ch]", "core/include/**/*.h", "hypervisor/arch/arm64/port/**/*.[ch]"]
TABLE = "docs/design/proofs.md"
ORDER = re.compile(r"memory_order_(acquire|release|acq_rel|seq_cst)|\bdsb\(|\bdmb\(")
FUNCTION = re.compile(r"^[a-z].*?\b(\w+)\([^;]*$")


def functions_with_orders(path):
    with open(path) as f:
        lines = f.read().splitlines()
    name = None
    for line in lines:
        found = FUNCTION.match(line)
        if found:
            name = found.group(1)
        if ORDER.search(line) and not line.lstrip().startswith(("*", "/*", "#")):
            yield name


def audit():
    with open(os.path.join(ROOT, TABLE)) as f:
        named = set(re.findall(r"`(\w+)`", f.read()))
    missing, count = [], 0
    for place in PLACES:
        for path in glob.glob(os.path.join(ROOT, place), recursive=True):
            for name in functions_with_orders(path):
                count += 1
                if name not in named:
                    missing.append("%s: %s" % (os.path.relpath(path, ROOT), name))
    if missing:
        return "FAIL", "not in %s: %s" % (TABLE, ", ".join(sorted(set(missing))))
    return "PASS", "%d orders and barriers are in %s" % (count, TABLE)


def jobs():
    return [("audit of barriers", audit, ())]
