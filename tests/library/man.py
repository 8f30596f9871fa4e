#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The manual pages: troff has nothing to say about them, and what they list is what there is.

usage: man.py ROOT WEIR
"""

import pathlib
import re
import shutil
import subprocess
import sys

# What other headers include, and nobody by itself.
BASICS = {"api.h", "suspends.h"}


def troff(page):
    if not shutil.which("groff"):
        return None
    return subprocess.run(["groff", "-ww", "-t", "-man", "-Tutf8", "-z", page], text=True,
                          capture_output=True).stderr.splitlines()


def differences(what, told, real):
    return ([f"{what} {name} is not told" for name in sorted(real - told)] +
            [f"{what} {name} is told, and there is none" for name in sorted(told - real)])


def options(page, weir):
    text = subprocess.run([weir, "--help"], check=True, text=True, capture_output=True).stdout
    real = set(re.findall(r"^  (?:-\w, |    )(--\w+)", text, re.M))
    heads = re.findall(r"^\.TP\n(.*)$", page.read_text(), re.M)
    return differences("option", set(re.findall(r"--\w+", " ".join(heads).replace("\\-", "-"))),
                       real)


def headers(page, root):
    real = {path.name for path in (root / "include/weir").glob("*.h")} - BASICS
    return differences("header", set(re.findall(r"^weir/(\w+\.h)\t", page.read_text(), re.M)), real)


def functions(page, root):
    declared = "".join(path.read_text() for path in (root / "include/weir").glob("*.h"))
    told = set(re.findall(r"\b(weir_\w+) ?\(", page.read_text()))
    return [f"{name} is no function of a public header" for name in sorted(told)
            if not re.search(rf"\b{name}\(", declared)]


def main():
    root, weir = pathlib.Path(sys.argv[1]), sys.argv[2]
    pages = root / "docs/man"
    points = [(f"troff takes {page.name}", troff(page)) for page in sorted(pages.glob("*.[1-8]"))]
    points += [("weir.1 has the options of weir --help", options(pages / "weir.1", weir)),
               ("libweir.3 has the public headers", headers(pages / "libweir.3", root)),
               ("libweir.3 has functions that are there", functions(pages / "libweir.3", root))]
    print(f"1..{len(points)}")
    for number, (name, wrong) in enumerate(points, 1):
        skipped = " # SKIP groff is missing" if wrong is None else ""
        print(f"{'not ok' if wrong else 'ok'} {number} - {name}{skipped}")
        for line in wrong or []:
            print(line, file=sys.stderr)
    return any(wrong for _, wrong in points)


if __name__ == "__main__":
    sys.exit(main())
