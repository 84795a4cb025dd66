#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds the migration with one rule broken at a time and checks that the tests notice.

usage: mutants.py BUILD [NAME...]

BUILD is meson's folder. There a test program without sanitizers is linked again with the one file
that a mutant changes, and a case that must fail is run. First every such case must pass, and a mutant
that breaks nothing must survive. One line per mutant; exit status 0 when all were noticed.
"""
import concurrent.futures
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARY = os.path.join(os.path.dirname(os.path.dirname(HERE)), "libgodwit")
TESTS = "toolstack/tests/migration/"
SECONDS = 20  # a mutant that takes longer was noticed
BASELINE_SECONDS = 60

STEPS, PAIRS, MEMORY = "test_matrix", "test_matrix_pairs", "test_matrix_memory"
CONTROL, DETACH, MARK, PIPE, RESOLVE, TRY = (
    "test_control", "test_detach", "test_mark", "test_pipe", "test_resolve", "test_try")
THROTTLE, SAMPLE = "test_throttle", "test_throttle_sample"

# name: (test, the case that must notice, file in toolstack/libgodwit, text to find once, text in its place)
MUTANTS = {
    "log-stays-on": (STEPS, "cut source-round1", "precopy/precopy.c",
        "rc = also(rc, host->ops->log_stop(host->ctx, domid, &next), err, &next);", ";"),
    "stays-paused": (STEPS, "cut source-state", "precopy/precopy.c",
        "int failed = host->ops->unpause(host->ctx, domid, &next);", "int failed = 0;"),
    "last-writes-are-not-taken": (STEPS, "short writes", "precopy/precopy.c",
        "if (precopy_round_harvest(p, true, true, err) || ", "if ("),
    "go-is-not-noted": (STEPS, "cut source-end", "migrate/migrate_send.c",
        "    handover_guard_add(s->guard, HANDOVER_GONE);\n", ""),
    "runs-here-after-go": (STEPS, "cut source-end", "migrate/migrate_sender_end.c",
        "    explain_unknown(s->options->name, s->options->host, s->err);",
        "    s->host.ops->unpause(s->host.ctx, s->source.guest.domid, &unused);\n    explain_unknown(s->options->name, s->options->host, s->err);"),
    "arrives-paused-so-stays-paused": (STEPS, "paused source-stopped:kill", "migrate/migrate_send.c",
        "    s->guard->was_paused = s->source.guest.config.paused;\n",
        "    s->guard->was_paused = s->options->paused;\n"),
    "destroyed-guest-comes-to-life": (STEPS, "destroy source-ready", "migrate/migrate_send.c",
        "return s->host.ops->is_paused(s->host.ctx, s->source.guest.domid, &paused, s->err);",
        "return paused = false;"),
    "old-copy-stays": (STEPS, "short writes", "migrate/migrate_sender_end.c",
        "if (s->host.ops->destroy(s->host.ctx, s->source.guest.domid, s->err) == 0)", "if (true)"),
    "guard-of-the-source-does-nothing": (STEPS, "kill source-final", "migrate/migrate_sender_end.c",
        "        if (precopy_undo(guard, &host, &unused))\n            gw_error_set(err, GW_EXIT_FAILED, \"the migration was killed",
        "        if (false)\n            gw_error_set(err, GW_EXIT_FAILED, \"the migration was killed"),
    "does-not-wait-for-accept": (PAIRS, "no memory there", "migrate/migrate_send.c",
        "handover_expect(&s->transport.io, HANDOVER_ACCEPT, NULL, 0, s->err))", "false)"),
    "runs-there-without-go": (STEPS, "stop source-ready", "migrate/migrate_receive.c",
        "if (build(r) || await_go(r) || resume(r)) {",
        "if (build(r) || (await_go(r) && false) || resume(r)) {"),
    "half-a-guest-stays": (STEPS, "cut dest-created", "restore/restore_build.c",
        "        b->host->ops->destroy(b->host->ctx, b->domid, &unused);\n    b->created", "        ;\n    b->created"),
    "guard-of-the-destination-does-nothing": (STEPS, "kill dest-pages", "restore/restore_build.c",
        "        host.ops->destroy(host.ctx, guest.domid, &unused);", "        ;"),
    "name-is-looked-for-once": (PAIRS, "name taken meanwhile, pages", "restore/restore_build.c",
        "    return check_identity(b, err); /* once more", "    return 0; /* once more"),
    "compares-with-the-wrong-page": (STEPS, "short writes", "pages/page_view.c",
        "        next += zero[i] ? 0 : STREAM_PAGE_BYTES;", "        next += STREAM_PAGE_BYTES;"),
    "waits-for-ever": (STEPS, "stop dest-pages", "handover/handover_io.c", "        if (waited_ms >= io->stall_ms)", "        if (false)"),
    "locks-another-guest": (PAIRS, "crossing guests, round", "restore/restore_build.c",
        "    if (b->host->ops->create(", "    if (migrate_status_lock(\"db\", err) < 0 || b->host->ops->create("),
    "log-stays-on-without-memory": (MEMORY, "call 6 at the source", "precopy/precopy.c",
        "        return throttle_begin(&p->throttle, p->source->host, p->guard, domid, err);\n",
        "        if (throttle_begin(&p->throttle, p->source->host, p->guard, domid, err) == 0)\n            return 0;\n"),
    "half-a-guest-stays-without-memory": (MEMORY, "call 4 at the destination", "restore/restore_build.c",
        "    b->created = true;\n    if (migrate_step(\"dest-created\", err) ||\n        b->host->ops->ranges(b->host->ctx, b->domid, &ours, err))\n        return -1;\n",
        "    if (b->host->ops->ranges(b->host->ctx, b->domid, &ours, err))\n        return -1;\n    b->created = true;\n"),
    # Pages on their way.
    "each-lot-waits-for-the-last": (PIPE, "test_reads_ahead", "pages/page_pipe.c",
        "&p->raw : &p->lanes[job->stream].queue, job);\n",
        "&p->raw : &p->lanes[job->stream].queue, job);\n    while (p->under_way && !is_gone(p))\n        pthread_cond_wait(&p->freed, &p->lock);\n"),
    # Marks.
    "stops-with-pages-on-the-way": (MARK, "test_nothing_on_the_way", "precopy/precopy.c",
        "precopy_round_send(p, p->n > 0, err) || await_pages(p, err))", "precopy_round_send(p, p->n > 0, err))"),
    "time-on-the-way-does-not-count": (MARK, "test_speed_is_the_destinations", "precopy/precopy.c",
        "    p->rounds[p->n].send_ms += ms - p->trip_ms;\n", ""),
    "one-connection-answers-for-all": (MARK, "test_all_connections_answer", "restore/restore_lane.c",
        "        mark.number * b->lanes_n)\n        return 0;", "        mark.number)\n        return 0;"),
    "marks-for-who-knows-none": (MARK, "test_older_destination", "precopy/precopy_mark.c",
        "if (!p->source->can_mark || is_pointless(p))", "if (is_pointless(p))"),
    "waits-when-time-is-up": (MARK, "test_timeout", "precopy/precopy_mark.c",
        "        if (is_pointless(p))\n            return 0;\n", ""),
    # Another shell.
    "cancelled-after-go": (CONTROL, "test_cancel_or_commit", "migrate/migrate_control.c",
        "        turn == TURN_CANCEL)", "        turn == TURN_CANCEL || turn == TURN_GO)"),
    "goes-although-cancelled": (CONTROL, "test_cancel_or_commit", "migrate/migrate_control.c",
        "    int turn = TURN_OPEN;\n\n    /* Relaxed: as in answer_cancel(). */",
        "    int turn = atomic_load(&c->turn);\n"),
    "commit-is-not-asked-for": (CONTROL, "test_cancel_too_late", "migrate/migrate_send.c",
        "if (migrate_overdue_end() || !migrate_control_commit(&s->control))", "if (migrate_overdue_end())"),
    "limits-are-not-taken": (CONTROL, "test_set_timeout", "migrate/migrate_control.c",
        "    *ret_limits = precopy_limits_fill(c->limits);\n", ""),
    "bandwidth-is-not-set": (CONTROL, "test_set_bandwidth", "migrate/migrate_control.c",
        "    if (which & GW_LIMIT_BANDWIDTH)", "    if (false)"),
    "limits-are-set-one-by-one": (CONTROL, "test_bad_requests", "migrate/migrate_limits.c",
        "        set(&taken, row->limit, number);", "        set(&taken, row->limit, number), *limits = taken;"),
    "limits-are-set-after-the-stop": (CONTROL, "test_cancel_too_late", "migrate/migrate_control.c",
        "    c->stopped = true;", "    ;"),
    "status-is-stale": (CONTROL, "test_status_while_it_runs", "migrate/migrate_control.c",
        "    return atomic_load_explicit(&c->asked, memory_order_relaxed);", "    return false;"),
    "active-for-ever": (CONTROL, "test_status_of_the_killed", "migrate/migrate_status.c",
        "    if (!says(status, \"result\", \"active\"))\n", ""),
    "guard-does-not-bury": (CONTROL, "test_status_of_a_killed_worker", "migrate/migrate_sender_end.c",
        "        migrate_status_write(guard->name, status, &unused);\n", ""),
    "end-is-not-written": (CONTROL, "test_status_is_of_the_last", "migrate/migrate_sender_tell.c",
        "if (s->control.open && migrate_status_write(s->control.name, json, &error))", "if (false)"),
    "two-at-a-time": (CONTROL, "test_one_at_a_time", "migrate/migrate_status.c",
        "    if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) == 0)", "    if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) == 0 || true)"),
    "status-is-for-everybody": (CONTROL, "test_for_root_only", "migrate/migrate_status.c",
        "    int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);",
        "    int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);"),
    # The throttle.
    "sample-is-not-asked-for": (THROTTLE, "test_writer_is_found_by_sample", "precopy/throttle.c",
        "writer_sample(t->host->ctx, t->domid, true, err);", "writer_sample(t->host->ctx, t->domid, false, err);"),
    "sample-stays-when-switched-off": (THROTTLE, "test_switched_off_while_sampled", "precopy/throttle.c",
        "return apply(t, before, err) || end_sample(t, err) ? -1 : 0;", "return apply(t, before, err);"),
    "exhausted-although-switched-off": (THROTTLE, "test_switched_off_while_sampled", "precopy/throttle.c",
        "        t->exhausted = false;\n", ""),
    "somebody-else-pays": (THROTTLE, "test_writer_is_found", "precopy/throttle.c",
        "vcpu_throttle(t->host->ctx, t->domid, i, ", "vcpu_throttle(t->host->ctx, t->domid, (i + 1) % t->n, "),
    "undo-does-nothing": (THROTTLE, "test_writer_is_found", "precopy/throttle.c",
        "    if (host->ops->vcpu_throttle(host->ctx, domid, MIGRATE_ALL_VCPUS, 0, err))\n        return -1;\n", ""),
    "sample-is-looked-at-too-early": (THROTTLE, "test_sample_takes_longer_looks", "precopy/throttle.c",
        "    return sample_ms > ms ? sample_ms : ms;", "    return ms;"),
    "released-by-what-it-did-freely": (THROTTLE, "test_table", "precopy/throttle_policy.c",
        "then += with_step_less(vcpus[i].dirty_pages_per_s, &vcpus[i]);",
        "then += free_rate(&vcpus[i]) * (100 - step_down(vcpus[i].percent)) / 100;"),
    "one-hit-makes-a-writer": (SAMPLE, "test_models", "precopy/throttle_sample.c",
        "    return pages < (uint64_t)THROTTLE_SAMPLE_FEW * pages_per_hit &&",
        "    return pages > most &&"),
    "sample-is-taken-for-exact": (SAMPLE, "test_models", "precopy/throttle_sample.c",
        "            sum && !is_chance(pages[i], most, pages_per_hit) ? rate * pages[i] / sum : 0;",
        "            pages[i] * 1000 / ms;"),
    "short-looks-will-do": (SAMPLE, "test_models", "precopy/throttle_sample.c",
        "(uint64_t)THROTTLE_SAMPLE_HITS(n) * pages_per_hit;", "n;"),
    "released-because-nobody-was-seen": (SAMPLE, "test_models", "precopy/throttle_policy.c",
        "    if (measure->sampled) ", "    if (false) "),
    # The user has gone.
    "nobody-guards-what-was-left": (DETACH, "test_worker_is_killed", "handover/handover_guard.c",
        "        work->mend(guard, work->arg, 0);", "        ;"),
    "interrupted-after-go": (DETACH, "test_after_go", "migrate/migrate_send.c",
        "    s->transport.io.cancelled = NULL;\n", ""),
    # A dry run.
    "dry-run-is-not-said": (TRY, "test_gone_before_the_answer", "migrate/migrate_streams.c",
        ".flags = only_try ? HANDOVER_BEGIN_TRY : 0", ".flags = 0"),
    "tried-guest-stays-a-while": (TRY, "test_possible", "migrate/migrate_receive.c",
        "        restore_build_take_back(&r->builder, r->err)) {", "        false) {"),
    "two-with-one-uuid": (TRY, "test_refused_there", "restore/restore_build.c",
        "    if (where != HANDOVER_HERE)\n", "    if (true)\n"),
    "dry-run-beside-a-save": (TRY, "test_refused_here", "migrate/migrate_try.c",
        "    if (s->host.ops->log_is_free(s->host.ctx, s->source.guest.domid, s->err))", "    if (false)"),
    # A guest that is held.
    "runs-here-although-there": (RESOLVE, "test_it_runs_there", "handover/resolve_policy.c",
        "    return wanted == GW_RESOLVE_HERE ? GW_RESOLVE_ASK : GW_RESOLVE_THERE;",
        "    return wanted == GW_RESOLVE_HERE ? GW_RESOLVE_HERE : GW_RESOLVE_THERE;"),
    "lost-because-it-never-ran": (RESOLVE, "test_it_never_ran", "handover/resolve_policy.c",
        "    return wanted == GW_RESOLVE_THERE ? GW_RESOLVE_ASK : GW_RESOLVE_HERE;",
        "    return wanted == GW_RESOLVE_THERE ? GW_RESOLVE_THERE : GW_RESOLVE_HERE;"),
    "silence-is-an-answer": (RESOLVE, "test_nobody_answers", "handover/resolve.c",
        "        r->where = RESOLVE_NO_ANSWER;\n    migrate_transport_stop", "        r->where = HANDOVER_NEVER_RAN;\n    migrate_transport_stop"),
    "any-check-will-do": (RESOLVE, "test_it_is_not_there", "handover/resolve_policy.c",
        "    if (wanted == GW_RESOLVE_HERE && never)", "    if (wanted == GW_RESOLVE_HERE)"),
    "resolves-beside-the-migration": (RESOLVE, "test_the_migration_is_not_over", "handover/resolve.c",
        "    int lock = migrate_status_lock(options->name, err), rc = -1;", "    int lock = dup(2), rc = -1;"),
    "note-stays-when-resolved": (RESOLVE, "test_it_never_ran", "handover/resolve.c",
        "    if (ops->hold(r->host.ctx, r->found.domid, NULL, r->err))", "    if (false)"),
    "note-stays-when-it-failed": (STEPS, "stop source-ready", "precopy/precopy.c",
        "        rc = also(rc, host->ops->hold(host->ctx, domid, NULL, &next), err, &next);\n", ""),
    "stays-paused-when-resolved": (RESOLVE, "test_it_never_ran", "handover/resolve.c",
        "    return ops->unpause(r->host.ctx, r->found.domid, r->err);", "    return 0;"),
    "resolved-where-it-says-nothing": (RESOLVE, "test_it_runs_there", "handover/resolve.c",
        "    write_status(name, ret_result->done == GW_RESOLVE_HERE);", "    (void)write_status;"),
}
HARMLESS = (STEPS, "cut source-round1", "precopy/precopy.c", "#define PACE_STEP_MS     50u", "#define PACE_STEP_MS     51u")


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
    base = os.path.basename(name)
    source, object_file, program = (os.path.join(folder, x) for x in (base, base + ".o", "program"))
    with open(source, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new))
    words = shlex.split(compiles[base])
    kept = words[:words.index("-MD")]  # then come the names of the files it writes and reads
    run([w for w in kept if w not in ("-Werror", "-g")] + ["-w", "-I" + os.path.dirname(os.path.join(LIBRARY, name)), "-c", source, "-o", object_file], build)
    words = shlex.split(link)
    words[words.index("-o") + 1] = program
    words.insert(next(i for i, w in enumerate(words) if w.endswith("libmigration_plain.a")), object_file)
    run(words, build)
    return program


def fails(program, case, seconds):
    with tempfile.TemporaryFile("w+", errors="replace") as output:  # a pipe would wait for what a failed test has left
        process = subprocess.Popen([program, case], stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                                   env=dict(os.environ, GODWIT_TEST_JOBS="2"))
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return "hangs"
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        if process.returncode == 0:
            return None
        output.seek(0)
        return next((x.strip() for x in output if x.startswith("FAIL") or "ERROR" in x),
                    "exit status %d" % process.returncode)


def verdict(build, name, mutant, survives=False):
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder:
            sign = fails(link_mutant(build, mutant, folder), mutant[1], BASELINE_SECONDS if survives else SECONDS)
    except Failure as e:
        return "ERROR", "mutant %s: %s" % (name, e)
    good = (sign is None) == survives
    return "PASS" if good else "FAIL", "mutant %s (%s), %.1f s" % (name, sign or "survived", time.monotonic() - began)


def baseline(build, test, case):
    sign = fails(os.path.join(build, TESTS, test + "_plain"), case, BASELINE_SECONDS)
    return "FAIL" if sign else "PASS", "no mutant, %s: %s (%s)" % (test, case, sign or "passes")


def main():
    build, names = os.path.abspath(sys.argv[1]), sys.argv[2:] or list(MUTANTS)
    chosen = {name: MUTANTS[name] for name in names}
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
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
