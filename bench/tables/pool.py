# SPDX-License-Identifier: MIT
"""What the pool costs by itself: check out and release, and taking over from another worker.

Without a request and without a proxy: pool_bench.c calls the pool as a proxy's workers do, and
tells what it measures. Rounds of all cases take turns; the median of each case is shown.
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from statistics import median

from lib import machine, text
from lib.children import Child, Failed, free_ports
from tables.memory import raise_limits

NAME = "pool"
HEAD = ["backend", "keys", "local ns", "looked at ns", "together us", "by the clock",
        "alone us", "by the clock", "not moved"]
LEGEND = """
local      check out and release, in one turn of the loop
looked at  the same with a look, since the connection has rested since an earlier turn
together   taken over from another worker, release included, when 64 are asked for at once:
           processor time of both workers; by the clock: until all 64 are there, each
alone      the same when one is asked for at a time
not moved  of those asked for: the other worker was too late, and they were dialled. Should be 0"""
BACKENDS = ["epoll", "uring"]
SECONDS_MAX = 60


def add_arguments(parser):
    parser.add_argument("--keys", type=int, nargs="+", default=[1, 10000], metavar="N",
                        help="as many servers (default: 1 10000)")
    parser.add_argument("--rounds", type=int, default=7, help="(default: 7)")


def measure_once(program, backend, keys, port):
    """The figures of one round, by name."""
    argv = [program, "--io", backend, "--port", str(port), "--keys", str(keys)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False,
                              timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(argv)} did not end in time") from error
    if done.returncode != 0:
        raise Failed(f"{' '.join(argv)}: {done.stderr.strip()}")
    return {name: float(figure) for name, figure in map(str.split, done.stdout.splitlines())}


def usable_backends(program, port):
    for backend in BACKENDS:
        try:
            measure_once(program, backend, 1, port)
            yield backend
        except Failed as why:
            if backend == "epoll":
                raise
            print(f"{backend} is left out: {why}")


def middle_of(rounds):
    """The median of each figure; but the sum of what was not moved."""
    figures = {name: median(one[name] for one in rounds) for name in rounds[0]}
    for name in figures:
        if name.endswith("_not_moved"):
            figures[name] = sum(one[name] for one in rounds)
    return figures


def measure(options, port):
    program = os.path.abspath(os.path.join(options.build, "bench/pool_bench"))
    cases = [(backend, keys) for backend in usable_backends(program, port)
             for keys in options.keys]
    rounds = {case: [] for case in cases}
    for _ in range(options.rounds):
        for case in cases:
            rounds[case].append(measure_once(program, *case, port))
    return [{"backend": backend, "keys": keys, **middle_of(rounds[backend, keys]),
             "rounds": rounds[backend, keys]} for backend, keys in cases]


def row_of(case):
    micro = [text.number(case[name], 2, 0.001) for name in (
        "together_processor_ns", "together_wall_ns", "alone_processor_ns", "alone_wall_ns")]
    return [case["backend"], str(case["keys"]), text.number(case["local_ns"], 0),
            text.number(case["looked_ns"], 0), *micro,
            text.number(case["together_not_moved"] + case["alone_not_moved"], 0)]


def run(options):
    """Prints the table."""
    raise_limits(max(options.keys) + 1000)
    with contextlib.ExitStack() as stack:
        directory = tempfile.mkdtemp(prefix="weir-bench-")
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        port, = free_ports(1)
        program = os.path.abspath(os.path.join(options.build, "bench/origin"))
        origin = Child("origin", [program, "--listen", f"0.0.0.0:{port}"], directory)
        stack.callback(origin.stop)
        origin.wait_ready(port)
        cases = measure(options, port)
    print("\n".join(text.columns(HEAD, [row_of(case) for case in cases])))
    print(LEGEND)
    path = os.path.join(options.build, "bench", f"{NAME}.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"table": NAME, "machine": machine.describe(), "cases": cases}, file, indent=1)
    print(f"\n{path} written")
    return 0
