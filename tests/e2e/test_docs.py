# SPDX-License-Identifier: MIT
"""The pages become HTML without a broken link, and the reference has all that the headers have."""

import re
import shutil
import subprocess
import sys

import pytest

import program

HEADERS = program.TREE / "include" / "weir"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("docs") / "html"
    done = subprocess.run([sys.executable, program.TREE / "tools" / "docs.py", out], check=False,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def declared(mark=r"WEIR_API"):
    """The functions that the headers export, and where; those with that mark."""
    for path in sorted(HEADERS.glob("*.h")):
        text = re.sub(r"/\*.*?\*/|^#.*?$", "", path.read_text(), flags=re.S | re.M)
        for prototype in re.findall(rf"\b{mark}\b[^;{{]*?\b(weir_\w+)\(", text):
            yield path.name, prototype


def test_every_function_is_in_the_reference(site):
    index = (site / "reference.html").read_text()
    functions = list(declared())
    assert len(functions) > 80
    for header, name in functions:
        assert f'<pre id="{name}">' in (site / f"{header}.html").read_text(), name
        assert f'"{header}.html#{name}"' in index, name


def test_what_suspends_says_so(site):
    marked = set(declared(r"WEIR_SUSPENDS WEIR_API"))
    assert len(marked) > 15
    for header, name in declared():
        page = (site / f"{header}.html").read_text()
        assert (f'<pre id="{name}"><span class="suspends">' in page) == ((header, name) in marked)


def test_every_error_is_in_the_reference(site):
    page = (site / "err.h.html").read_text()
    names = re.findall(r"^X\((\w+),", (HEADERS / "err.def").read_text(), re.M)
    assert [name for name in names if f'id="WEIR_E_{name}"' not in page] == []


@pytest.fixture
def broken(tmp_path):
    """A copy of what makes the pages, to be broken, and what it complains about then."""
    for folder in ("docs", "tools", "include", "examples"):
        shutil.copytree(program.TREE / folder, tmp_path / folder)

    def complaints(readme):
        (tmp_path / "README.md").write_text(readme)
        done = subprocess.run([sys.executable, tmp_path / "tools" / "docs.py", tmp_path / "out"],
                              check=False, capture_output=True, text=True)
        assert done.returncode == 1
        return done.stderr
    return complaints


@pytest.mark.parametrize("text, complaint", [
    ("[a](docs/none.md)", "README.md: no such file: docs/none.md"),
    ("[a](docs/reuse.md#none)", "there is no such heading: reuse.html#none"),
    ("```c\nint nobody_wrote_this;\n```", "README.md: in no example: int nobody_wrote_this;"),
    ("[examples/proxy.c](examples/proxy.c):\n\n```c\nint main;\n```\n",
     "README.md: differs from examples/proxy.c"),
])
def test_mistakes_are_found(broken, text, complaint):
    assert complaint in broken(f"# weir\n\n{text}\n")


def quick_starts():
    return [program.TREE / "examples" / name for name in ("proxy.c", "get.c", "server.c")]


@pytest.mark.parametrize("path", quick_starts(), ids=lambda path: path.name)
def test_quick_starts_are_short(path):
    assert len(path.read_text().splitlines()) < 40


@pytest.mark.parametrize("path", sorted((program.TREE / "examples").glob("*.c")),
                         ids=lambda path: path.name)
def test_examples_are_strict_c11(path):
    """As a program's compiler meets them, whose options are not weir's."""
    command = ["cc", "-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
               f"-I{program.TREE / 'include'}"]
    if path.name == "libuv.c":
        pytest.skip("it has headers of another library; the build compiles it")
    done = subprocess.run([*command, path], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
