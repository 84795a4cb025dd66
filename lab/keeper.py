# SPDX-License-Identifier: MIT
"""Keeps the emulated hosts of one lab: starts them, switches frames between them, ends them.

usage: lab/keeper.py STATE_FOLDER [OWNER_PID]     (started by scripts/lab up)

The folder holds lab.json: {"hosts": {NAME: {"argv": [...]}}}. Each host's network card connects to
net-NAME.sock there. Commands come as one line on control.sock and get one line back:
  stop | start NAME | kill NAME | link NAME on|off | running
The hosts never outlive the keeper (setpriv --pdeathsig), nor the keeper its owner, if it has one.
"""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys

FRAME_MAX = 69632  # QEMU's buffer: longer is a broken stream
BACKLOG_MAX = 8 << 20  # bytes kept for a slow host; beyond that frames are dropped, as a wire does


class Port:
    """One host's end of the network: a listening socket, and its connection once QEMU is there."""

    def __init__(self, name, listener):
        self.name, self.listener = name, listener
        self.peer, self.inbox, self.outbox, self.up = None, bytearray(), bytearray(), True

    def frames(self):
        """Takes the complete frames out of the inbox; None for a broken stream."""
        found, at = [], 0
        while len(self.inbox) - at >= 4:
            size = int.from_bytes(self.inbox[at:at + 4], "big")
            if size > FRAME_MAX:
                return None
            if len(self.inbox) - at - 4 < size:
                break
            found.append(bytes(self.inbox[at:at + 4 + size]))
            at += 4 + size
        del self.inbox[:at]
        return found


class Keeper:
    def __init__(self):
        with open("lab.json") as f:
            self.hosts = json.load(f)["hosts"]
        self.selector = selectors.DefaultSelector()
        self.ports, self.station, self.processes = {}, {}, {}
        self.stopping = False

    # -- network ---------------------------------------------------------------------------------

    def listen(self, path, callback):
        if os.path.exists(path):
            os.unlink(path)
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.bind(path)
        os.chmod(path, 0o600)
        s.listen()
        s.setblocking(False)
        self.selector.register(s, selectors.EVENT_READ, callback)
        return s

    def add_port(self, name):
        port = Port(name, None)
        port.listener = self.listen("net-%s.sock" % name, lambda _: self.connected(port))
        self.ports[name] = port

    def connected(self, port):
        peer, _ = port.listener.accept()
        self.disconnect(port)
        peer.setblocking(False)
        port.peer = peer
        self.selector.register(peer, selectors.EVENT_READ, lambda mask: self.ready(port, mask))

    def disconnect(self, port):
        if port.peer:
            self.selector.unregister(port.peer)
            port.peer.close()
        port.peer, port.inbox, port.outbox = None, bytearray(), bytearray()

    def ready(self, port, mask):
        try:
            if mask & selectors.EVENT_WRITE:
                self.flush(port)
            if mask & selectors.EVENT_READ:
                data = port.peer.recv(1 << 18)
                if not data:
                    return self.disconnect(port)
                port.inbox += data
                frames = port.frames()
                if frames is None:
                    return self.disconnect(port)
                for frame in frames:
                    self.forward(port, frame)
        except BlockingIOError:
            pass
        except OSError:
            self.disconnect(port)

    def forward(self, source, frame):
        if not source.up or len(frame) < 18:
            return
        to, sender = frame[4:10], frame[10:16]
        self.station[sender] = source
        known = None if to[0] & 1 else self.station.get(to)
        for port in [known] if known else list(self.ports.values()):
            if port is not source and port.up and port.peer:
                if len(port.outbox) < BACKLOG_MAX:
                    port.outbox += frame
                self.flush(port)

    def flush(self, port):
        try:
            while port.outbox:
                del port.outbox[:port.peer.send(port.outbox[:1 << 18])]
        except BlockingIOError:
            pass
        except OSError:
            return self.disconnect(port)
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if port.outbox else 0)
        key = self.selector.get_key(port.peer)
        if key.events != wanted:
            self.selector.modify(port.peer, wanted, key.data)
        return None

    # -- processes -------------------------------------------------------------------------------

    def start(self, name):
        log = open("qemu-%s.log" % name, "ab")
        self.processes[name] = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL"] + self.hosts[name]["argv"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()

    def running(self):
        return [n for n, p in self.processes.items() if p.poll() is None]

    def kill(self, name):
        if name in self.processes:
            self.processes[name].kill()
            self.processes[name].wait()

    # -- commands --------------------------------------------------------------------------------

    def command(self, listener):
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(5)
            try:
                words = peer.makefile().readline().split()
                peer.sendall((self.obey(words) + "\n").encode())
            except OSError:
                pass

    def obey(self, words):
        verb, rest = (words[0], words[1:]) if words else ("", [])
        if verb == "stop":
            self.stopping = True
            return "ok"
        if verb == "running":
            return " ".join(self.running())
        if not rest or rest[0] not in self.hosts:
            return "error: no such command or host"
        name = rest[0]
        if verb == "start" and name not in self.running():
            self.start(name)
        elif verb == "kill":
            self.kill(name)
        elif verb == "link" and rest[1:] in (["on"], ["off"]):
            self.ports[name].up = rest[1] == "on"
        else:
            return "error: cannot do that"
        return "ok"

    def watch_owner(self, pid):
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            self.stopping = True
            return
        self.selector.register(fd, selectors.EVENT_READ, lambda _: setattr(self, "stopping", True))

    def run(self, owner):
        for name in self.hosts:
            self.add_port(name)
        control = self.listen("control.sock", lambda _: self.command(control))
        if owner:
            self.watch_owner(owner)
        for name in self.hosts:
            self.start(name)
        with open("keeper.pid", "w") as f:
            f.write("%d\n" % os.getpid())
        while not self.stopping:
            for key, mask in self.selector.select(10):
                key.data(mask)
            self.running()  # collects ended hosts
        for name in self.hosts:
            self.kill(name)


def main():
    os.chdir(sys.argv[1])
    keeper = Keeper()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: setattr(keeper, "stopping", True))
    # A signal must end select(): without this, Python restarts the call.
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    signal.set_wakeup_fd(right.fileno())
    keeper.selector.register(left, selectors.EVENT_READ, lambda _: left.recv(64))
    keeper.run(int(sys.argv[2]) if len(sys.argv) > 2 else None)


if __name__ == "__main__":
    main()
