# SPDX-License-Identifier: MIT
"""Runs h2spec, a third party's conformance tests of HTTP/2, against weir: as a server, without TLS
and over it, and as a client of h2specd's server.

    python3 tests/h2spec.py FOLDER [OPTION...]

FOLDER has h2spec and h2specd, the options are h2spec's own (a section such as `http2/6.5`, or
`--strict`). WEIR says which weir, as for the end-to-end tests. `./dev h2spec` gets both first.

A case that fails is a failure, unless it is listed in EXCEPTIONS with its reason.
"""

import contextlib
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "e2e"))

import authority  # noqa: E402
import tls  # noqa: E402
from origin import Origin  # noqa: E402
from weir import Weir, one_upstream  # noqa: E402

# Long enough for the cases that want a response in several pieces; short enough for one window.
BODY = bytes(range(32, 127)) * 40


# (section, case) -> why it may fail
EXCEPTIONS = {
    ("http2/3.5", "Sends invalid connection preface"):
        "without TLS it is taken for HTTP/1, and answered in HTTP/1 before the end",
}


def answer(exchange):
    exchange.respond(BODY)


@contextlib.contextmanager
def serving(directory):
    """weir with a listener of each kind, in front of an origin; its two addresses."""
    (directory / "authority").mkdir()
    certificate = authority.Authority(directory / "authority", "h2spec").issue(tls.EDGE)
    origin = Origin()
    origin.default = answer
    proxy = Weir(directory, one_upstream(origin.address, service={
        "listen": [{}, tls.listener(certificate)]}))
    try:
        yield proxy.listeners[0]
        proxy.stop()
    finally:
        if proxy.process.poll() is None:
            proxy.kill()
        origin.close()


def failures(report):
    """The cases that failed: (section, case)."""
    for suite in xml.etree.ElementTree.parse(report).getroot().iter("testsuite"):
        for case in suite.iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                yield suite.get("package"), case.get("classname")


def run(program, heading, address, report, *options):
    """Whether nothing failed that should not."""
    print(f"== {heading}", flush=True)
    host, _, port = address.rpartition(":")
    report.unlink(missing_ok=True)
    done = subprocess.run([program, "-h", host, "-p", port, "-j", report, *options], check=False)
    if not report.exists():
        return done.returncode == 0
    failed = list(failures(report))
    for each in failed:
        print(f"{each[0]}: {each[1]}: {EXCEPTIONS.get(each, 'FAILED')}")
    return all(each in EXCEPTIONS for each in failed)


def run_clients(program):
    """h2specd ends with 0 whatever it finds."""
    print("== weir as the client", flush=True)
    done = subprocess.run([program, "-f", "20000", "-o", "1", "-e", HERE / "h2spec_client.sh"],
                          stdout=subprocess.PIPE, text=True, check=False)
    told = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", done.stdout)
    print(done.stdout if not told or int(told[4]) else told[0])
    return bool(told) and not int(told[4])


def main(folder, *options):
    with tempfile.TemporaryDirectory(prefix="weir-h2spec-") as name:
        directory = pathlib.Path(name)
        with serving(directory) as (plain, over_tls):
            report = directory / "report.xml"
            program = f"{folder}/h2spec"
            passed = [run(program, "without TLS", plain, report, *options),
                      run(program, "over TLS", over_tls, report, "--tls", "--insecure", *options)]
    if not options:
        passed.append(run_clients(f"{folder}/h2specd"))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
