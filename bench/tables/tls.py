# SPDX-License-Identifier: MIT
"""Processor time a request with TLS on either side: weir and its peers.

Measured as in the table `cost`. Each case has its own configuration, so its own processes; all of
them speak TLS 1.3 with the same suite, group and certificate, since the load tools and the origin
offer nothing else.
"""

import contextlib
import http.client
import re
from dataclasses import dataclass

from lib import cases, text
from lib.load import run_tls_load, run_wrk
from lib.origin import fetch_body
from lib.proxies import PROXIES
from lib.rounds import find_all, print_header

NAME = "tls"
AIM = 0.9
RESUMED_AT_LEAST = 0.5
SPOKEN = "TLS 1.3, TLS_AES_128_GCM_SHA256, X25519, ECDSA on P-256"
ABLE = [proxy for proxy in PROXIES if proxy.name in (
    "weir-epoll", "weir-uring", "nginx", "haproxy", "h2o")]


@dataclass
class Case(cases.Case):
    """`handshakes`: the side, `down` or `up`, on which each request makes one; `resume`: whether
    from an earlier session."""
    handshakes: str = None
    resume: bool = False


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


COLUMNS = [
    ("us/request", lambda one: text.middle(one["cost_us"], 2)),
    ("spread", lambda one: text.ends(one["cost_us"], 1)),
    ("x best peer", lambda one: text.number(one["x_best_peer"], 2)),
    ("req/s", lambda one: text.middle(one["requests_per_second"], 0)),
    ("p50 ms", lambda one: text.middle(one["p50_us"], 2, 0.001)),
    ("p99 ms", lambda one: text.middle(one["p99_us"], 2, 0.001)),
    ("busy %", lambda one: text.middle(one["busy"], 0, 100)),
    ("dials", lambda one: text.middle(one["dials"], 0)),
    ("resumed %", lambda one: text.middle(one["resumed"], 1, 100)),
]


def add_arguments(parser):
    cases.add_arguments(parser, CASES, ABLE)
    parser.add_argument("--connections", type=int, default=64,
                        help="downstream, at a time (default: 64)")


class Bench(cases.Bench):
    """wrk, or tls_load where the client makes handshakes."""

    def __init__(self, stack, options):
        super().__init__(stack, options)
        self.context = self.files.context()
        self.tls_load = self.program("tls_load")

    def fetch(self, case, one):
        return fetch_body(one.port, case.size, self.context if case.uses("tls-down") else None)

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

    def more(self, case, running):
        turns = {one.proxy.name: longest_turn_ms(one) for one in running
                 if case.uses("admin") and one.proxy.kind == "weir"}
        return {"connections": self.options.connections, "pooled": not case.handshakes,
                "longest_turn_ms": turns}


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


def print_case(case):
    cases.print_case(case, f"{case['connections']} connections", COLUMNS)
    for name, turn in case["longest_turn_ms"].items():
        print(f"longest turn of the loop, {name}: {text.number(turn, 2)} ms", flush=True)


def run(options):
    """Prints the table; 1 if any proxy had an error, or one that must start did not."""
    chosen, found = cases.chosen_cases(options, CASES), find_all(options, ABLE)
    result = cases.new_result(NAME, options, found, [("wrk", "-v"), ("openssl", "version")])
    result["spoken"] = SPOKEN
    print_header(result)
    print(f"all: {result['spoken']}")
    with contextlib.ExitStack() as stack:
        bench = Bench(stack, options)
        for case in chosen:
            result["cases"].append(cases.measure_case(bench, case, found))
            print_case(result["cases"][-1])
    cases.print_aim([case for case in result["cases"] if case["pooled"]], AIM, "pooled")
    return cases.finish(options, result, found)
