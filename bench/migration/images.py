# SPDX-License-Identifier: MIT
"""Builds what both systems boot: the guest, and the disk of their hosts with the guest and QEMU on it."""

import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "lab"))
import cpio  # noqa: E402
import image  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(ROOT, "build/migration")
DISK = os.path.join(OUT, "disk.img")
QEMU = os.path.join(ROOT, "build/qemu")
LIBS = "usr/lib/aarch64-linux-gnu"
GUEST_MIB = 192
PROGRAM = (0x5747000000, 0x5748000000)  # where the guest's program lies; nothing of the hosts' does
COMMAND_LINE = "console=ttyAMA0 quiet panic=-1 load=%s"
DISK_MIB = 512


class Failed(Exception):
    """Something that could not be built or measured; the message says what and why."""


def needed(library, found):
    """Adds the libraries that a program of the arm64 QEMU needs to found: name -> path."""
    for name in image.needed_libraries(library):
        for root in (QEMU, image.SYSROOT):
            path = os.path.realpath(os.path.join(root, LIBS, name))
            if name not in found and os.path.exists(path):
                found[name] = path
                needed(path, found)
        if name not in found and not name.startswith("ld-linux"):
            raise Failed("bench: the arm64 QEMU needs %s, which no package brought" % name)


def add_qemu(folder):
    program = os.path.join(QEMU, "usr/bin/qemu-system-aarch64")
    libraries = {}
    needed(program, libraries)
    os.makedirs(folder + "/lib")
    shutil.copy(program, folder)
    for name, path in libraries.items():
        shutil.copy(path, os.path.join(folder, "lib", name))
    subprocess.run(["aarch64-linux-gnu-strip", folder + "/qemu-system-aarch64"], check=True)


def add_guest(folder, out):
    program = os.path.join(out, "load")
    subprocess.run(["aarch64-linux-gnu-gcc", "--sysroot=" + image.SYSROOT, "-O2", "-static", "-Wall", "-Wextra",
                    "-Werror", "-Wl,-Ttext-segment=%#x" % PROGRAM[0], "-o", program, os.path.join(HERE, "guest.c")], check=True)
    archive = cpio.Archive()
    archive.node("dev/console", 5, 1)
    archive.file("init", program, 0o755)
    archive.write(folder + "/load.cpio")
    shutil.copy(image.kernel_image(), folder + "/linux")
    with open(folder + "/load.cfg", "w", encoding="ascii") as f:
        f.write('kernel = "/srv/guests/linux"\nramdisk = "/srv/guests/load.cpio"\nmemory = %d\nvcpus = 1\n' % GUEST_MIB)


def build():
    """Everything; returns the path of the disk. Raises Failed."""
    for command in (["scripts/build", "host", "el2-release", "dom0", "image"], ["scripts/deps", "--qemu"]):
        if subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False).returncode != 0:
            raise Failed("bench: %s failed" % " ".join(command))
    stage, disk = OUT + "/srv", DISK
    os.makedirs(OUT, exist_ok=True)
    shutil.rmtree(stage, ignore_errors=True)
    os.makedirs(stage + "/guests")
    add_guest(stage + "/guests", OUT)
    add_qemu(stage + "/qemu")
    with open(disk + ".new", "wb") as f:
        f.truncate(DISK_MIB << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal,^metadata_csum", "-L", "srv",
                    "-E", "lazy_itable_init=1,root_owner=0:0", "-d", stage, disk + ".new"],
                   check=True, env=dict(os.environ, PATH=os.environ["PATH"] + ":/sbin:/usr/sbin"))
    os.rename(disk + ".new", disk)
    shutil.rmtree(stage)
    return disk


def qemu_versions():
    """(the emulator's here, the one that runs the guest under KVM)"""
    here = subprocess.run(["qemu-system-aarch64", "--version"], capture_output=True, text=True, check=True).stdout
    with open(os.path.join(QEMU, "packages"), encoding="utf-8") as f:
        packages = dict(line.split() for line in f)
    return here.splitlines()[0], packages["qemu-system-arm"]
