# SPDX-License-Identifier: MIT
"""Does the report of a migration that worked add up? Each field is held against others that it must agree with."""

from harness import expect

BUSY_PAGES = 1000  # dirtied in the rounds of a migration


def total(rows, field):
    return sum(row[field] for row in rows)


def expect_equal(what, a, b, report):
    expect(a == b, "%s: %s is not %s in %s" % (what, a, b, brief(report)))


def brief(report):
    """The report without its heat maps."""
    rounds = [{k: v for k, v in row.items() if k != "heat"} for row in report["rounds"]]
    return dict(report, rounds=rounds)


def expect_rounds(report):
    rounds, end = report["rounds"], 0
    expect_equal("numbers of rounds", [r["n"] for r in rounds], list(range(1, len(rounds) + 1)), report)
    expect_equal("the final round", [r.get("final", False) for r in rounds], [False] * (len(rounds) - 1) + [True], report)
    for row in rounds:
        expect(end <= row["start_ms"] and row["start_ms"] + row["ms"] <= report["total_ms"],
               "round %d is not in its time: %s" % (row["n"], brief(report)))
        end = row["start_ms"] + row["ms"]
        expect_equal("the heat of round %d" % row["n"], sum(row["heat"]), row["dirtied_pages"], report)
    for field in "pages", "zero_pages", "skipped_pages":
        expect_equal("the sum of %s" % field, total(rounds, field), report[field], report)
    expect_equal("pages sent for the first time", report["pages"] - report["resent_pages"], report["memory_pages"], report)
    expect(total(rounds, "bytes") <= report["bytes"] <= report["raw_bytes"], "bytes: %s" % brief(report))
    expect(report["pages"] > report["zero_pages"] > 0 and total(rounds, "dirtied_pages") > 0, "pages: %s" % brief(report))


def expect_times(report):
    phases, downtime = report["phases_ms"], report["downtime_ms"]
    compressed, verified = report["limits"]["compress"] != "none", report["verified_pages"] > 0

    expect_equal("phases", set(phases), {"read", "compress", "send", "harvest", "stop", "verify", "handover"}, report)
    expect(phases["read"] > 0 and phases["send"] > 0, "nothing was read or sent: %s" % brief(report))
    expect_equal("time for compression", phases["compress"] > 0, compressed, report)
    expect_equal("time for the comparison", phases["verify"] > 0, verified, report)
    parts = phases["stop"] + report["rounds"][-1]["ms"] + phases["verify"] + phases["handover"]
    expect(0 < parts <= downtime + 3 and downtime <= report["total_ms"],
           "the parts of the downtime are %d ms together: %s" % (parts, brief(report)))


def expect_vcpus(report):
    """What each vCPU lost: never more than there was, and something where the guest wrote."""
    vcpus, longest = report["vcpus"], (report["total_ms"] + 1) * 1000000
    expect_equal("numbers of vCPUs", [v["vcpu"] for v in vcpus], list(range(len(vcpus))), report)
    for field in "stall_fault_ns", "stall_throttle_ns", "stall_harvest_ns", "stall_pause_ns":
        expect(all(0 <= v[field] <= longest for v in vcpus), "%s: %s" % (field, vcpus))
    throttled = {t["vcpu"] for row in report["rounds"] for t in row["throttle"]}
    lost = {v["vcpu"] for v in vcpus if v["stall_throttle_ns"] > 0}
    expect(lost <= throttled, "%s lost time to a throttle, but %s had one" % (lost, throttled))
    expect(total(vcpus, "faults") > 0 and total(vcpus, "stall_fault_ns") > 0, "no fault cost anything: %s" % vcpus)
    # Who sleeps loses nothing by a pause.
    busy = total(report["rounds"], "dirtied_pages") > BUSY_PAGES
    expect(not busy or total(vcpus, "stall_pause_ns") > 0, "no vCPU lost time to the stop: %s" % vcpus)
    # Without a fault for each page there was a sample at the most, which need not have met a write.
    exact = 2 * total(vcpus, "faults") >= total(report["rounds"], "dirtied_pages")
    counted = [v["dirty_pages"] for v in vcpus if v["counted"]]
    expect(not counted or not exact or sum(counted) > 0, "no vCPU wrote: %s" % vcpus)


def expect_adds_up(report):
    expect(report["result"] == "moved" and report["runs_at"] == "destination" and report["phase"] == "done"
           and report["exit"] == 0 and report["error"] is None, "the outcome: %s" % brief(report))
    expect_rounds(report)
    expect_times(report)
    expect_vcpus(report)
    expect(report["events"] and report["events"][-1]["what"] == "moved", "the events: %s" % report["events"])
