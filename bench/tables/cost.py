# SPDX-License-Identifier: MIT
"""Processor time a request, HTTP/1 to HTTP/1: weir, its peers and the floor.

Every proxy runs all the while; one at a time gets load, in turn, round after round. What it costs
is the processor time of all its processes and threads over the round, divided by its requests.
"""

import contextlib
import os

from lib import figures, machine, text
from lib.children import Failed
from lib.load import run_wrk
from lib.origin import Origin, fetch_body
from lib.proxies import PLAIN, PROXIES, RunningProxy, version_of
from lib.rounds import (find_all, measure_round, print_header, show_progress,
                        working_directory, write_json)

NAME = "cost"
WARM_UP_SECONDS = 1
HEAD = ["proxy", "us/request", "spread", "x floor", "x best peer", "req/s", "p50 ms", "p99 ms",
        "busy %", "dials", "errors"]


def _numbers(words):
    return [int(word) for word in words.split(",")]


def add_arguments(parser):
    names = ",".join(proxy.name for proxy in PROXIES)
    parser.add_argument("--rounds", type=int, default=7, help="of each proxy (default: 7)")
    parser.add_argument("--seconds", type=int, default=2, help="a round's length (default: 2)")
    parser.add_argument("--connections", type=_numbers, default=[64, 512], metavar="N,N",
                        help="downstream connections (default: 64,512)")
    parser.add_argument("--sizes", type=_numbers, default=[75, 16384], metavar="N,N",
                        help="response bytes, head included (default: 75,16384)")
    parser.add_argument("--only", type=lambda words: words.split(","), default=None,
                        metavar="NAME,NAME", help=f"of {names}")


def start_all(stack, options, found):
    """Origin and proxies, all answering; `stack` stops them. What is optional may fail to."""
    directory = stack.enter_context(working_directory())
    origin = Origin(os.path.abspath(os.path.join(options.build, "bench/origin")), directory)
    stack.callback(origin.stop)
    origin.wait_ready()
    running = []
    for proxy, program in found:
        one = RunningProxy(proxy, program, directory, origin.port, PLAIN)
        stack.callback(one.stop)
        try:
            one.child.wait_ready(one.port)
            running.append(one)
        except Failed as failed:
            if not proxy.optional:
                raise
            print(f"{proxy.name}: skipped, {failed}")
    return origin, running


def measure_one(origin, one, size, body, connections, seconds):
    url = f"http://127.0.0.1:{one.port}/{size}"
    return measure_round(origin, one, body, lambda: fetch_body(one.port, size),
                         lambda: run_wrk(url, connections, seconds))


def measure_case(origin, running, size, connections, options):
    """One case: a warm-up each, then A B C A B C ..."""
    rounds = {one.proxy.name: [] for one in running}
    body = fetch_body(origin.port, size)
    if body is None:
        raise Failed(f"the origin has no response of {size} bytes")
    for one in running:
        measure_one(origin, one, size, body, connections, WARM_UP_SECONDS)
    for number in range(options.rounds):
        for one in running:
            show_progress(f"{size} bytes, {connections} connections: "
                          f"round {number + 1} of {options.rounds}, {one.proxy.name}")
            rounds[one.proxy.name].append(
                measure_one(origin, one, size, body, connections, options.seconds))
    show_progress("")
    proxies = [one.proxy for one in running]
    return {"response_bytes": size, "connections": connections,
            **figures.summarize(proxies, rounds)}


def print_case(case):
    rows = []
    for one in case["proxies"]:
        errors = ", ".join(f"{name} {count}" for name, count in one["errors"].items())
        rows.append([
            one["name"] + (" (!)" if errors else ""),
            text.middle(one["cost_us"], 2), text.ends(one["cost_us"], 1),
            text.number(one["x_floor"], 2), text.number(one["x_best_peer"], 2),
            text.middle(one["requests_per_second"], 0),
            text.middle(one["p50_us"], 2, 0.001), text.middle(one["p99_us"], 2, 0.001),
            text.middle(one["busy"], 0, 100), text.middle(one["dials"], 0), errors or "0"])
    print(f"\n{case['response_bytes']}-byte responses, {case['connections']} connections"
          f" (best peer: {case['best_peer'] or 'none'})")
    print("\n".join(text.columns(HEAD, rows)), flush=True)


def run(options):
    """Prints the table; 1 if any proxy had an error."""
    found = find_all(options, PROXIES)
    versions = {proxy.name: version_of(program, proxy.version_argv)
                for proxy, program in found if proxy.version_argv}
    versions["wrk"] = version_of("wrk", ["-v"])
    result = {"table": NAME, "versions": versions, "machine": machine.describe(),
              "rounds": options.rounds, "seconds": options.seconds, "cases": []}
    print_header(result)
    with contextlib.ExitStack() as stack:
        origin, running = start_all(stack, options, found)
        for size in options.sizes:
            for connections in options.connections:
                case = measure_case(origin, running, size, connections, options)
                result["cases"].append(case)
                print_case(case)
    write_json(options, result)
    faulty = {one["name"] for case in result["cases"] for one in case["proxies"] if one["errors"]}
    if faulty:
        print(f"errors, so not comparable: {', '.join(sorted(faulty))}")
    return 1 if faulty else 0
