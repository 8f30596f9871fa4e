#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each header compiles alone: it includes what it uses, and may be included twice.

Public headers (include/weir) as pedantic C11 and as C++17, with nothing but include/ to look in,
the way an embedder's compiler meets them. Private ones (src) as the sources that include them.
"""

import concurrent.futures
import os
import shutil
import subprocess
import sys

import tidy

STRICT = ["-Wall", "-Wextra", "-Wshadow", "-Werror", "-fsyntax-only"]


def compiler(*names):
    for name in names:
        if shutil.which(name):
            return name
    sys.exit(f"Bail out! none of {' '.join(names)} is installed")


def compiles(root, path, command):
    """The first complaint about an empty source that includes the header twice; None if none."""
    if path.is_relative_to(root / "include"):
        include = f"#include <{path.relative_to(root / 'include')}>\n"
    else:
        include = f'#include "{path.relative_to(root / "src")}"\n'
    after = "extern int a_source_is_not_empty;\n"
    run = subprocess.run(command + ["-"], input=include * 2 + after, capture_output=True,
                         text=True, cwd=root, env={**os.environ, "LC_ALL": "C"})
    if run.returncode == 0:
        return None
    errors = [line for line in run.stderr.splitlines() if "error" in line]
    return (errors or run.stderr.splitlines() or ["the compiler failed"])[0]


def breaches(root, folder, command):
    headers = list(tidy.files(root, (folder,), {".h"}))
    with concurrent.futures.ThreadPoolExecutor(2) as workers:
        errors = workers.map(lambda path: compiles(root, path, command), headers)
        for path, error in zip(headers, errors):
            if error:
                yield path, 1, f"does not compile alone: {error}"


def main():
    root = tidy.arguments(__doc__).root.resolve()
    c, cxx = compiler("gcc", "clang", "cc"), compiler("g++", "clang++", "c++")
    public_c = [c, "-std=c11", "-pedantic", *STRICT, "-Iinclude", "-xc"]
    public_cxx = [cxx, "-std=c++17", "-pedantic", *STRICT, "-Iinclude", "-xc++"]
    private = [c, "-std=gnu2x", "-D_GNU_SOURCE", *STRICT, "-Iinclude", "-Isrc", "-xc"]
    return tidy.report(root, [
        ("public headers compile alone as C11", list(breaches(root, "include", public_c))),
        ("public headers compile alone as C++17", list(breaches(root, "include", public_cxx))),
        ("private headers compile alone", list(breaches(root, "src", private))),
    ])


if __name__ == "__main__":
    sys.exit(main())
