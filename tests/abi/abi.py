#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The ABI of libweir: what it exports, and how the public structs and enums are laid out.

tests/abi/libweir.abi holds what was agreed upon. `check` compares; `update` writes it anew, and
the difference is for whoever reads the commit.

usage: abi.py check|update LIBRARY ROOT COMPILER [OPTION...]
"""

import difflib
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
AGREED = HERE / "libweir.abi"
INTRO = """\
# The ABI of libweir on x86_64: structs, enums, functions, and the symbols of the shared library.
# Made by ./dev abi; a test compares it. A new line at the end of an enum, or a new function, harms
# nobody; any other change breaks programs that are built already.
"""


def output(*command, text=None):
    return subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout


def symbols(library):
    """The names that the shared library exports, each with its version."""
    listed = output("nm", "-D", "--defined-only", library)
    return sorted(re.findall(r" [TDBRVWi] (\S+)$", listed, re.M))


def declared(root, compiler):
    """The functions and the nameless enumerators of the public headers."""
    text = output(*compiler, "-E", "-P", f"-I{root / 'include'}", "-xc", "-",
                  text="#include <weir/weir.h>\n")
    exported = r'__attribute__\(\(visibility\("default"\)\)\)[^;{]*?\b(weir_\w+)\('
    nameless = re.findall(r"\benum\s*\{([^}]*)\}", text)
    return (sorted(re.findall(exported, text)),
            sorted(re.findall(r"\bWEIR_\w+", " ".join(nameless))))


def layout(root, compiler, functions, enumerators):
    lines = ["#include <weir/weir.h>"]
    lines += [f"__typeof__({name}) *of_{name};" for name in functions]
    lines += [f"long value_{name} = {name};" for name in enumerators]
    with tempfile.TemporaryDirectory() as folder:
        made = pathlib.Path(folder, "abi.o")
        output(*compiler, "-std=gnu11", f"-I{root / 'include'}", "-g",
               "-fno-eliminate-unused-debug-types", "-c", "-xc", "-", "-o", str(made),
               text="\n".join(lines) + "\n")
        return output("gdb", "-nx", "-batch", "-x", str(HERE / "layout.py"), str(made))


def abi(library, root, compiler):
    functions, enumerators = declared(root, compiler)
    found = symbols(library)
    there = {symbol.split("@")[0] for symbol in found}
    text = INTRO + layout(root, compiler, functions, enumerators) + "symbols\n"
    text += "".join(f"    {symbol}\n" for symbol in found)
    missing = [name for name in functions if name not in there]
    if missing:
        text += "declared, and not there yet\n" + "".join(f"    {name}\n" for name in missing)
    return text, sorted(there - set(functions) - {"WEIR_" + version_of(found)})


def version_of(found):
    """The part behind WEIR_ of the name that stands for the version itself."""
    return next((name[5:] for name in found if re.fullmatch(r"WEIR_[\d.]+", name)), "")


def skip_reason():
    if platform.machine() != "x86_64":
        return f"the list is for x86_64, and this is {platform.machine()}"
    if not shutil.which("gdb"):
        return "gdb is missing"
    return None


def check(text, strangers):
    agreed = AGREED.read_text() if AGREED.exists() else ""
    same = text == agreed
    print("1..2")
    print(f"{'ok' if same else 'not ok'} 1 - the ABI is that of tests/abi/libweir.abi")
    if not same:
        sys.stderr.writelines(difflib.unified_diff(
            agreed.splitlines(True), text.splitlines(True), "agreed upon", "built", n=1))
        print("the ABI has changed; if that is meant: ./dev abi, and commit tests/abi/libweir.abi",
              file=sys.stderr)
    print(f"{'not ok' if strangers else 'ok'} 2 - what is exported is declared in a public header")
    for name in strangers:
        print(f"{name} is exported, and no public header declares it", file=sys.stderr)
    return 0 if same and not strangers else 1


def main():
    task, library, root, *compiler = sys.argv[1:]
    reason = skip_reason()
    if reason:
        print(f"1..0 # SKIP {reason}")
        return 0
    text, strangers = abi(library, pathlib.Path(root), compiler)
    if task == "check":
        return check(text, strangers)
    AGREED.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
