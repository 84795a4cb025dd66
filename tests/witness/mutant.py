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


def compile_changed(build, command, source, changed):
    """Compiles one file of the changed sources as its original is compiled in build."""
    command = [word for word in command if word not in ("-MD", "-Werror")]
    for flag in ("-MQ", "-MF", "-o", "-c"):
        at = command.index(flag)
        del command[at:at + 2]
    run(build, command + ["-o", changed, "-c", source])


def link(name, build, out):
    """Makes out/godwit.elf and out/godwit.bin from what is in build and the files of core/ that the mutant changes."""
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
    linker = [c for c in commands if wanted in c and "-o" in c][-1]
    elf, changed = os.path.join(out, "godwit.elf"), []
    for command in commands:  # a header changes all who may include it
        original = command[-1].rpartition("core/src/")
        if original[1] and (original[2] == file or not file.endswith(".c")):
            changed.append(os.path.join(out, original[2] + ".o"))
            compile_changed(build, command, os.path.join(source, original[2]), changed[-1])
    if not changed:
        raise MutantError("%s is not compiled in %s" % (file, build))
    linker[linker.index("-o") + 1] = elf
    # Ours come first, and the first definition of a name counts.
    run(build, linker[:1] + changed + ["-Wl,-z,muldefs"] + linker[1:])
    run(build, ["aarch64-linux-gnu-objcopy", "-O", "binary", elf, os.path.join(out, "godwit.bin")])
    return elf
