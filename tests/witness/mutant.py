# SPDX-License-Identifier: MIT
"""Links a hypervisor with one rule of core/ broken: the mutants of core/tests/mutants/mutants.py."""

import os
import pathlib
import shlex
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "core/tests/mutants"))
import mutants  # noqa: E402


class MutantError(Exception):
    pass


def commands_for(build, target):
    listing = subprocess.run(["ninja", "-C", build, "-t", "commands", target], stdout=subprocess.PIPE, text=True,
                             check=True).stdout
    return [shlex.split(line) for line in listing.splitlines()]


def run(build, command):
    done = subprocess.run(command, cwd=build, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise MutantError(done.stdout)


def link(name, build, out):
    """Makes out/godwit.elf and out/godwit.bin from what is in build, with one source file compiled again."""
    build, out = os.path.abspath(build), os.path.abspath(out)
    source = os.path.join(out, "src")
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(os.path.join(ROOT, "core/src"), source)
    try:
        mutants.apply(name, pathlib.Path(source))
    except SystemExit:
        raise MutantError("%s does not apply" % name) from None
    file, wanted = mutants.MUTANTS[name][1], "hypervisor/godwit-nosymbols.elf"
    run(build, ["ninja", wanted])  # objects of older sources would not fit
    commands = commands_for(build, wanted)
    compiling = [c for c in commands if c[-1].endswith("core/src/" + file)]
    linking = [c for c in commands if wanted in c and "-o" in c]
    if not file.endswith(".c") or not compiling or not linking:
        raise MutantError("cannot build %s alone in %s" % (file, build))
    changed, elf = os.path.join(out, "mutant.o"), os.path.join(out, "godwit.elf")
    compiler = [word for word in compiling[0] if word not in ("-MD", "-Werror")]
    for flag in ("-MQ", "-MF", "-o", "-c"):
        at = compiler.index(flag)
        del compiler[at:at + 2]
    run(build, compiler + ["-o", changed, "-c", os.path.join(source, file)])
    linker = list(linking[-1])
    linker[linker.index("-o") + 1] = elf
    # Ours comes first, and the first definition of a name counts.
    run(build, linker[:1] + [changed, "-Wl,-z,muldefs"] + linker[1:])
    run(build, ["aarch64-linux-gnu-objcopy", "-O", "binary", elf, os.path.join(out, "godwit.bin")])
    return elf
