# SPDX-License-Identifier: MIT
"""One round of load, by wrk or by tls_load."""

import json
import os
import subprocess

from lib.children import Failed

REPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "wrk_report.lua")
GRACE_SECONDS = 20


def run_wrk(url, connections, seconds, environment=None):
    """What wrk counted, as wrk_report.lua says it: requests, bytes, latencies and errors."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", REPORT, url]
    return _run(argv, seconds, environment)


def run_tls_load(program, port, size, connections, seconds, resume):
    """The same of tls_load.c, a connection each request; and handshakes, `full` and `resumed`."""
    argv = [program, "--to", f"127.0.0.1:{port}", "--path", f"/{size}",
            "--connections", str(connections), "--seconds", str(seconds)]
    return _run(argv + (["--resume"] if resume else []), seconds)


def _run(argv, seconds, environment=None):
    """What the load tool reports."""
    try:
        # An exception in here, Ctrl-C too, kills it before it goes on up.
        done = subprocess.run(argv, capture_output=True, text=True, check=False,
                              timeout=seconds + GRACE_SECONDS,
                              env={**os.environ, **(environment or {})})
    except FileNotFoundError as error:
        raise Failed(f"{argv[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{argv[0]} did not end in time: {' '.join(argv)}") from error
    for line in done.stdout.splitlines():
        if line.startswith("report "):
            return json.loads(line.removeprefix("report "))
    raise Failed(f"{argv[0]} failed: {done.stdout}{done.stderr}")
