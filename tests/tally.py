# SPDX-License-Identifier: MIT
"""Adds up what ./dev test ran: what failed, a line for each suite, then "N passed, N failed".

Reads a file of lines "LABEL FORMAT FILE STATUS": FORMAT is meson (testlog.json), junit (pytest's
XML), tap, or none; STATUS is what the run exited with. A run that left no file, or that failed
while its file shows no failure, counts as one failure: nothing gets lost.
"""

import collections
import json
import pathlib
import re
import sys
import xml.etree.ElementTree

MESON_NAME = re.compile(r"(?:[^:/]+:)?([^/]*) / (.*)")
POINT = re.compile(r"^(ok|not ok)\b(.*)$", re.M)
TOLD_LINES = 60
SKIPPED = re.compile(r"#\s*skip", re.I)


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.seconds = 0.0

    def add_tap(self, text):
        """True if the text holds at least one test point."""
        points = POINT.findall(text)
        for verdict, rest in points:
            if SKIPPED.search(rest):
                self.skipped += 1
            elif verdict == "ok":
                self.passed += 1
            else:
                self.failed += 1
        return bool(points)


def meson(path, label, counts):
    for line in path.read_text(encoding="utf-8").splitlines():
        test = json.loads(line)
        suite, name = MESON_NAME.fullmatch(test["name"]).groups()
        count = counts[f"{label} {suite}"]
        count.seconds += test.get("duration") or 0
        failed = count.failed
        points = count.add_tap(test.get("stdout") or "")
        if test["result"] == "SKIP" and not points:
            count.skipped += 1
        elif test["result"] in ("OK", "EXPECTEDFAIL", "SKIP"):
            count.passed += not points
        elif count.failed == failed:  # it broke without a word: killed, timed out, crashed
            count.failed += 1
        if count.failed > failed:
            tell(label, suite, name, test)


def tell(label, suite, name, test):
    """What a failed test said; of its standard output only what is neither passed nor planned."""
    ended = f"{test['result'].lower()}, status {test.get('returncode')}"
    print(f"\n-- {label} {suite} / {name}: {ended}")
    said = [line for line in (test.get("stdout") or "").splitlines()
            if not re.match(r"ok\b|\d+\.\.", line)]
    print("\n".join(said[-TOLD_LINES:] + (test.get("stderr") or "").splitlines()[-TOLD_LINES:]))


def junit(path, label, counts):
    for suite in xml.etree.ElementTree.parse(path).getroot().iter("testsuite"):
        count = counts[label]
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        count.failed += bad
        count.skipped += skipped
        count.passed += max(0, int(suite.get("tests", 0)) - bad - skipped)
        count.seconds += float(suite.get("time", 0))


def tap(path, label, counts):
    counts[label].add_tap(path.read_text(encoding="utf-8"))


def failures(counts, label):
    return sum(c.failed for name, c in counts.items() if name.split()[0] == label)


def tally(lines):
    counts = collections.defaultdict(Count)
    for line in lines:
        label, form, file, status = line.split()
        path = pathlib.Path(file)
        if form != "none" and path.is_file():
            {"meson": meson, "junit": junit, "tap": tap}[form](path, label, counts)
        elif int(status) == 0:
            counts[label].failed += 1
        if int(status) != 0 and failures(counts, label) == 0:
            counts[label].failed += 1
    return counts


def main():
    counts = tally(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8").splitlines())
    width = max([len("suite")] + [len(name) for name in counts])
    print(f"\n{'suite':{width}}  passed  failed  skipped  seconds")
    for name, c in counts.items():
        print(f"{name:{width}}  {c.passed:6}  {c.failed:6}  {c.skipped:7}  {c.seconds:7.1f}")
    passed, failed, skipped = (sum(getattr(c, part) for c in counts.values())
                               for part in ("passed", "failed", "skipped"))
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
