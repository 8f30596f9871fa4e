#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What is installed, used as a stranger would: found by pkg-config, compiled, linked, run.

usage: installed.py --build      installs the build of this Meson test into an empty folder
       installed.py FOLDER       looks at what lies in FOLDER already, such as unpacked packages
"""

import http.server
import os
import pathlib
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
C = ["cc", "-std=c11"]
CXX = ["c++", "-std=c++17"]
STRICT = ["-pedantic", "-Wall", "-Wextra", "-Wshadow", "-Werror"]


class Skip(Exception):
    pass


def run(*command, **options):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=120, **options)
    assert done.returncode == 0, f"{shlex.join(map(str, command))}\n{done.stdout}"
    return done.stdout


class Hello(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *ignored):
        pass


class Tree:
    """An installed tree: a folder that stands for the root of a system."""

    def __init__(self, folder, work):
        self.folder, self.work = pathlib.Path(folder), pathlib.Path(work)
        self.pc = self.only("**/libweir.pc")
        self.libraries = self.pc.parent.parent
        for pc in (self.pc, self.only("**/weir-main.pc")):
            self.move(pc)
        self.shared, self.archive = self.libraries / "libweir.so", self.libraries / "libweir.a"
        self.main_archive = self.libraries / "libweir-main.a"
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}"

    def only(self, pattern):
        found = list(self.folder.glob(pattern))
        assert len(found) == 1, f"{pattern}: {found}"
        return found[0]

    def move(self, pc):
        """The prefix becomes where the tree lies, as if it had been configured for that."""
        text = pc.read_text()
        prefix = re.search(r"^prefix=(.*)$", text, re.M).group(1)
        if not prefix.startswith(str(self.folder)):
            pc.write_text(text.replace(f"prefix={prefix}", f"prefix={self.folder}{prefix}"))

    def flags(self, *options, package="libweir"):
        where = {**os.environ, "PKG_CONFIG_PATH": str(self.pc.parent)}
        return run("pkg-config", "--cflags", "--libs", *options, package, env=where).split()

    def exported(self, archive=None):
        listed = run("nm", "-g", "--defined-only", archive or self.archive)
        return set(re.findall(r"^[0-9a-f]+ \w (\S+)$", listed, re.M))

    def compile(self, compiler, source, archive=None):
        made = self.work / (pathlib.Path(source).name + ".o")
        run(*compiler, *STRICT, *[flag for flag in self.flags() if flag.startswith("-I")],
            "-c", source, "-o", made)
        wanted = set(re.findall(r"\bU (weir_\w+)", run("nm", "-u", made)))
        missing = wanted - self.exported(archive)
        if missing:
            raise Skip("declared, and not there yet: " + " ".join(sorted(missing)))
        return made

    def run_shared(self, compiler, source, *arguments):
        program = self.work / "shared"
        run(compiler[0], self.compile(compiler, source), *self.flags(), "-o", program)
        assert "libweir.so.0" in run("readelf", "-d", program)
        return run(program, *arguments, env={"LD_LIBRARY_PATH": str(self.libraries)})

    def run_static(self, compiler, source, *arguments):
        """Where there is no libweir.so, -lweir means libweir.a."""
        alone = self.work / "static"
        alone.mkdir(exist_ok=True)
        shutil.copy(self.archive, alone)
        flags = [flag.replace(f"-L{self.libraries}", f"-L{alone}")
                 for flag in self.flags("--static")]
        program = self.work / "static" / "program"
        run(compiler[0], self.compile(compiler, source), "-static-libgcc", *flags, "-o", program)
        assert "libweir" not in run("readelf", "-d", program)
        return run(program, *arguments)

    def link_main(self, compiler, source):
        """A weir of one's own: by plain pkg-config, although the library is static."""
        program = self.work / "main"
        run(compiler[0], self.compile(compiler, source, self.main_archive),
            *self.flags(package="weir-main"), "-o", program)
        assert "libweir" not in run("readelf", "-d", program)
        return program


# --- What is checked; each gets the tree ----------------------------------------------------------

def headers_are_there(tree):
    real = {path.name for path in (ROOT / "include/weir").iterdir()}
    there = {path.name for path in tree.only("**/include/weir").iterdir()}
    assert there == real, there ^ real


def pages_are_there(tree):
    for page in ("man1/weir.1", "man5/weir.yaml.5", "man3/libweir.3"):
        tree.only(f"**/{page}*")


def program_runs(tree):
    version = re.search(r"^Version: (.*)$", tree.pc.read_text(), re.M).group(1)
    assert run(tree.only("**/bin/weir"), "-V") == f"weir {version}\n"


def soname_is_versioned(tree):
    assert "Library soname: [libweir.so.0]" in run("readelf", "-d", tree.shared)
    assert os.readlink(tree.libraries / "libweir.so").startswith("libweir.so.0")


