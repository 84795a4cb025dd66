#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds the migration with one rule broken at a time and checks that the matrix notices.

usage: mutants.py BUILD [NAME...]

BUILD is meson's folder. There a test program without sanitizers is linked again with the one file
that a mutant changes, and a case that must fail is run. First every such case must pass, and a mutant
that breaks nothing must survive. One line per mutant; exit status 0 when all were noticed.
"""
import concurrent.futures
import os
import shlex
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARY = os.path.join(os.path.dirname(os.path.dirname(HERE)), "libgodwit")
TESTS = "toolstack/tests/migration/"
SECONDS = 60

STEPS, PAIRS = "test_matrix", "test_matrix_pairs"

# name: (test, the case that must notice, file in toolstack/libgodwit, text to find once, text in its place)
MUTANTS = {
    "log-stays-on": (STEPS, "cut source-round1", "precopy.c",
        "rc = also(rc, host->ops->log_stop(host->ctx, domid, &next), err, &next);", ";"),
    "stays-paused": (STEPS, "cut source-state", "precopy.c",
        "int failed = host->ops->unpause(host->ctx, domid, &next);", "int failed = 0;"),
    "last-writes-are-not-taken": (STEPS, "short writes", "precopy.c",
        "if (precopy_round_harvest(p, true, true, err) || ", "if ("),
    "go-is-not-noted": (STEPS, "cut source-end", "migrate_send.c",
        "    handover_guard_add(s->guard, HANDOVER_GONE);\n", ""),
    "runs-here-after-go": (STEPS, "cut source-end", "migrate_send.c",
        "    explain_unknown(s->options->name, s->options->host, s->err);",
        "    s->host.ops->unpause(s->host.ctx, s->source.guest.domid, &unused);\n    explain_unknown(s->options->name, s->options->host, s->err);"),
    "arrives-paused-so-stays-paused": (STEPS, "paused source-stopped:kill", "migrate_send.c",
        "    s->guard->was_paused = s->source.guest.config.paused;\n",
        "    s->guard->was_paused = s->options->paused;\n"),
    "destroyed-guest-comes-to-life": (STEPS, "destroy source-ready", "migrate_send.c",
        "return s->host.ops->is_paused(s->host.ctx, s->source.guest.domid, &paused, s->err);",
        "return paused = false;"),
    "old-copy-stays": (STEPS, "short writes", "migrate_send.c",
        "if (s->host.ops->destroy(s->host.ctx, s->source.guest.domid, s->err) == 0)", "if (true)"),
    "guard-of-the-source-does-nothing": (STEPS, "kill source-final", "migrate_send.c",
        "        if (precopy_undo(guard, &host, &unused))\n            gw_error_set(err, GW_EXIT_FAILED, \"the migration was killed",
        "        if (false)\n            gw_error_set(err, GW_EXIT_FAILED, \"the migration was killed"),
    "does-not-wait-for-accept": (PAIRS, "no memory there", "migrate_send.c",
        "handover_expect(&s->transport.io, HANDOVER_ACCEPT, NULL, 0, s->err))", "false)"),
    "runs-there-without-go": (STEPS, "stop source-ready", "migrate_receive.c",
        "if (build(r) || await_go(r) || resume(r)) {",
        "if (build(r) || (await_go(r) && false) || resume(r)) {"),
    "half-a-guest-stays": (STEPS, "cut dest-created", "restore_build.c",
        "        b->host->ops->destroy(b->host->ctx, b->domid, &unused);\n    b->created", "        ;\n    b->created"),
    "guard-of-the-destination-does-nothing": (STEPS, "kill dest-pages", "restore_build.c",
        "        host.ops->destroy(host.ctx, guest.domid, &unused);", "        ;"),
    "name-is-looked-for-once": (PAIRS, "name taken meanwhile, pages", "restore_build.c",
        "    return check_name_is_free(b, err); /* once more", "    return 0; /* once more"),
    "compares-with-the-wrong-page": (STEPS, "short writes", "page_view.c",
        "        next += zero[i] ? 0 : STREAM_PAGE_BYTES;", "        next += STREAM_PAGE_BYTES;"),
}
HARMLESS = (STEPS, "cut source-round1", "precopy.c", "#define PACE_STEP_MS 50u", "#define PACE_STEP_MS 51u")


class Failure(Exception):
    """A mutant that does not apply or compile."""


def commands(build, program):
    """How ninja links the program, and how it compiles each file of its library."""
    out = subprocess.run(["ninja", "-C", build, "-t", "commands", TESTS + program], check=True,
                         capture_output=True, text=True).stdout.splitlines()
    compiles = {os.path.basename(line.rsplit(" ", 1)[1]): line for line in out if " -c " in line}
    return next(line for line in out if " -o %s " % (TESTS + program) in line), compiles


def run(command, build):
    done = subprocess.run(command, cwd=build, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace")
    if done.returncode != 0:
        raise Failure(done.stdout)


def link_mutant(build, mutant, folder):
    test, _, name, old, new = mutant
    link, compiles = commands(build, test + "_plain")
    with open(os.path.join(LIBRARY, name), encoding="utf-8") as f:
        text = f.read()
    if text.count(old) != 1:
        raise Failure("%s holds the text to replace %d times, not once" % (name, text.count(old)))
    source, object_file, program = (os.path.join(folder, x) for x in (name, name + ".o", "program"))
    with open(source, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new))
    words = shlex.split(compiles[name])
    kept = words[:words.index("-MD")]  # then come the names of the files it writes and reads
    run([w for w in kept if w not in ("-Werror", "-g")] + ["-w", "-I" + LIBRARY, "-c", source, "-o", object_file], build)
    words = shlex.split(link)
    words[words.index("-o") + 1] = program
    words.insert(next(i for i, w in enumerate(words) if w.endswith("libmigration_plain.a")), object_file)
    run(words, build)
    return program


def fails(program, case):
    try:
        done = subprocess.run([program, case], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", timeout=SECONDS, env=dict(os.environ, GODWIT_TEST_JOBS="2"))
    except subprocess.TimeoutExpired:
        return "hangs"
    if done.returncode == 0:
        return None
    return next((x for x in done.stdout.splitlines() if x.startswith("FAIL")), "exit status %d" % done.returncode)


def verdict(build, name, mutant, survives=False):
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder:
            sign = fails(link_mutant(build, mutant, folder), mutant[1])
    except Failure as e:
        return "ERROR", "mutant %s: %s" % (name, e)
    good = (sign is None) == survives
    return "PASS" if good else "FAIL", "mutant %s (%s), %.1f s" % (name, sign or "survived", time.monotonic() - began)


def baseline(build, test, case):
    sign = fails(os.path.join(build, TESTS, test + "_plain"), case)
    return "FAIL" if sign else "PASS", "no mutant, %s: %s (%s)" % (test, case, sign or "passes")


def main():
    build, names = os.path.abspath(sys.argv[1]), sys.argv[2:] or list(MUTANTS)
    chosen = {name: MUTANTS[name] for name in names}
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        jobs = [pool.submit(baseline, build, *x) for x in sorted({m[:2] for m in chosen.values()})]
        jobs += [pool.submit(verdict, build, name, mutant) for name, mutant in chosen.items()]
        jobs.append(pool.submit(verdict, build, "that breaks nothing", HARMLESS, survives=True))
        for job in jobs:
            result, text = job.result()
            print("%-5s %s" % (result, text), flush=True)
            bad += result != "PASS"
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
