# SPDX-License-Identifier: MIT
"""Writes newc archives, the format of an initramfs, without root: owners are 0, device nodes allowed."""

import os
import stat


class Archive:
    """Collects entries in memory; paths are relative to the root of the file system."""

    def __init__(self):
        self.entries = {}
        self.directory("dev")

    def _add(self, path, mode, data=b"", rdev=(0, 0)):
        path = path.strip("/")
        parent = os.path.dirname(path)
        if parent and parent not in self.entries:
            self.directory(parent)
        self.entries[path] = (mode, data, rdev)

    def directory(self, path, mode=0o755):
        self._add(path, stat.S_IFDIR | mode)

    def link(self, path, target):
        self._add(path, stat.S_IFLNK | 0o777, target.encode())

    def node(self, path, major, minor, mode=0o600):
        self._add(path, stat.S_IFCHR | mode, rdev=(major, minor))

    def text(self, path, content, mode=0o644):
        self._add(path, stat.S_IFREG | mode, content.encode())

    def file(self, path, source, mode=None):
        """Adds the content of a file of this machine; its mode is kept unless given."""
        with open(source, "rb") as f:
            data = f.read()
        if mode is None:
            mode = 0o755 if os.access(source, os.X_OK) else 0o644
        self._add(path, stat.S_IFREG | mode, data)

    def tree(self, path, source):
        """Adds a folder of this machine and all below it; symbolic links stay links."""
        for folder, folders, files in os.walk(source):
            at = os.path.normpath(os.path.join(path, os.path.relpath(folder, source)))
            for name in sorted(files) + [d for d in folders if os.path.islink(os.path.join(folder, d))]:
                item = os.path.join(folder, name)
                if os.path.islink(item):
                    self.link(os.path.join(at, name), os.readlink(item))
                else:
                    self.file(os.path.join(at, name), item)

    def __contains__(self, path):
        return path.strip("/") in self.entries

    def bytes(self):
        out = bytearray()
        for inode, (path, (mode, data, rdev)) in enumerate(self.entries.items(), 1):
            _append(out, inode, path, mode, data, rdev)
        _append(out, 0, "TRAILER!!!", 0, b"", (0, 0))
        return bytes(out)

    def write(self, path):
        """Replaces the file in one step, so that a reader sees the old archive or the new one."""
        with open(path + ".new", "wb") as f:
            f.write(self.bytes())
        os.rename(path + ".new", path)


def _append(out, inode, path, mode, data, rdev):
    name = path.encode() + b"\0"
    nlink = 2 if stat.S_ISDIR(mode) else 1
    fields = (inode, mode, 0, 0, nlink, 0, len(data), 0, 0, rdev[0], rdev[1], len(name), 0)
    out += b"070701" + b"".join(b"%08X" % f for f in fields) + name
    out += b"\0" * (-len(out) % 4)
    out += data
    out += b"\0" * (-len(out) % 4)
