# SPDX-License-Identifier: MIT
"""One round of load, by wrk, by tls_load or by h2load."""

import contextlib
import json
import os
import re
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


def run_h2load(url, connections, streams, amount, expected_seconds, log):
    """The same of h2load, which speaks HTTP/2: over TLS by ALPN, else with prior knowledge.
    `amount`: "-n1000", requests, or "-D2", seconds, which will not tell of connections that are
    lost. It writes a line for each request to the file `log`."""
    argv = ["h2load", "-t1", f"-c{connections}", f"-m{streams}", amount, f"--log-file={log}",
            "--tls13-ciphers=TLS_AES_128_GCM_SHA256", "--groups=X25519", url]
    try:
        told = _output(argv, expected_seconds)
        report = _h2load_report(told, _latencies_us(log))
    except (OSError, ValueError) as error:
        raise Failed(f"h2load failed: {told}") from error
    finally:
        # It would go on where the last one ended.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(log)
    spoken = "h2" if url.startswith("https:") else "h2c"
    report["errors"]["protocol"] = int(f"Application protocol: {spoken}\n" not in told)
    return report


def _latencies_us(log):
    """Of the requests that were answered with 200, by h2load's log, from the lowest up."""
    with open(log, encoding="ascii") as lines:
        fields = (line.split("\t") for line in lines)
        return sorted(int(latency) for _, status, latency in fields if status == "200")


def _h2load_report(told, latencies_us):
    """From its last words. ValueError: they are not there."""
    ending = re.search(r"^finished in \S+, ([\d.]+) req/s.*\n(requests: (?:.*\n)*?traffic: .*)$",
                       told, re.M)
    # "2 total, 2 started, ..." and "34B (34) total, 17B (17) headers (...), 20B (20) data"
    counts = {name: int(count) for count, name in
              re.findall(r"(\d+)\)? ([a-z]+)", ending[2] if ending else "")}
    if not counts.keys() >= {"succeeded", "failed", "errored", "timeout", "data"}:
        raise ValueError
    requests, a_second = counts["succeeded"], float(ending[1])
    errors = {name: counts[name] for name in ("failed", "errored", "timeout")}
    errors["status"] = requests - len(latencies_us)
    return {"requests": requests, "bytes": counts["data"], "errors": errors,
            "duration_us": round(requests * 1e6 / a_second) if a_second else 0,
            "p50_us": _percentile(latencies_us, 50), "p99_us": _percentile(latencies_us, 99)}


def _percentile(ascending, percent):
    return ascending[(len(ascending) - 1) * percent // 100] if ascending else None


def _run(argv, seconds, environment=None):
    """What the load tool reports."""
    output = _output(argv, seconds, environment)
    for line in output.splitlines():
        if line.startswith("report "):
            return json.loads(line.removeprefix("report "))
    raise Failed(f"{argv[0]} failed: {output}")


def _output(argv, seconds, environment=None):
    """All that the load tool prints."""
    try:
        # An exception in here, Ctrl-C too, kills it before it goes on up.
        done = subprocess.run(argv, capture_output=True, text=True, check=False,
                              timeout=seconds + GRACE_SECONDS,
                              env={**os.environ, **(environment or {})})
    except FileNotFoundError as error:
        raise Failed(f"{argv[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{argv[0]} did not end in time: {' '.join(argv)}") from error
    return done.stdout + done.stderr
