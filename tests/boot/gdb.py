# SPDX-License-Identifier: MIT
"""Enough of GDB's remote protocol to stop QEMU at a function and change registers."""

import socket
import time

SP, PC = 31, 32


class Gdb:
    def __init__(self, path, seconds=20):
        deadline = time.monotonic() + seconds
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(path)
                break
            except OSError:
                self.socket.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self.socket.settimeout(seconds)
        self.data = b""
        # QEMU takes single registers only from those who have read what registers there are.
        self.ask("qXfer:features:read:target.xml:0,fff")

    def close(self):
        self.socket.close()

    def receive(self):
        """The body of the next packet."""
        while True:
            start = self.data.find(b"$")
            end = self.data.find(b"#", start)
            if start >= 0 and end >= 0 and len(self.data) >= end + 3:
                body, self.data = self.data[start + 1:end], self.data[end + 3:]
                self.socket.sendall(b"+")
                return body.decode()
            more = self.socket.recv(4096)
            if not more:
                raise EOFError("QEMU closed the connection")
            self.data += more

    def send(self, body):
        self.socket.sendall(b"$%s#%02x" % (body.encode(), sum(body.encode()) % 256))

    def ask(self, body):
        self.send(body)
        return self.receive()

    def want_ok(self, body):
        answer = self.ask(body)
        if answer != "OK":
            raise RuntimeError("%s: %s" % (body, answer))

    def run_to(self, address):
        """Goes on until the boot CPU is at address."""
        self.want_ok("Z1,%x,4" % address)
        self.ask("c")
        self.want_ok("z1,%x,4" % address)

    def set_register(self, number, value):
        self.want_ok("P%x=%s" % (number, value.to_bytes(8, "little").hex()))

    def go_on(self):
        self.send("c")
