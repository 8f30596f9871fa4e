# SPDX-License-Identifier: MIT
"""Processor time a request with TLS on either side: weir and its peers.

Measured as in the table `cost`. Each case has its own configuration, so its own processes; all of
them speak TLS 1.3 with the same suite, group and certificate, since the load tools and the origin
offer nothing else.
"""

import contextlib
import http.client
import json
import os
import re
import sys
from dataclasses import dataclass

from lib import certificate, figures, machine, text
from lib.children import Failed
from lib.load import run_tls_load, run_wrk
from lib.origin import Origin, fetch_body
from lib.proxies import PROXIES, RunningProxy, version_of
from lib.rounds import (find_all, measure_round, print_header, show_progress,
                        working_directory)

NAME = "tls"
AIM = 0.9
WARM_UP_SECONDS = 1
RESUMED_AT_LEAST = 0.5
SPOKEN = "TLS 1.3, TLS_AES_128_GCM_SHA256, X25519, ECDSA on P-256"
HEAD = ["proxy", "us/request", "spread", "x best peer", "req/s", "p50 ms", "p99 ms", "busy %",
        "dials", "resumed %", "errors"]
ABLE = [proxy for proxy in PROXIES if proxy.name in (
    "weir-epoll", "weir-uring", "nginx", "haproxy", "h2o")]


@dataclass
class Case:
    """`words` choose lines of the templates in peers/. `handshakes`: the side, `down` or `up`, on
    which each request makes one; `resume`: whether from an earlier session. `without`: who cannot
    do that."""
    name: str
    title: str
    words: str
    size: int = 75
    handshakes: str = None
    resume: bool = False
    without: tuple = ()

    def uses(self, word):
        return word in self.words.split()


# h2o 2.2 speaks plain HTTP to a TLS origin when it may not keep connections.
POOLED_ONLY = ("h2o",)
CASES = [
    Case("down", "TLS downstream", "tls-down plain-up pooled"),
    Case("down-16k", "TLS downstream", "tls-down plain-up pooled", 16384),
    Case("up", "TLS upstream", "plain-down tls-up pooled"),
    Case("up-16k", "TLS upstream", "plain-down tls-up pooled", 16384),
    Case("both", "TLS on both sides", "tls-down tls-up pooled"),
    Case("down-full", "a downstream handshake each request", "tls-down plain-up pooled admin",
         handshakes="down"),
    Case("down-resumed", "a resumed downstream handshake each request",
         "tls-down plain-up pooled admin", handshakes="down", resume=True),
    Case("up-full", "an upstream handshake each request",
         "plain-down tls-up unpooled not-resuming", handshakes="up", without=POOLED_ONLY),
    Case("up-resumed", "a resumed upstream handshake each request",
         "plain-down tls-up unpooled", handshakes="up", resume=True, without=POOLED_ONLY),
]


def add_arguments(parser):
    parser.add_argument("--rounds", type=int, default=7, help="of each proxy (default: 7)")
    parser.add_argument("--seconds", type=int, default=2, help="a round's length (default: 2)")
    parser.add_argument("--connections", type=int, default=64,
                        help="downstream, at a time (default: 64)")
    parser.add_argument("--cases", type=lambda words: words.split(","), default=None,
                        metavar="NAME,NAME", help="of " + ",".join(case.name for case in CASES))
    parser.add_argument("--only", type=lambda words: words.split(","), default=None,
                        metavar="NAME,NAME", help="of " + ",".join(one.name for one in ABLE))


def chosen_cases(options):
    by_name = {case.name: case for case in CASES}
    try:
        return [by_name[name] for name in options.cases or by_name]
    except KeyError as stranger:
        raise Failed(f"there is no case {stranger}") from None


class Bench:
    """What lasts over all cases: the certificate, the origin, and where the load tools are."""

    def __init__(self, stack, options):
        self.options = options
        self.directory = stack.enter_context(working_directory())
        self.files = certificate.make(self.directory)
        self.context = self.files.context()
        self.tls_load = self._program("tls_load")
        self.origin = Origin(self._program("origin"), self.directory,
                             [self.files.cert, self.files.key])
        stack.callback(self.origin.stop)
        self.origin.wait_ready()

    def _program(self, name):
        return os.path.abspath(os.path.join(self.options.build, "bench", name))

    def start(self, stack, case, proxy, program):
        """That proxy, accepting connections, as this case wants it. Failed: it is not."""
        directory = os.path.join(self.directory, case.name)
        os.makedirs(directory, exist_ok=True)
        port = self.origin.tls_port if case.uses("tls-up") else self.origin.port
        one = RunningProxy(proxy, program, directory, port, case.words.split(),
                           self.files.fillings())
        stack.callback(one.stop)
        one.child.wait_ready(one.port)
        return one

    def _load(self, case, one, seconds):
        connections = self.options.connections
        if case.handshakes == "down":
            return run_tls_load(self.tls_load, one.port, case.size, connections, seconds,
                                case.resume)
        scheme = "https" if case.uses("tls-down") else "http"
        return run_wrk(f"{scheme}://127.0.0.1:{one.port}/{case.size}", connections, seconds,
                       {"OPENSSL_CONF": self.files.client_config})

    def load(self, case, one, seconds):
        """The load tool's report, and in it what share of the handshakes resumed a session."""
        before = self.origin.served()
        report = self._load(case, one, seconds)
        if not case.handshakes:
            return report
        after = self.origin.served()
        counted = report if case.handshakes == "down" else {
            key: after[key] - before[key] for key in ("full", "resumed")}
        share = counted["resumed"] / max(1, counted["full"] + counted["resumed"])
        report["resumed_share"] = round(share, 4)
        if case.resume:
            report["errors"]["not resumed"] = counted["full"] if share < RESUMED_AT_LEAST else 0
        else:
            report["errors"]["resumed"] = counted["resumed"]
        return report

    def measure_round(self, case, one, body, seconds):
        context = self.context if case.uses("tls-down") else None
        return measure_round(self.origin, one, body,
                             lambda: fetch_body(one.port, case.size, context),
                             lambda: self.load(case, one, seconds))


