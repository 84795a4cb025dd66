# SPDX-License-Identifier: MIT
"""Leaves no process behind: orphans of what this process starts come to it, and end with it."""

import ctypes
import os
import signal
import sys
import time

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans():
    """From now on, a process whose parent ends becomes our child if we started that parent."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children():
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open("/proc/%s/stat" % entry) as f:
                    if int(f.read().rpartition(")")[2].split()[1]) == os.getpid():
                        found.append(int(entry))
            except (OSError, IndexError, ValueError):
                pass
    return found


def reap(pid):
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def end_descendants(spare=()):
    """Ends all that this process has started but those to spare: first they are asked, after three seconds made to."""
    for attempt in range(50):
        pids = [pid for pid in children() if pid not in spare]
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGTERM if attempt < 30 else signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.1)
        for pid in pids:
            reap(pid)


def end_on_signals():
    """An interrupt ends this process and all that it has started."""
    def stop(number, _):
        print("interrupted", file=sys.stderr)
        end_descendants()
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
