# SPDX-License-Identifier: MIT
"""Runs h2spec, a third party's conformance tests of HTTP/2, against weir: without TLS and over it.

    python3 tests/h2spec.py PROGRAM [OPTION...]

PROGRAM is h2spec, the options are its own (a section such as `http2/6.5`, or `--strict`). WEIR says
which weir, as for the end-to-end tests. `./dev h2spec` gets h2spec first.

A case that fails is a failure, unless it is listed in EXCEPTIONS with its reason.
"""

import contextlib
import pathlib
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
    ("http2/5.1.1", "Sends stream identifier that is numerically smaller than previous"):
        "nghttp2 cannot tell it from trailers that crossed our RST_STREAM, and ignores it",
    ("http2/5.3.1", "Sends PRIORITY frame that depend on itself"):
        "RFC 9113 has no such priorities any more, and our SETTINGS say that we have none",
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


def main(program, *options):
    with tempfile.TemporaryDirectory(prefix="weir-h2spec-") as name:
        directory = pathlib.Path(name)
        with serving(directory) as (plain, over_tls):
            report = directory / "report.xml"
            passed = [run(program, "without TLS", plain, report, *options),
                      run(program, "over TLS", over_tls, report, "--tls", "--insecure", *options)]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