def shared_exports_weir_only(tree):
    listed = run("nm", "-D", "--defined-only", tree.shared)
    names = re.findall(r"^[0-9a-f]+ \w (\S+)$", listed, re.M)
    version = {name for name in names if re.fullmatch(r"WEIR_[\d.]+", name)}
    assert len(version) == 1, version
    strange = [name for name in set(names) - version
               if not re.fullmatch(rf"weir_\w+@@{version.copy().pop()}", name)]
    assert len(names) > 1 and not strange, strange


def archive_exports_weir_only(tree):
    names = tree.exported()
    strange = [name for name in names if not name.startswith("weir_")]
    assert names and not strange, strange


def archive_and_shared_export_the_same(tree):
    listed = run("nm", "-D", "--defined-only", tree.shared)
    assert set(re.findall(r"\b(weir_\w+)@@", listed)) == tree.exported()


def archive_is_for_any_compiler(tree):
    assert ".gnu.lto_" not in run("readelf", "-SW", tree.archive)


def main_exports_libweir_and_itself(tree):
    more = {"weir_main", "weir_main_phases"}
    assert tree.exported(tree.main_archive) == tree.exported() | more
    assert ".gnu.lto_" not in run("readelf", "-SW", tree.main_archive)


OWN_WEIR = """\
services:
  - name: fixed
    listen: [ "unix:{socket}" ]
    upstream: "fixed:it works"
"""


def own_weir(tree):
    """A transport of the program's own, named by the configuration, answers a request."""
    program = tree.link_main(C, ROOT / "tests/library/own_weir.c")
    config, place = tree.work / "weir.yaml", tree.work / "socket"
    config.write_text(OWN_WEIR.format(socket=place))
    assert "is good" in run(program, "-t", "-c", config)
    weir = subprocess.Popen([program, "-c", config], stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True)
    try:
        assert any(" ready: " in line for line in weir.stderr), "it ended"
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(str(place))
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\nit works"), answer
    finally:
        weir.terminate()
        weir.communicate(timeout=60)
    assert weir.returncode == 0, weir.returncode


def names_do_not_clash_shared(tree):
    assert "each its own" in tree.run_shared(C, ROOT / "tests/library/names.c")


def names_do_not_clash_static(tree):
    assert "each its own" in tree.run_static(C, ROOT / "tests/library/names.c")


def cxx_has_errors(tree):
    assert "as in C" in tree.run_shared(CXX, ROOT / "tests/library/errors.cc")


HELLO_TWICE = "200 hello, new connection\n200 hello, reused connection\n"


def cxx_client(tree):
    said = tree.run_shared(CXX, ROOT / "tests/library/client.cc", tree.url)
    assert said == HELLO_TWICE, said


def example(tree):
    """The example of libweir(3)."""
    page = (ROOT / "docs/man/libweir.3").read_text()
    text = re.search(r"^\.EX\n(#include.*?)^\.EE", page, re.M | re.S).group(1)
    source = tree.work / "example.c"
    source.write_text(text.replace("\\e", "\\"))
    return source


def example_shared(tree):
    said = tree.run_shared(C, example(tree), tree.url)
    assert said == HELLO_TWICE, said


def example_static(tree):
    said = tree.run_static(C, example(tree), tree.url)
    assert said == HELLO_TWICE, said


CHECKS = [headers_are_there, pages_are_there, program_runs, soname_is_versioned,
          shared_exports_weir_only, archive_exports_weir_only, archive_and_shared_export_the_same,
          archive_is_for_any_compiler, main_exports_libweir_and_itself, own_weir,
          names_do_not_clash_shared, names_do_not_clash_static, cxx_has_errors, cxx_client,
          example_shared, example_static]


def meson():
    """The Meson that this build is of; another one may not read it."""
    text = pathlib.Path("build.ninja").read_text()
    return shlex.split(re.search(r"^ command = (.*) --internal regenerate ", text, re.M).group(1))


def judge(check, what):
    try:
        check(what)
    except Skip as reason:
        return f"ok {{}} - {{}} # SKIP {reason}", None
    except Exception as error:  # whatever it is, the other checks still say theirs
        return "not ok {} - {}", f"{type(error).__name__}: {error}"
    return "ok {} - {}", None


def report(checks):
    """Prints TAP for [(check, what it gets)]; returns whether one failed."""
    failed = False
    print(f"1..{len(checks)}")
    for number, (check, what) in enumerate(checks, 1):
        verdict, wrong = judge(check, what)
        print(verdict.format(number, check.__name__.replace("_", " ")), flush=True)
        if wrong:
            print(wrong, file=sys.stderr)
        failed |= wrong is not None
    return failed


def main():
    with tempfile.TemporaryDirectory() as work:
        folder = os.path.abspath(sys.argv[1])
        if sys.argv[1] == "--build":
            folder = os.path.join(work, "installed")
            run(*meson(), "install", "--no-rebuild", "--quiet", "--destdir", folder)
        tree = Tree(folder, work)
        return report([(check, tree) for check in CHECKS])


if __name__ == "__main__":
    sys.exit(main())
