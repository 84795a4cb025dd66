# SPDX-License-Identifier: MIT
"""Reads the file in which plugin.c follows a guest from host to host; the layout is flight.h's."""

import struct

MAGIC, NOBODY = 0x31305448474C4657, 0xFFFFFFFF
HOSTS, CPUS, WATCHED, MOVES = 2, 4, 4, 256
KINDS = ("user", "kernel", "hypervisor", "program")

HEAD = struct.Struct("<3Q40x")
CPU = struct.Struct("<%dQ%dQ" % (len(KINDS), WATCHED))
BEAT = struct.Struct("<QQ%dQ" % (HOSTS * len(KINDS)))
MOVE = struct.Struct("<QQ")
BEATS_AT = HEAD.size + HOSTS * CPUS * CPU.size
MOVES_AT = BEATS_AT + HOSTS * BEAT.size
SIZE = MOVES_AT + MOVES * (MOVE.size + 2 * BEAT.size)


class Beat:
    """The latest heartbeat of the guest on a host, and what all CPUs of all hosts had executed by then."""

    def __init__(self, data, at):
        self.count, self.ns, *rest = BEAT.unpack_from(data, at)
        self.executed = [dict(zip(KINDS, rest[h * len(KINDS):])) for h in range(HOSTS)]


class Move:
    """From the last heartbeat on one host to the first on another."""

    def __init__(self, data, at):
        self.source, self.target = MOVE.unpack_from(data, at)
        self.last, self.first = Beat(data, at + MOVE.size), Beat(data, at + MOVE.size + BEAT.size)
        self.gap_ns = self.first.ns - self.last.ns
        self.executed = {kind: sum(self.first.executed[h][kind] - self.last.executed[h][kind] for h in range(HOSTS))
                         for kind in KINDS}
        self.executed_at = [sum(self.first.executed[h][kind] - self.last.executed[h][kind] for kind in KINDS)
                            for h in (self.source, self.target)]


class Flight:
    """What the file says at one moment."""

    def __init__(self, data):
        magic, count, self.at = HEAD.unpack_from(data, 0)
        if magic != MAGIC or len(data) < SIZE:
            raise ValueError("not a file of the migration benchmark's plugin")
        cpus = [CPU.unpack_from(data, HEAD.size + i * CPU.size) for i in range(HOSTS * CPUS)]
        own = [cpus[h * CPUS:(h + 1) * CPUS] for h in range(HOSTS)]
        self.executed = [sum(sum(cpu[:len(KINDS)]) for cpu in host) for host in own]
        self.program = [sum(cpu[KINDS.index("program")] for cpu in host) for host in own]
        self.watched = [[sum(cpu[len(KINDS) + w] for cpu in host) for w in range(WATCHED)] for host in own]
        self.beats = [Beat(data, BEATS_AT + h * BEAT.size) for h in range(HOSTS)]
        self.moves = [Move(data, MOVES_AT + m * (MOVE.size + 2 * BEAT.size)) for m in range(min(count, MOVES))]


def beats_per_s(first, last):
    """Of the guest on one host, between two of its heartbeats; None without time between them."""
    return (last.count - first.count) * 1e9 / (last.ns - first.ns) if last.ns > first.ns else None


def create(path):
    """An empty file for hosts that are about to start."""
    with open(path, "wb") as f:
        f.write(HEAD.pack(MAGIC, 0, NOBODY).ljust(SIZE, b"\0"))


def read(path):
    with open(path, "rb") as f:
        return Flight(f.read())
