# SPDX-License-Identifier: MIT
"""What the system tests share: running commands on lab hosts, waiting, verdicts."""

import concurrent.futures
import os
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "lab"))
import hosts  # noqa: E402

LONG = bool(os.environ.get("GODWIT_TEST_LONG"))


class Failure(Exception):
    """The program under test did something wrong."""


class Skip(Exception):
    """The test cannot say anything here; the text says why."""


def expect(condition, text):
    if not condition:
        raise Failure(text)


def times(short, long, what):
    """Counts to `short`, with --long to `long`, or to GODWIT_TEST_TIMES, and says from time to time how far it is."""
    total, told = int(os.environ.get("GODWIT_TEST_TIMES", 0)) or (long if LONG else short), time.monotonic()
    for number in range(total):
        if time.monotonic() - told > 20:
            told = time.monotonic()
            print("      %d of %d %s" % (number, total, what), flush=True)
        yield number


class Bench:
    """A lab that is up, for the tests of one module."""

    def __init__(self, lab):
        self.lab = lab
        self.scale = lab.settings()["scale"]
        self.hosts = list(lab.settings()["hosts"])

    def run(self, host, command, seconds=120):
        """Runs a command (words, or a string for the shell) on a host; its status is the caller's."""
        try:
            return self.lab.run(host, command, capture_output=True, text=True, errors="replace",
                                timeout=seconds * self.scale, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired as error:
            raise Failure("%s: %s did not end in %d s" % (host, command, seconds * self.scale)) from error

    def check(self, host, command, seconds=120, status=0):
        """Runs a command that must end with this status; returns its standard output."""
        result = self.run(host, command, seconds)
        expect(result.returncode == status, "%s: %s\n    ended with %d, not %d\n%s%s"
               % (host, command if isinstance(command, str) else " ".join(command),
                  result.returncode, status, indent(result.stdout), indent(result.stderr)))
        return result.stdout

    def each(self, function):
        """What function(host) returns for each host, asked at the same time. {host: answer}"""
        with concurrent.futures.ThreadPoolExecutor(len(self.hosts)) as pool:
            return dict(zip(self.hosts, pool.map(function, self.hosts)))

    def wait(self, what, condition, progress=lambda: None, seconds=30):
        """Waits until condition() is true, as long as progress() goes on changing."""
        last, since = None, time.monotonic()
        while True:
            answer = condition()
            if answer:
                return answer
            now = progress()
            if now != last:
                last, since = now, time.monotonic()
            if time.monotonic() - since > seconds * self.scale:
                raise Failure("%s: nothing happened for %d s; last seen: %s"
                              % (what, seconds * self.scale, str(last)[-400:]))
            time.sleep(0.1)


def indent(text):
    return "".join("    | " + line + "\n" for line in text.splitlines()[-40:])
