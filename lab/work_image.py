# SPDX-License-Identifier: MIT
"""Builds the ramdisk of the guest that does real work (lab/work) from Debian's arm64 packages.

usage: lab/work_image.py OUTPUT_FOLDER      (run by scripts/build; the packages come from scripts/deps --work)
"""

import glob
import hashlib
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import image  # noqa: E402
from image import LIBS, ROOT, SYSROOT  # noqa: E402

HERE = os.path.join(image.LAB, "work")
PACKAGES = os.path.join(ROOT, "build/work")
PROGRAMS = ["redis-server", "redis-check-rdb", "sort", "xz", "tcc", "memtester"]
CFLAGS = ["-O2", "-Wall", "-Wextra", "-Werror"]
TCC = LIBS + "/tcc"
# What a linker adds to a program of C by itself. The linker script of libc names the others of libc.
START_FILES = ["crt1.o", "crti.o", "crtn.o", "libc.so", "libc_nonshared.a"]
SEEDS, SETS = 6, {"small": 20000, "large": 200000}  # lines of data in one pass of sort or xz


def cross(out, *words):
    subprocess.run(["aarch64-linux-gnu-gcc", "--sysroot=" + SYSROOT, "-o", out, *CFLAGS, *words], check=True)


def native(out, *words):
    subprocess.run(["gcc", "-o", out, *CFLAGS, *words], check=True)


def find(path):
    """A file of the work's packages, or of the sysroot; the real file behind symbolic links."""
    for root in (PACKAGES, SYSROOT):
        found = os.path.realpath(os.path.join(root, path))
        if os.path.isfile(found):
            return found
    raise SystemExit("work_image: no package brought /" + path)


def add_libraries(archive, names):
    for name in names:
        target = "usr/lib/" + name if name.startswith("ld-linux") else LIBS + "/" + name
        if target not in archive:
            source = find(target)
            archive.file(target, source, 0o755)
            add_libraries(archive, image.needed_libraries(source))


def add_programs(archive):
    for name in PROGRAMS:
        places = [p for p in ("usr/bin/", "usr/sbin/") if os.path.lexists(os.path.join(PACKAGES, p + name))]
        source = find((places or ["usr/bin/"])[0] + name)
        same = [path for path, other in archive.sources.items() if other == source]
        if same:  # one program by two names
            archive.link("usr/local/bin/" + name, os.path.basename(same[0]))
            continue
        archive.sources["usr/local/bin/" + name] = source
        archive.file("usr/local/bin/" + name, source, 0o755)
        add_libraries(archive, image.needed_libraries(source))


def headers():
    """All headers that the small compile needs, by tcc's own and libc's folders."""
    places = [os.path.join(PACKAGES, TCC, "include"), os.path.join(SYSROOT, "usr/include/aarch64-linux-gnu"),
              os.path.join(SYSROOT, "usr/include")]
    words = [word for place in places for word in ("-isystem", place)]
    rules = subprocess.run(["aarch64-linux-gnu-gcc", "-nostdinc", *words, "-fno-canonical-system-headers", "-M",
                            *glob.glob(HERE + "/compile/*.c")], capture_output=True, text=True, check=True).stdout
    found = {word for word in rules.split() if word.endswith(".h") and not word.startswith(HERE)}
    return sorted(path_in_packages(header) for header in found)


def path_in_packages(path):
    for root in (PACKAGES + "/", SYSROOT + "/"):
        if path.startswith(root):
            return path[len(root):]
    raise SystemExit("work_image: no package brought " + path)


def add_compiler(archive):
    for name in os.listdir(os.path.join(PACKAGES, TCC)):
        if name.endswith((".a", ".o")):
            archive.file(TCC + "/" + name, find(TCC + "/" + name))
    for path in [LIBS + "/" + name for name in START_FILES] + headers():
        archive.file(path, find(path))
    archive.tree("etc/work/compile", os.path.join(HERE, "compile"))


def sums_of(program, seed, lines):
    data = subprocess.run([program, str(seed), str(lines)], capture_output=True, check=True).stdout
    in_order = b"".join(sorted(data.splitlines(keepends=True)))
    return "%d %d %s %s\n" % (seed, lines, hashlib.sha256(data).hexdigest(), hashlib.sha256(in_order).hexdigest())


def add_answers(archive, out):
    """What must come out, computed here: sums of the data, plain and in order, and what the program says."""
    native(out + "/data", os.path.join(HERE, "data.c"))
    native(out + "/program", *sorted(glob.glob(HERE + "/compile/*.c")))
    archive.text("etc/work/compile.answer", subprocess.run([out + "/program"], capture_output=True, text=True,
                                                           check=True).stdout)
    for name, lines in SETS.items():
        archive.text("etc/work/sums." + name,
                     "".join(sums_of(out + "/data", seed, lines) for seed in range(1, SEEDS + 1)))


def main():
    out = sys.argv[1]
    work = os.path.join(out, "work")
    os.makedirs(work, exist_ok=True)
    archive = image.new_archive()
    archive.sources = {}
    archive.file("init", os.path.join(HERE, "init"), 0o755)
    archive.file("usr/local/bin/worker", os.path.join(HERE, "worker"), 0o755)
    image.add_modules(archive, image.GUEST_MODULES)
    for name in ("asker", "data"):
        cross(os.path.join(work, name + "-arm64"), "-static", os.path.join(HERE, name + ".c"))
        archive.file("usr/local/bin/" + name, os.path.join(work, name + "-arm64"), 0o755)
    add_programs(archive)
    add_compiler(archive)
    add_answers(archive, work)
    archive.write(os.path.join(work, "work.cpio"))
    # Packed: what Linux frees after unpacking keeps its content, and would travel with the guest.
    subprocess.run(["zstd", "-q", "-f", "-10", os.path.join(work, "work.cpio"), "-o", os.path.join(out, "work.zst")],
                   check=True)


if __name__ == "__main__":
    main()
