# SPDX-License-Identifier: MIT
"""Looks at the pages of `godwit report` with a headless Chromium.

usage: run.py GODWIT FOLDER [NAME...]   the program, where pages and pictures go, which reports (all)

Exit status 77: there is no Chromium (scripts/deps installs it).
"""

import glob
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import browser  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE_BYTES = 4096


class Failed(Exception):
    pass


def expect(what, seen, wanted):
    if seen != wanted:
        raise Failed("%s: %r, not %r" % (what, seen, wanted))


def expect_true(what, seen):
    if not seen:
        raise Failed(what)


def columns(report):
    """The heat map's columns: more than 120 rounds are drawn several in one."""
    rounds = report.get("rounds", [])
    each = max(1, -(-len(rounds) // 120))
    return [rounds[i:i + each] for i in range(0, len(rounds), each)]


def hot_cells(report):
    buckets = max([len(r.get("heat", [])) for r in report.get("rounds", [])], default=0)
    return sum(any(len(r.get("heat", [])) > i and r["heat"][i] for r in column)
               for column in columns(report) for i in range(buckets))


def check_quiet(events, url):
    """No complaint in the console, and nothing was asked for but the page."""
    for event in events:
        method, parameters = event.get("method"), event.get("params", {})
        if method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            raise Failed("the console says: %s" % json.dumps(parameters)[:300])
        if method == "Network.requestWillBeSent":
            expect("request", parameters["request"]["url"], url)


def check_pictures(b, report):
    rounds = report.get("rounds", [])
    count = "document.querySelectorAll(%s).length"
    for selector, wanted in (
            ("#timeline rect.round", len(rounds)),
            ("#timeline rect.final", sum(bool(r.get("final")) for r in rounds)),
            ("#timeline rect.downtime", int(report.get("downtime_ms", 0) > 0)),
            ("#timeline path.event", len(report.get("events", []))),
            ("#panel-sent rect.bar", len(rounds)), ("#panel-rates rect.bar", len(rounds)),
            ("#panel-downtime rect.bar", len(rounds)), ("#panel-throttle rect.bar", len(rounds)),
            ("#heat rect[class^=h]", hot_cells(report)),
            ("#table-rounds tbody tr", len(rounds))):
        expect(selector, b.evaluate(count % json.dumps(selector)), wanted)
    if rounds:
        check_heights(b, rounds)


def check_heights(b, rounds):
    """Bars are as high as their numbers say, and inside the picture."""
    bars = b.evaluate("[...document.querySelectorAll('#panel-sent rect.bar')]"
                      ".map(r => [r.x.baseVal.value, r.width.baseVal.value, r.height.baseVal.value])")
    most = max(r["bytes"] for r in rounds)
    highest = max(bar[2] for bar in bars)
    for bar, r in zip(bars, rounds):
        wanted = max(highest * r["bytes"] / most, 1) if r["bytes"] else 0
        expect_true("height of round %d: %s, not %s" % (r["n"], bar[2], wanted), abs(bar[2] - wanted) < 0.5)
        expect_true("a bar leaves the picture", bar[0] >= 0 and bar[0] + bar[1] <= 960)


def check_table(b, report):
    """The table has the numbers of the file."""
    rows = b.evaluate("[...document.querySelectorAll('#table-rounds tbody tr')]"
                      ".map(r => [...r.cells].map(c => c.textContent))")
    keys = ("start_ms", "ms", "pages", "zero_pages", "skipped_pages", "dirtied_pages", "bytes",
            "dirty_pages_per_s", "bytes_per_s", "estimate_ms")
    for row, r in zip(rows, report.get("rounds", [])):
        expect("row of round %d" % r["n"], row[1:-1], ["{:,}".format(r[k]) for k in keys])


def luminance(colour):
    parts = [float(p) / 255 for p in colour[colour.index("(") + 1:-1].split(",")[:3]]
    parts = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def check_colours(b, scheme):
    """Text of every kind stands out from the page, as WCAG 2 asks; the ground is what was asked for."""
    ground = b.evaluate("getComputedStyle(document.body).backgroundColor")
    expect("ground is dark", luminance(ground) < 0.2, scheme == "dark")
    for selector, key, least in (
            ("body", "color", 4.5), (".verdict", "color", 4.5), ("figcaption", "color", 4.5),
            ("thead th", "color", 4.5), ("tr.final", "color", 4.5), ("svg .name", "fill", 4.5),
            ("svg .tick", "fill", 4.5), ("rect.round", "fill", 3), ("rect.dirty", "fill", 3),
            ("rect.final", "fill", 3), ("rect.estimate", "fill", 3), ("rect.throttle", "fill", 3)):
        colour = b.evaluate("(e => e && getComputedStyle(e).%s)(document.querySelector(%s))"
                            % (key, json.dumps(selector)))
        if colour and contrast(colour, ground) < least:
            raise Failed("%s in %s: contrast %.2f, not %.1f" % (selector, scheme, contrast(colour, ground), least))


def check_keyboard(b):
    """The first stop leads to the numbers; each table and picture that scrolls can be reached."""
    b.key("Tab", 9)
    expect("first stop", b.evaluate("document.activeElement.className"), "skip")
    b.key("Enter", 13)
    expect("where it leads", b.evaluate("document.activeElement.id"), "numbers")
    wanted = b.evaluate("document.querySelectorAll('.wide,summary,a').length")
    hidden = b.evaluate("document.querySelectorAll('details:not([open]) .wide').length")
    b.evaluate("document.activeElement.blur(), getSelection().removeAllRanges(), scrollTo(0, 0)")
    b.evaluate("document.querySelector('.skip').focus()")
    seen = 1
    while seen <= wanted:
        b.key("Tab", 9)
        if b.evaluate("document.activeElement === document.body || "
                      "document.activeElement.className === 'skip'"):
            break
        seen += 1
    expect("stops of the keyboard", seen, wanted - hidden)


def check_names(b):
    """What a screen reader is told: pictures, regions and tables have names."""
    nodes = b.call("Accessibility.getFullAXTree")["nodes"]
    roles = {}
    for node in nodes:
        if not node.get("ignored"):
            role = node.get("role", {}).get("value")
            roles.setdefault(role, []).append(node.get("name", {}).get("value", ""))
    for role in ("image", "region", "table"):
        names = roles.get(role, []) + (roles.get("img", []) if role == "image" else [])
        expect_true("there is no " + role, names)
        expect_true("a nameless " + role, all(names))
    expect_true("there is no heading", roles.get("heading"))


def check_print(b, url):
    """On paper it is light, and the details are open."""
    b.load(url, media="print", prefers_color_scheme="dark")
    expect("ground on paper", b.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)")
    if b.evaluate("!!document.querySelector('details')"):
        expect_true("details are closed on paper",
                    b.evaluate("document.querySelector('details table').getBoundingClientRect().height > 20"))
    expect_true("no PDF", b.pdf().startswith(b"%PDF"))


def check_narrow(b, url):
    """On a telephone the page itself does not scroll sideways."""
    b.size(380, 800)
    b.load(url)
    wide = b.evaluate("document.documentElement.scrollWidth")
    b.size(1060, 900)
    expect_true("%d pixels wide on a screen of 380" % wide, wide <= 380)


def look(b, godwit, source, folder):
    name = os.path.splitext(os.path.basename(source))[0]
    page = os.path.join(folder, name + ".html")
    subprocess.run([godwit, "report", source, "-o", page], check=True)
    with open(source) as f:
        report = json.load(f)
    url = "file://" + page
    for scheme in ("light", "dark"):
        check_quiet(b.load(url, prefers_color_scheme=scheme), url)
        check_pictures(b, report)
        check_table(b, report)
        check_colours(b, scheme)
        b.screenshot(os.path.join(folder, "%s-%s.png" % (name, scheme)), 1400)
    check_keyboard(b)
    check_names(b)
    check_print(b, url)
    check_narrow(b, url)


def main():
    godwit, folder = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    program = browser.find()
    if not program:
        print("SKIP: there is no Chromium; scripts/deps installs it")
        return 77
    os.makedirs(folder, exist_ok=True)
    failed = 0
    b = browser.Browser(program)
    try:
        b.size(1060, 900)
        for source in sorted(glob.glob(os.path.join(HERE, "*.json"))):
            if sys.argv[3:] and os.path.basename(source)[:-5] not in sys.argv[3:]:
                continue
            try:
                look(b, godwit, source, folder)
                print("PASS", os.path.basename(source), flush=True)
            except Failed as reason:
                failed += 1
                print("FAIL %s: %s" % (os.path.basename(source), reason), flush=True)
    finally:
        b.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
