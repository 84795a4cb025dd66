# SPDX-License-Identifier: MIT
"""Makes the Linux guest that the witness watches: one program as /init, packed for a control domain.

usage: tests/witness/image.py OUTPUT_FOLDER      (run by scripts/build, after the parts host and el2)
"""

import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "lab"))
import cpio  # noqa: E402
import image  # noqa: E402

GUEST_MIB = 64  # one piece of a CLEAN: a harvest in one go is watched most exactly
GUEST_VCPUS = 4
COMMAND_LINE = "console=ttyAMA0 quiet cma=0"


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    load, archive = os.path.join(out, "load"), cpio.Archive()
    subprocess.run(["aarch64-linux-gnu-gcc", "--sysroot=" + image.SYSROOT, "-O2", "-static", "-Wall", "-Wextra",
                    "-Werror", "-o", load, os.path.join(HERE, "load.c")], check=True)
    archive.node("dev/console", 5, 1)
    archive.file("init", load, 0o755)
    archive.write(os.path.join(out, "load.cpio"))
    subprocess.run([os.path.join(ROOT, "build/host/tests/witness/bundle"), os.path.join(out, "guest.bundle"),
                    image.kernel_image(), os.path.join(out, "load.cpio"), str(GUEST_MIB), str(GUEST_VCPUS),
                    COMMAND_LINE], check=True)


if __name__ == "__main__":
    main()