def start_able(bench, stack, case, found):
    """(running, names of those that did not start); says why they did not."""
    running, missing = [], []
    for proxy, program in found:
        if proxy.name in case.without:
            continue
        try:
            running.append(bench.start(stack, case, proxy, program))
        except Failed as failed:
            missing.append(proxy.name)
            print(f"{case.name}: {proxy.name} cannot start: {failed}", file=sys.stderr)
    return running, missing


def longest_turn_ms(one):
    """Of its loop, so far, as weir's own metrics tell; None if they do not."""
    connection = http.client.HTTPConnection("127.0.0.1", one.admin_port, timeout=5)
    try:
        connection.request("GET", "/metrics")
        metrics = connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    found = re.search(r'^weir_loop_longest_turn_seconds\{worker="0"\} (\S+)', metrics, re.M)
    return float(found.group(1)) * 1000 if found else None


def measure_case(bench, case, found):
    """One case: a warm-up each, then A B C A B C ..."""
    options, origin = bench.options, bench.origin
    body = fetch_body(origin.port, case.size)
    with contextlib.ExitStack() as stack:
        running, missing = start_able(bench, stack, case, found)
        rounds = {one.proxy.name: [] for one in running}
        for one in running:
            bench.measure_round(case, one, body, WARM_UP_SECONDS)
        for number in range(options.rounds):
            for one in running:
                show_progress(f"{case.name}: round {number + 1} of {options.rounds}, "
                              f"{one.proxy.name}")
                rounds[one.proxy.name].append(
                    bench.measure_round(case, one, body, options.seconds))
        show_progress("")
        turns = {one.proxy.name: longest_turn_ms(one) for one in running
                 if case.uses("admin") and one.proxy.kind == "weir"}
    return {"name": case.name, "title": case.title, "response_bytes": case.size,
            "connections": options.connections, "pooled": not case.handshakes,
            "missing": missing, "longest_turn_ms": turns,
            **figures.summarize([one.proxy for one in running], rounds)}


def row_of(one):
    errors = ", ".join(f"{name} {count}" for name, count in one["errors"].items())
    return [one["name"] + (" (!)" if errors else ""),
            text.middle(one["cost_us"], 2), text.ends(one["cost_us"], 1),
            text.number(one["x_best_peer"], 2), text.middle(one["requests_per_second"], 0),
            text.middle(one["p50_us"], 2, 0.001), text.middle(one["p99_us"], 2, 0.001),
            text.middle(one["busy"], 0, 100), text.middle(one["dials"], 0),
            text.middle(one["resumed"], 1, 100), errors or "0"]


def print_case(case):
    print(f"\n{case['name']}: {case['title']}, {case['response_bytes']}-byte responses, "
          f"{case['connections']} connections (best peer: {case['best_peer'] or 'none'})")
    rows = [row_of(one) for one in case["proxies"]]
    rows += [[name, "cannot start"] + [""] * (len(HEAD) - 2) for name in case["missing"]]
    print("\n".join(text.columns(HEAD, rows)), flush=True)
    for name, turn in case["longest_turn_ms"].items():
        print(f"longest turn of the loop, {name}: {text.number(turn, 2)} ms", flush=True)


def print_aim(cases):
    """How weir's pooled cases stand to the aim; nothing if it was in none of them."""
    ratios = [(one["x_best_peer"], case["name"], one["name"])
              for case in cases if case["pooled"] for one in case["proxies"]
              if one["kind"] == "weir" and not one["errors"] and one["x_best_peer"]]
    if ratios:
        told = ", ".join(f"{name} {case} {ratio:.2f}{' (!)' if ratio > AIM else ''}"
                         for ratio, case, name in ratios)
        print(f"\naim, pooled: at most {AIM:.2f} x the best peer; {told}")


def write_json(options, result):
    path = os.path.join(options.build, "bench", f"{NAME}.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
    print(f"\n{path} written")


def run(options):
    """Prints the table; 1 if any proxy had an error, or one that must start did not."""
    cases, found = chosen_cases(options), find_all(options, ABLE)
    versions = {proxy.name: version_of(program, proxy.version_argv) for proxy, program in found}
    versions["wrk"] = version_of("wrk", ["-v"])
    versions["openssl"] = version_of("openssl", ["version"])
    result = {"table": NAME, "versions": versions, "machine": machine.describe(), "spoken": SPOKEN,
              "rounds": options.rounds, "seconds": options.seconds, "cases": []}
    print_header(result)
    print(f"all: {result['spoken']}")
    with contextlib.ExitStack() as stack:
        bench = Bench(stack, options)
        for case in cases:
            result["cases"].append(measure_case(bench, case, found))
            print_case(result["cases"][-1])
    print_aim(result["cases"])
    write_json(options, result)
    faulty = {one["name"] for case in result["cases"] for one in case["proxies"] if one["errors"]}
    if faulty:
        print(f"errors, so not comparable: {', '.join(sorted(faulty))}")
    optional = {proxy.name for proxy, _ in found if proxy.optional}
    missing = {name for case in result["cases"] for name in case["missing"]} - optional
    return 1 if faulty or missing else 0
