# SPDX-License-Identifier: MIT
"""One round of load, by wrk."""

import json
import os
import subprocess

from lib.children import Failed

REPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "wrk_report.lua")
GRACE_SECONDS = 20


def run_wrk(url, connections, seconds):
    """What wrk counted, as wrk_report.lua says it: requests, bytes, latencies and errors."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", REPORT, url]
    try:
        # An exception in here, Ctrl-C too, kills wrk before it goes on up.
        done = subprocess.run(argv, capture_output=True, text=True, check=False,
                              timeout=seconds + GRACE_SECONDS)
    except FileNotFoundError as error:
        raise Failed("wrk is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise Failed(f"wrk did not end in time: {' '.join(argv)}") from error
    for line in done.stdout.splitlines():
        if line.startswith("report "):
            return json.loads(line.removeprefix("report "))
    raise Failed(f"wrk failed: {done.stdout}{done.stderr}")
