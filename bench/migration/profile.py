# SPDX-License-Identifier: MIT
"""Where a host's instructions go: reads the file that plugin.c counts blocks in, and names functions."""

import bisect
import collections
import os
import struct
import subprocess

HEAD, BLOCK = struct.Struct("<3Q"), struct.Struct("<3Q")
TOP = 20
KERNEL = 1 << 63


def read(path):
    """How many instructions were executed in each block: address -> count."""
    found = collections.Counter()
    with open(path, "rb") as f:
        blocks = HEAD.unpack(f.read(HEAD.size))[0]
        data = f.read(blocks * BLOCK.size)
    for address, length, count in BLOCK.iter_unpack(data):
        found[address] += length * count
    return found


class Symbols:
    """Names for addresses of one address space."""

    def __init__(self):
        self.starts, self.names = [], []

    def add(self, symbols):
        """symbols: (address, name)."""
        both = sorted(list(zip(self.starts, self.names)) + list(symbols))
        self.starts, self.names = [a for a, _ in both], [n for _, n in both]

    def find(self, address):
        at = bisect.bisect_right(self.starts, address) - 1
        return self.names[at] if at >= 0 else hex(address)


def listing(text, offset=0):
    """Functions in what nm or /proc/kallsyms print."""
    for words in map(str.split, text.splitlines()):
        if len(words) >= 3 and words[1] in "tTwWiI" and not words[2].startswith("$"):
            yield int(words[0], 16) + offset, words[2].partition("@")[0]


def program_symbols(path, base):
    """Of a program or library that is mapped at base; a line of its own for code without symbols."""
    out = [(base, "[%s]" % os.path.basename(path))]
    for words in (["nm"], ["nm", "-D"]):
        done = subprocess.run(words + [path], capture_output=True, text=True, check=False)
        out += listing(done.stdout, base)
    return out


def user_symbols(maps, locate):
    """maps: /proc/PID/maps of a program; locate(path there) is where the file is here, or None."""
    seen, out = set(), []
    for words in map(str.split, maps.splitlines()):
        if len(words) == 6 and words[5] not in seen and words[5].startswith("/"):
            seen.add(words[5])
            base, path = int(words[0].partition("-")[0], 16), locate(words[5])
            out += program_symbols(path, base) if path else [(base, "[%s]" % os.path.basename(words[5]))]
        elif len(words) == 6 and words[5] not in seen:
            out.append((int(words[0].partition("-")[0], 16), words[5]))
    return out


def functions(before, after, kinds):
    """Counter of (kind, function); kinds: [(kind, from, to, Symbols)], the first that fits."""
    found = collections.Counter()
    for address, count in (after - before).items():
        for kind, start, end, symbols in kinds:
            if start <= address < end:
                found[kind, symbols.find(address)] += count
                break
    return found


def table(title, found, top=TOP):
    total = sum(found.values()) or 1
    by_kind = collections.Counter()
    for (kind, _), count in found.items():
        by_kind[kind] += count
    lines = ["%s: %.1f million instructions; %s" % (
        title, total / 1e6, ", ".join("%s %.1f" % (kind, count / 1e6) for kind, count in by_kind.most_common()))]
    for (kind, name), count in found.most_common(top):
        lines.append("%8.1f  %4.1f %%  %-10s  %s" % (count / 1e6, 100 * count / total, kind, name))
    return "\n".join(lines)
