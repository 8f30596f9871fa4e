# SPDX-License-Identifier: MIT
"""What the tidy tests share: finding files, a C scanner that is just good enough, and TAP.

A check yields breaches, each a (path, line, text); report() prints one TAP line for each rule, and
for a broken rule every breach as "path:line: text" to standard error, which Meson shows.
"""

import argparse
import pathlib
import re
import sys

C_SUFFIXES = {".c", ".h"}
CODE_SUFFIXES = C_SUFFIXES | {".S", ".def", ".py", ".sh"}
CODE_FOLDERS = ("include", "src", "tests", "examples", "bench", "tools")
# Material for the programs, not code: inputs of fuzzers, files that tests feed to the program.
SKIPPED_PARTS = {"__pycache__", "corpus", "node_modules", ".pytest_cache"}


def arguments(description):
    """The command line that every check has: where the tree is, and where it was built."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parents[2])
    parser.add_argument("--build", type=pathlib.Path, default=None)
    return parser.parse_args()


def files(root, folders=CODE_FOLDERS, suffixes=CODE_SUFFIXES):
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in suffixes and not SKIPPED_PARTS & set(path.parts) and path.is_file():
                yield path


def report(root, rules):
    """Prints TAP for [(rule, [breach])]; returns the exit status. No rules at all is a failure."""
    print(f"1..{len(rules)}", flush=True)
    broken = 0
    for number, (rule, breaches) in enumerate(rules, 1):
        breaches = sorted(set(breaches), key=lambda b: (str(b[0]), b[1]))
        print(f"{'not ok' if breaches else 'ok'} {number} - {rule}", flush=True)
        for path, line, text in breaches:
            print(f"{short(root, path)}:{line}: {text}", file=sys.stderr)
        broken += bool(breaches)
    return 1 if broken or not rules else 0


def short(root, path):
    try:
        return pathlib.Path(path).resolve().relative_to(root.resolve())
    except ValueError:
        return path


INCLUDE_LOCAL = re.compile(r'^[ \t]*#[ \t]*include[ \t]*("[^"]*")', re.M)
_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z))
      | (?P<string>(?<![A-Za-z0-9_])"(?:\\.|[^"\\\n])*"|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])*')""",
    re.S | re.X,
)


def blank(text):
    """The text without comments and without what is between quotes; every offset stays."""

    def spaces(match):
        found = match.group()
        if match.lastgroup == "string":
            return found[0] + " " * (len(found) - 2) + found[-1]
        return re.sub(r"[^\n]", " ", found)

    # An #include's "path" is no string; keep it by hiding nothing on those lines.
    kept = {m.start(1): m.group(1) for m in INCLUDE_LOCAL.finditer(text)}
    out = _TOKEN.sub(spaces, text)
    for start, path in kept.items():
        out = out[:start] + path + out[start + len(path):]
    return out


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def without_directives(code):
    """Blanked code with preprocessor lines (and their continuations) made empty; lines stay."""
    return re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*",
                  lambda m: re.sub(r"[^\n]", " ", m.group()), code, flags=re.M | re.S)


def matching(code, start, opening="(", closing=")"):
    """The offset of the bracket that closes the one at `start`; -1 if it never does."""
    depth = 0
    for offset in range(start, len(code)):
        if code[offset] == opening:
            depth += 1
        elif code[offset] == closing:
            depth -= 1
            if depth == 0:
                return offset
    return -1


def _name_before_body(code, start, brace):
    """The function's name if `code[start:brace]` is the head of a definition, else None."""
    head = code[start:brace]
    if "=" in re.sub(r"\([^()]*\)", "", head) or not re.search(r"\)\s*(?:[A-Z_]+\s*)*$", head):
        return None
    for match in re.finditer(r"([A-Za-z_]\w*)\s*\(", head):
        name = match.group(1)
        if name.startswith("__attribute") or name.isupper() or name in ("_Alignas", "typeof"):
            continue
        if head.count("(", 0, match.start()) == head.count(")", 0, match.start()):
            return name
    test = re.match(r"\s*TEST\((\w+)\)\s*$", head)
    return test.group(1) if test else None


def functions(code):
    """Yields (name, offset of its head, of its '{', of its '}') for each definition."""
    code = without_directives(code)
    code = re.sub(r'extern\s*"[^"]*"\s*\{', lambda m: " " * (len(m.group()) - 1) + ";", code)
    offset, start = 0, 0
    while offset < len(code):
        char = code[offset]
        if char in ";}":
            start = offset + 1
        elif char == "{":
            end = matching(code, offset, "{", "}")
            if end < 0:
                return
            name = _name_before_body(code, start, offset)
            if name:
                head = start + len(code[start:offset]) - len(code[start:offset].lstrip())
                yield name, head, offset, end
                start = end + 1
            offset = end
        offset += 1


def read(path):
    return path.read_text(encoding="utf-8", errors="replace")
