# SPDX-License-Identifier: MIT
"""What the tables that put proxies side by side do alike: find, start, one round of one proxy."""

import contextlib
import json
import os
import shutil
import sys
import tempfile

from lib import figures
from lib.children import Failed
from lib.cputime import processor_ns
from lib.proxies import choose, find_program


def find_all(options, able):
    """(proxy, program) of what is to be measured and is there; says what is not."""
    try:
        chosen = choose(options.only, able)
    except KeyError as stranger:
        raise Failed(f"there is no proxy {stranger}") from None
    found = []
    for proxy in chosen:
        program = find_program(proxy, options.build)
        if program:
            found.append((proxy, program))
        else:
            why = "not built in " + options.build if "/" in proxy.program else "not installed"
            print(f"{proxy.name}: skipped, {proxy.program} is {why}")
    if not found:
        raise Failed("nothing to measure")
    return found


@contextlib.contextmanager
def working_directory():
    """A directory for what is started, gone afterwards."""
    directory = tempfile.mkdtemp(prefix="weir-bench-")
    try:
        # Servers that give up root still have to read their own files.
        os.chmod(directory, 0o755)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def failed_round(error):
    """Takes the place of a round that could not be measured: no figures, one error."""
    return {**dict.fromkeys(figures.SHOWN), "errors": {error: 1}}


def measure_round(origin, one, body, fetch, load):
    """`fetch()` gets a response's body, which must be `body`; `load()` asks for the same for a
    while and gives the report."""
    if fetch() != body:
        return failed_round("answer")
    dials_before, before_ns = origin.connections_accepted(), processor_ns(one.child.pid)
    try:
        report = load()
    except Failed:
        return failed_round("load")
    spent_ns = processor_ns(one.child.pid) - before_ns
    requests, duration_us = report["requests"], report["duration_us"]
    errors = report["errors"]
    # Short answers are cheap; nobody shall win by them.
    errors["short"] = int(report["bytes"] < requests * len(body))
    if requests == 0:
        return failed_round("no requests")
    return {
        "requests": requests,
        "processor_ns": spent_ns,
        "cost_us": round(spent_ns / 1000 / requests, 3),
        "requests_per_second": round(requests * 1e6 / duration_us),
        "p50_us": report["p50_us"],
        "p99_us": report["p99_us"],
        "busy": round(spent_ns / 1000 / duration_us, 3),
        "dials": origin.connections_accepted() - dials_before,
        "used": report.get("used"),
        "resumed": report.get("resumed_share"),
        "errors": errors,
    }


def show_progress(words):
    if sys.stderr.isatty():
        print(f"\r\033[K{words}", end="", file=sys.stderr, flush=True)


def print_header(result):
    on = result["machine"]
    print(", ".join(f"{name} {version}" for name, version in result["versions"].items()))
    print(f"{on['processors']} x {on['processor']}, Linux {on['kernel']}, "
          f"load average {on['load_average']}; one worker each, {result['rounds']} rounds of "
          f"{result['seconds']} s in turn")


def write_json(options, result):
    """To BUILD/bench/TABLE.json; says so."""
    path = os.path.join(options.build, "bench", f"{result['table']}.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
    print(f"\n{path} written")
