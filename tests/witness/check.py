#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Judges what the witness wrote: each page that it saw stored to in a round is in that round's log.

usage: tests/witness/check.py TRACE      judges a trace of the plugin
       tests/witness/check.py --self     judges made-up traces whose verdict is known

A trace (rounds.c) is lines of words. `start` begins a session of rounds and tells its mode (enum witness_mode in
guest/witness.h), `stop` ends it. Each round has four lines:
`round HOW NAME COUNT...`, then `seen`, `between` and `logged` with pages ("3 7-9"). Pages in `between` were
stored to while the log was being harvested: such a store may belong to this round or to the next.

A fault handler opens a page before it marks it, and others may store there meanwhile, relying on a mark that is not
there yet. So if a handler was in flight when a harvest began, what is missing may come a round later, and so on; but
never later than the last round, whose guest is paused.
"""

import sys


def pages_of(words):
    """A set of pages as bits of one number."""
    bits = 0
    for word in words:
        first, _, last = word.partition("-")
        bits |= ((1 << (int(last or first) - int(first) + 1)) - 1) << int(first)
    return bits


def list_pages(bits, most=8):
    found = []
    while bits and len(found) < most:
        found.append((bits & -bits).bit_length() - 1)
        bits &= bits - 1
    return " ".join(map(str, found)) + (" ..." if bits else "")


class Round:
    def __init__(self, words):
        self.how = words[1]
        self.counts = {name: int(count) for name, count in zip(words[2::2], words[3::2])}
        self.seen = self.between = self.logged = None

    def complete(self):
        return None not in (self.seen, self.between, self.logged)


class Session:
    def __init__(self, words):
        self.mode, self.pages, self.frames = (int(word) for word in words[2::2])
        self.rounds = []
        self.still = None
        self.cpus = []

    def hear(self, words):
        if words[0] == "round":
            self.rounds.append(Round(words))
        elif words[0] == "stop":
            self.still = int(words[2])
            self.cpus = [int(word) for word in words[4:]]
        elif words[0] in ("seen", "between", "logged"):
            setattr(self.rounds[-1], words[0], pages_of(words[1:]))
        else:
            raise ValueError("the trace has a line that begins with " + words[0])


def read(lines):
    sessions = []
    for line in lines:
        words = line.split()
        if words and words[0] == "start":
            sessions.append(Session(words))
        elif words:
            sessions[-1].hear(words)
    return sessions


class Verdict:
    """lost: (session, round, pages); broken: why the trace proves nothing."""

    def __init__(self):
        self.lost, self.broken, self.figures = [], [], {}

    def good(self):
        return not self.lost and not self.broken

    def count(self, name, number):
        self.figures[name] = self.figures.get(name, 0) + number


def judge_round(verdict, where, this, owed, is_last):
    """owed: stored to before, not logged yet. Returns what this round leaves to the next."""
    missing = (this.seen | owed) & ~this.logged
    late = missing if this.counts["handlers"] and not is_last else 0
    left = this.between & ~this.logged
    lost = missing & ~late | (left if is_last else 0)
    if lost:
        verdict.lost.append((*where, lost))
    verdict.count("lost", lost.bit_count())
    verdict.count("late", late.bit_count())
    verdict.count("rounds", 1)
    verdict.count("stores", this.counts["stores"] + this.counts["between"])
    verdict.count("between", this.counts["between"])
    verdict.count("crossing", this.counts["crossing"])
    verdict.count("written", (this.seen | this.between).bit_count())
    verdict.count("logged", this.logged.bit_count())
    verdict.count("extra", (this.logged & ~(this.seen | this.between | owed)).bit_count())
    return left | late


def judge_session(verdict, number, session):
    if session.still is None or not all(r.complete() for r in session.rounds):
        verdict.broken.append("session %d was not finished" % number)
        return
    if session.still:
        verdict.broken.append("%d stores while the guest was paused" % session.still)
    if session.pages == 0 or session.frames != session.pages:
        verdict.broken.append("%d frames for %d pages" % (session.frames, session.pages))
    owed = 0
    for index, this in enumerate(session.rounds):
        if this.how not in ("invalidated", "uninvalidated"):
            verdict.broken.append("round %d of session %d: %s" % (index, number, this.how))
        if this.counts["unknown"]:
            verdict.broken.append("%d stores without a physical address" % this.counts["unknown"])
        owed = judge_round(verdict, (number, index), this, owed, this is session.rounds[-1])


def judge(sessions, rounds=None, cpus=1):
    """rounds: how many the trace must have; cpus: how many CPUs must have stored."""
    verdict = Verdict()
    for number, session in enumerate(sessions):
        judge_session(verdict, number, session)
    have = verdict.figures.get("rounds", 0)
    if have == 0 or (rounds is not None and have != rounds):
        verdict.broken.append("%d rounds in the trace, not %s" % (have, rounds or "some"))
    elif verdict.figures["stores"] < 100 * have:
        verdict.broken.append("%d stores in %d rounds: no load" % (verdict.figures["stores"], have))
    stored = [session.cpus for session in sessions if len(session.cpus) < cpus]
    if stored:
        verdict.broken.append("only %d CPUs stored in a session, not %d" % (min(map(len, stored)), cpus))
    return verdict


def describe(verdict):
    figures = verdict.figures
    text = ("%(rounds)d rounds, %(stores)d stores seen (%(between)d of them in a harvest, %(crossing)d over a page's "
            "end), %(written)d pages written, %(logged)d logged" % figures) if figures else "no round"
    if figures.get("logged"):
        text += ", %.1f %% of those not seen" % (100.0 * figures["extra"] / figures["logged"])
    if figures.get("late"):
        text += ", %d times a page came a round later, behind a fault handler" % figures["late"]
    if figures:
        text += ", %d lost" % figures["lost"]
    return text


def self_test():
    """Traces whose verdict is known; exit status 1 if one gets another."""
    def trace(first_logged, second_logged, between="", still=0, how="invalidated", frames=16, handlers=0):
        rounds = [("1 5-7", between, first_logged), ("1 9", "", second_logged)]
        text = ["start mode 0 pages 16 frames %d" % frames]
        for seen, late, logged in rounds:
            text += ["round %s stores 400 between 0 hypervisor 0 handlers %d crossing 0 unknown 0" %
                     (how, handlers),
                     "seen " + seen, "between " + late, "logged " + logged]
        return text + ["stop still %d cpus 3 4" % still]

    cases = [
        ("all logged", True, trace("1 5-7", "1 9"), 2),
        ("more logged than seen", True, trace("0-15", "0-15"), 2),
        ("one page lost in the first round", False, trace("1 5-6", "1 9 7"), 2),
        ("one page lost in the last round", False, trace("1 5-7", "1"), 2),
        ("logged a round too late", False, trace("5-7", "1 9"), 2),
        ("stored in the harvest, logged at once", True, trace("1 5-7 12", "1 9", between="12"), 2),
        ("stored in the harvest, logged in the next round", True, trace("1 5-7", "1 9 12", between="12"), 2),
        ("stored in the harvest, never logged", False, trace("1 5-7", "1 9", between="12"), 2),
        ("behind a handler, a round too late", True, trace("5-7", "1 9", handlers=1), 2),
        ("behind a handler, never", False, trace("5-7", "9", handlers=1), 2),
        ("behind a handler, too late in the last round", False, trace("1 5-7", "1", handlers=1), 2),
        ("a store while paused", False, trace("1 5-7", "1 9", still=1), 2),
        ("a round without a harvest", False, trace("1 5-7", "1 9", how="unharvested"), 2),
        ("too few CPUs stored", False, trace("1 5-7", "1 9"), 3),
        ("two pages in one frame", False, trace("1 5-7", "1 9", frames=15), 2),
        ("the end is missing", False, trace("1 5-7", "1 9")[:-1], 2),
        ("a round is cut off", False, trace("1 5-7", "1 9")[:4], 2),
        ("nothing", False, [], 2),
    ]
    wrong = [name for name, good, lines, cpus in cases if judge(read(lines), cpus=cpus).good() != good]
    for name in wrong:
        print("wrong verdict: " + name)
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--self"]:
        return self_test()
    if len(sys.argv) != 2:
        print(__doc__.strip())
        return 2
    with open(sys.argv[1]) as f:
        verdict = judge(read(f))
    for session, index, lost in verdict.lost:
        print("session %d round %d lost pages %s" % (session, index, list_pages(lost)))
    for reason in verdict.broken:
        print(reason)
    print(describe(verdict))
    return 0 if verdict.good() else 1


if __name__ == "__main__":
    sys.exit(main())
