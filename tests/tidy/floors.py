#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Includes point down (ARCHITECTURE.md): a file sees its own floor and the floors below, no more.

The linker enforces the same arrow, since each floor's unit tests link only what lies under them;
this test says which line points up, and also sees what no linker does: public headers that lean on
private ones, and kernel or library headers on a floor that must not know them.
"""

import re
import sys

import tidy

FLOORS = ["base", "co", "io", "stream", "http", "upstream", "downstream", "client", "proxy",
          "server", "config", "app"]
LEVEL = {floor: level for level, floor in enumerate(FLOORS)}
LEVEL["downstream"] = LEVEL["upstream"]  # side by side; see sees()

# Headers that only some floors may include, and why.
RESERVED = [
    (r"sys/epoll\.h|liburing\.h", {"io"}, "nothing above io knows which kernel interface runs"),
    (r"sys/eventfd\.h", {"io", "server"}, "loops get mail; who waits for workers has none"),
    (r"ares\.h", {"io"}, "who asks for names asks io/resolve.h"),
    (r"libfyaml\.h", {"config"}, "who embeds only the pool links no YAML parser"),
    (r"ucontext\.h", {"co"}, "switching stacks is done in one place"),
    (r"setjmp\.h", set(), "no longjmp in this house"),
    (r"sanitizer/.*|valgrind/.*", {"base", "co"}, "co/san.h tells the tools of every switch"),
]

# Sources of ours that see what a program sees, and no more.
OUTSIDERS = {
    "src/client/exec.c": "it proves that a transport needs the public headers only",
}

STANDARD = set(
    "assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal "
    "stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath "
    "threads time uchar wchar wctype".split())

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def includes(path):
    code = tidy.blank(tidy.read(path))
    for match in INCLUDE.finditer(code):
        yield tidy.line_of(code, match.start()), match.group(1), match.group(2)


def sees(own, other):
    if {own, other} == {"upstream", "downstream"}:
        return False
    return LEVEL[other] <= LEVEL[own]


def floor_of(root, path):
    """The floor whose rules a file follows: src/<floor>/ and tests/unit/<floor>/."""
    parts = path.relative_to(root).parts
    if parts[0] == "src" and len(parts) > 2:
        return parts[1]
    if parts[:2] == ("tests", "unit") and len(parts) > 3:
        return parts[2]
    return None


def explain(own, other):
    if {own, other} == {"upstream", "downstream"}:
        return (f"{own} includes from {other}: these two never see each other; what both need "
                "belongs below, what joins them above")
    return (f"{own} (floor {LEVEL[own] + 1}) includes from {other} (floor {LEVEL[other] + 1}), "
            f"which lies above it: move what is needed down, or let {other} call {own}")


def private_breaches(root):
    for path in tidy.files(root, ("src", "tests/unit"), tidy.C_SUFFIXES | {".def", ".S"}):
        own = floor_of(root, path)
        if own is None:
            if path.is_relative_to(root / "src"):
                yield path, 1, f"every file of src lies on a floor: {' '.join(FLOORS)}"
            continue
        if own not in LEVEL:
            yield path, 1, f"'{own}' is not a floor: {' '.join(FLOORS)}"
            continue
        for line, bracket, name in includes(path):
            other = name.split("/")[0]
            if bracket == "<" or other not in LEVEL:
                continue
            if not sees(own, other):
                yield path, line, explain(own, other)


def rooted_breaches(root):
    for path in tidy.files(root, ("src", "include"), tidy.C_SUFFIXES | {".def"}):
        for line, bracket, name in includes(path):
            rooted = "/" in name and ".." not in name and (root / "src" / name).is_file()
            if bracket == '"' and not rooted and ((path.parent / name).is_file() or ".." in name):
                yield path, line, f'"{name}": write it from the root src/, as "floor/file.h"'
            if bracket == '"' and name.endswith(".c"):
                yield path, line, f'"{name}": a source file is not included'
            if bracket == '"' and name.startswith("weir/"):
                yield path, line, f"<{name}> is public: use angle brackets"


def public_breaches(root):
    for path in tidy.files(root, ("include",), tidy.C_SUFFIXES | {".def"}):
        for line, bracket, name in includes(path):
            if bracket == "<" and (name.startswith("weir/") or name.removesuffix(".h") in STANDARD):
                continue
            yield (path, line,
                   f"'{name}': a public header leans on <weir/...> and standard C's headers only")


def reserved_breaches(root):
    for path in tidy.files(root, ("src",), tidy.C_SUFFIXES):
        own = floor_of(root, path)
        for line, _, name in includes(path):
            for pattern, allowed, reason in RESERVED:
                if re.fullmatch(pattern, name) and own not in allowed:
                    where = "only in " + ", ".join(sorted(allowed)) if allowed else "nowhere"
                    yield path, line, f"<{name}> {where}: {reason}"


def example_breaches(root):
    for path in tidy.files(root, ("examples",), tidy.C_SUFFIXES):
        for line, _, name in includes(path):
            if name.split("/")[0] in LEVEL:
                yield path, line, f"'{name}': an example uses the public headers only"


def outsider_breaches(root):
    for name, reason in OUTSIDERS.items():
        path = root / name
        for line, bracket, include in includes(path) if path.is_file() else ():
            if bracket == '"':
                yield path, line, f"'{include}': {reason}"


def main():
    root = tidy.arguments(__doc__).root.resolve()
    return tidy.report(root, [
        ("includes point down", list(private_breaches(root))),
        ("includes are written from the roots", list(rooted_breaches(root))),
        ("public headers include only public headers", list(public_breaches(root))),
        ("kernel and library headers stay on their floors", list(reserved_breaches(root))),
        ("examples include only public headers", list(example_breaches(root))),
        ("what is written as a program's own includes the same", list(outsider_breaches(root))),
    ])


if __name__ == "__main__":
    sys.exit(main())
