# SPDX-License-Identifier: MIT
"""Builds what an emulated host boots: control-domain initramfs, Linux guest, disk with guests.

usage: lab/image.py OUTPUT_FOLDER      (run by scripts/build; the sysroot comes from scripts/deps)
"""

import glob
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cpio  # noqa: E402

LAB = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(LAB)
SYSROOT = os.path.realpath(os.path.join(ROOT, "build/sysroot"))
LIBS = "usr/lib/aarch64-linux-gnu"

# Kernel modules of each image; what they depend on is added, in load order.
CONTROL_MODULES = ["virtio_mmio", "virtio_pci", "virtio_net", "virtio_blk", "virtio-rng",
                   "crc32c_generic", "ext4", "xen-privcmd", "xenfs", "xen-evtchn", "xen-gntdev"]
GUEST_MODULES = ["gpio_keys", "evdev"]
# Libraries present even if no installed program needs them: what people link test programs with.
CONTROL_LIBS = ["libxenctrl.so.4.17", "libxencall.so.1", "libxenforeignmemory.so.1",
                "libxenevtchn.so.1", "libxendevicemodel.so.1", "libxentoolcore.so.1",
                "libfdt.so.1", "libzstd.so.1", "libjson-c.so.5", "libgnutls.so.30", "libz.so.1"]
DISK_MIB = 1024


def kernel_version():
    with open(os.path.join(SYSROOT, "kernel-version")) as f:
        return f.read().strip()


def kernel_image():
    return os.path.join(SYSROOT, "boot/vmlinuz-" + kernel_version())


def module_files(names):
    """Paths below lib/modules/VERSION of the modules and all that they need, in load order."""
    base = os.path.join(SYSROOT, "usr/lib/modules", kernel_version())
    needs, by_name = {}, {}
    with open(os.path.join(base, "modules.dep")) as f:
        for line in f:
            path, _, deps = line.partition(":")
            needs[path] = deps.split()
            by_name[os.path.basename(path)[:-3].replace("-", "_")] = path
    order = []

    def visit(path):
        for dep in needs[path]:
            visit(dep)
        if path not in order:
            order.append(path)

    for name in names:
        visit(by_name[name.replace("-", "_")])
    return base, order


def add_modules(archive, names):
    base, order = module_files(names)
    for path in order:
        archive.file("lib/modules/" + os.path.basename(path), os.path.join(base, path))
    archive.text("etc/modules", "".join(os.path.basename(p) + "\n" for p in order))


def needed_libraries(path):
    out = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.*)\]", out)


def add_libraries(archive, names):
    """Adds shared libraries of the sysroot and, again and again, those that they need."""
    for name in names:
        target = LIBS + "/" + name
        if target in archive:
            continue
        source = os.path.realpath(os.path.join(SYSROOT, LIBS, name))
        if not os.path.exists(source):
            raise SystemExit("image: no such library in the sysroot: " + name)
        archive.file(target, source)
        add_libraries(archive, needed_libraries(source))


def add_program(archive, path, source):
    archive.file(path, source, 0o755)
    add_libraries(archive, needed_libraries(source))


def new_archive():
    archive = cpio.Archive()
    for name in ("bin", "sbin", "lib"):
        archive.directory("usr/" + name)
        archive.link(name, "usr/" + name)
    for name in ("proc", "sys", "tmp", "run", "root", "srv", "var/log", "dev/pts", "mnt"):
        archive.directory(name)
    archive.node("dev/console", 5, 1)
    archive.node("dev/null", 1, 3, 0o666)
    archive.file("usr/bin/busybox", os.path.join(SYSROOT, "usr/bin/busybox"))
    archive.link("usr/bin/sh", "busybox")
    return archive


def add_toolstack(archive, installed):
    """Adds what `meson install` of the toolstack left below `installed`, and its libraries."""
    if not os.path.isdir(installed):
        return
    archive.tree("/", installed)
    for path, (_, data, _) in list(archive.entries.items()):
        source = os.path.join(installed, path)
        if data[:4] == b"\x7fELF" and os.path.isfile(source):
            own = os.path.join(installed, LIBS)
            missing = [n for n in needed_libraries(source) if not os.path.exists(os.path.join(own, n))]
            add_libraries(archive, missing)


def build_control(out):
    archive = new_archive()
    archive.file("init", os.path.join(LAB, "control/init"), 0o755)
    archive.tree("etc", os.path.join(LAB, "control/etc"))
    archive.file("usr/bin/wire", os.path.join(LAB, "control/wire"), 0o755)
    add_modules(archive, CONTROL_MODULES)
    loader = os.path.realpath(os.path.join(SYSROOT, "usr/lib/ld-linux-aarch64.so.1"))
    archive.file("usr/lib/ld-linux-aarch64.so.1", loader, 0o755)
    add_program(archive, "usr/sbin/dropbear", os.path.join(SYSROOT, "usr/sbin/dropbear"))
    add_program(archive, "usr/bin/ssh", os.path.join(SYSROOT, "usr/bin/ssh"))
    add_libraries(archive, CONTROL_LIBS)
    add_toolstack(archive, os.path.join(ROOT, "build/dom0/installed"))
    archive.write(os.path.join(out, "control.cpio"))


def build_guest(out):
    ticker = os.path.join(out, "ticker")
    subprocess.run(["aarch64-linux-gnu-gcc", "--sysroot=" + SYSROOT, "-O2", "-static", "-Wall",
                    "-Wextra", "-Werror", "-o", ticker, os.path.join(LAB, "guest/ticker.c")], check=True)
    archive = new_archive()
    archive.file("init", os.path.join(LAB, "guest/init"), 0o755)
    archive.file("usr/bin/ticker", ticker)
    add_modules(archive, GUEST_MODULES)
    archive.write(os.path.join(out, "guest.cpio"))


def build_disk(out):
    """An ext4 image that every host gets a copy of, mounted at /srv."""
    stage = os.path.join(out, "srv")
    shutil.rmtree(stage, ignore_errors=True)
    os.makedirs(stage + "/guests")
    shutil.copy(kernel_image(), stage + "/guests/linux")
    shutil.copy(os.path.join(out, "guest.cpio"), stage + "/guests/linux.initrd")
    shutil.copy(os.path.join(out, "work.zst"), stage + "/guests/work.initrd")
    for path in glob.glob(os.path.join(LAB, "guest/*.cfg")) + [os.path.join(LAB, "work/work.cfg")] + \
            glob.glob(os.path.join(ROOT, "build/el2/guests/*.bin")):
        shutil.copy(path, stage + "/guests/")
    disk = os.path.join(out, "disk.img")
    with open(disk + ".new", "wb") as f:
        f.truncate(DISK_MIB << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal,^metadata_csum", "-L", "srv",
                    "-E", "lazy_itable_init=1,root_owner=0:0", "-d", stage, disk + ".new"],
                   check=True, env=dict(os.environ, PATH=os.environ["PATH"] + ":/sbin:/usr/sbin"))
    os.rename(disk + ".new", disk)
    shutil.rmtree(stage)


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    build_control(out)
    build_guest(out)
    build_disk(out)


if __name__ == "__main__":
    main()
