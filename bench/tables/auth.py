# SPDX-License-Identifier: MIT
"""What auth_request adds to a request: processor time with and without, beside nginx and Caddy.

Measured as in the table `cost`. Each proxy runs twice, with and without, and the two get load one
after the other in each round: the difference is of neighbours in time.
"""

import contextlib
import os
from dataclasses import dataclass
from statistics import median

from lib import figures, machine, text
from lib.children import Failed
from lib.load import run_wrk
from lib.origin import Origin, fetch_body
from lib.proxies import PLAIN, PROXIES, RunningProxy, version_of
from lib.rounds import (find_all, measure_round, print_header, show_progress, working_directory,
                        write_json)

NAME = "auth"
ABLE = [proxy for proxy in PROXIES if proxy.name in ("weir-epoll", "weir-uring", "nginx", "caddy")]
WAYS = {"without": PLAIN, "with": PLAIN - {"plain-up"} | {"auth"}}
SIZE = 75
WARM_UP_SECONDS = 1
HEAD = ["proxy", "without", "with", "overhead us", "spread", "x without", "x nginx", "req/s",
        "busy %", "dials", "errors"]


def add_arguments(parser):
    parser.add_argument("--rounds", type=int, default=7, help="of each proxy (default: 7)")
    parser.add_argument("--seconds", type=int, default=1, help="a round's length (default: 1)")
    parser.add_argument("--connections", type=int, default=64,
                        help="downstream connections (default: 64)")
    parser.add_argument("--only", type=lambda words: words.split(","), default=None,
                        metavar="NAME,NAME", help="of " + ",".join(one.name for one in ABLE))


@dataclass
class Pair:
    """One proxy, running in both ways; the rounds of each."""
    proxy: object
    running: dict
    rounds: dict

    def overheads(self):
        """Of each round, in us a request; None where a round has no figure."""
        costs = zip(*([one["cost_us"] for one in self.rounds[way]] for way in ("with", "without")))
        return [None if None in both else both[0] - both[1] for both in costs]


def start_pair(stack, directory, origin, proxy, program):
    running = {}
    for way, words in WAYS.items():
        place = os.path.join(directory, way)
        os.makedirs(place, exist_ok=True)
        one = RunningProxy(proxy, program, place, origin.port, words)
        stack.callback(one.stop)
        one.child.wait_ready(one.port)
        running[way] = one
    return Pair(proxy, running, {way: [] for way in WAYS})


def start_all(stack, options, found):
    """Origin and proxies, all answering; `stack` stops them. What is optional may fail to."""
    directory = stack.enter_context(working_directory())
    origin = Origin(os.path.abspath(os.path.join(options.build, "bench/origin")), directory)
    stack.callback(origin.stop)
    origin.wait_ready()
    pairs = []
    for proxy, program in found:
        try:
            pairs.append(start_pair(stack, directory, origin, proxy, program))
        except Failed as failed:
            if not proxy.optional:
                raise
            print(f"{proxy.name}: skipped, {failed}")
    return origin, pairs


def measure_all(origin, pairs, options):
    """A warm-up each, then A A+auth B B+auth, round after round."""
    body = fetch_body(origin.port, SIZE)

    def measure(one, seconds):
        url = f"http://127.0.0.1:{one.port}/{SIZE}"
        return measure_round(origin, one, body, lambda: fetch_body(one.port, SIZE),
                             lambda: run_wrk(url, options.connections, seconds))

    for pair in pairs:
        for one in pair.running.values():
            measure(one, WARM_UP_SECONDS)
    for number in range(options.rounds):
        for pair in pairs:
            for way, one in pair.running.items():
                show_progress(f"round {number + 1} of {options.rounds}, {pair.proxy.name} {way}")
                pair.rounds[way].append(measure(one, options.seconds))
    show_progress("")


def ratio_of(overheads, others):
    """The median of the ratios of two proxies' rounds; None where one of them has no figure."""
    if others is None or None in overheads + others or 0 in others:
        return None
    return median(one / other for one, other in zip(overheads, others))


def summarize(pairs):
    by_name = {pair.proxy.name: pair.overheads() for pair in pairs}
    summaries = []
    for pair in pairs:
        overheads = by_name[pair.proxy.name]
        known = None not in overheads
        summaries.append({
            "name": pair.proxy.name, "kind": pair.proxy.kind, "rounds": pair.rounds,
            **{way: figures.spread(pair.rounds[way], "cost_us") for way in WAYS},
            **{key: figures.spread(pair.rounds["with"], key)
               for key in ("requests_per_second", "busy", "dials")},
            "overhead_us": {"median": median(overheads), "low": min(overheads),
                            "high": max(overheads)} if known else None,
            "x_without": figures.ratio(pair.rounds["with"], pair.rounds["without"]),
            "x_nginx": ratio_of(overheads, by_name.get("nginx")),
            "errors": figures.total_errors(pair.rounds["with"] + pair.rounds["without"]),
        })
    return summaries


def print_table(summaries, connections):
    rows = []
    for one in summaries:
        errors = ", ".join(f"{name} {count}" for name, count in one["errors"].items())
        rows.append([
            one["name"] + (" (!)" if errors else ""), text.middle(one["without"], 2),
            text.middle(one["with"], 2), text.middle(one["overhead_us"], 2),
            text.ends(one["overhead_us"], 1), text.number(one["x_without"], 2),
            text.number(one["x_nginx"], 2), text.middle(one["requests_per_second"], 0),
            text.middle(one["busy"], 0, 100), text.middle(one["dials"], 0), errors or "0"])
    print(f"\n{SIZE}-byte responses, {connections} connections, us/request")
    print("\n".join(text.columns(HEAD, rows)), flush=True)


def run(options):
    """Prints the table; 1 if any proxy had an error."""
    found = find_all(options, ABLE)
    versions = {proxy.name: version_of(program, proxy.version_argv) for proxy, program in found}
    versions["wrk"] = version_of("wrk", ["-v"])
    result = {"table": NAME, "versions": versions, "machine": machine.describe(),
              "rounds": options.rounds, "seconds": options.seconds,
              "connections": options.connections}
    print_header(result)
    with contextlib.ExitStack() as stack:
        origin, pairs = start_all(stack, options, found)
        measure_all(origin, pairs, options)
    result["proxies"] = summarize(pairs)
    print_table(result["proxies"], options.connections)
    write_json(options, result)
    faulty = sorted(one["name"] for one in result["proxies"] if one["errors"])
    if faulty:
        print(f"errors, so not comparable: {', '.join(faulty)}")
    return 1 if faulty else 0
