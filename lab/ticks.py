# SPDX-License-Identifier: MIT
"""Reads the console of a guest that runs lab/guest/ticker.c: did it count without a gap?"""

import re

TICK = re.compile(rb"^tick (\d+): (\d+) pages written, none lost\r?$", re.M)


def count(text):
    """The last number counted so far, 0 if none."""
    found = TICK.findall(text)
    return int(found[-1][0]) if found else 0


def faults(text):
    """What is wrong with a guest's console output, as a list of sentences; empty if nothing is. The last line may be
    one that the guest is about to print."""
    wrong = []
    if b"LOST" in text:
        wrong.append("the guest found a page without what it had written: "
                     + text[text.index(b"LOST"):].splitlines()[0].decode(errors="replace"))
    numbers = [int(n) for n, _ in TICK.findall(text)]
    if not numbers:
        return wrong + ["the guest did not count at all"]
    if numbers[0] != 1:
        wrong.append("the count starts with %d" % numbers[0])
    for before, after in zip(numbers, numbers[1:]):
        if after != before + 1:
            wrong.append("after %d came %d" % (before, after))
    for line in re.findall(rb"^.*\btick \d.*\n", text, re.M):
        if not TICK.match(line.strip(b"\r\n")):
            wrong.append("a broken line: %r" % line)
    return wrong
