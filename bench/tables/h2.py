# SPDX-License-Identifier: MIT
"""Processor time a request with HTTP/2 on either side: weir and its peers.

Measured as in the table `cost`. Each case has its own configuration, so its own processes. Peers
that speak no HTTP/2 to the origin are only in the cases without that.
"""

import contextlib
import os
from dataclasses import replace

from lib import cases, text
from lib.cases import Case
from lib.load import run_h2load, run_wrk
from lib.origin import fetch_body, fetch_body_h2
from lib.proxies import PROXIES
from lib.rounds import find_all, print_header

NAME = "h2"
AIM = 0.8
PEERS = ("nginx", "haproxy", "h2o", "nghttpx")
# nghttpx is about HTTP/2, so it belongs to this table.
ABLE = [replace(proxy, by_default=True) for proxy in PROXIES
        if proxy.name in ("weir-epoll", "weir-uring", *PEERS)]

H1_UPSTREAM_ONLY = ("nginx", "h2o")
CASES = [
    Case("h2-h1", "HTTP/2 to HTTP/1", "h2c-down plain-up pooled"),
    Case("h2-h1-16k", "HTTP/2 to HTTP/1", "h2c-down plain-up pooled", 16384),
    Case("h2-h2", "HTTP/2 on both sides", "h2c-down h2c-up pooled", without=H1_UPSTREAM_ONLY),
    Case("h2-h2-16k", "HTTP/2 on both sides", "h2c-down h2c-up pooled", 16384, H1_UPSTREAM_ONLY),
    Case("h1-h2", "HTTP/1 to HTTP/2", "plain-down h2c-up pooled", without=H1_UPSTREAM_ONLY),
    Case("tls-h2-h1", "HTTP/2 over TLS to HTTP/1", "h2-tls-down plain-up pooled"),
]

COLUMNS = [
    ("us/request", lambda one: text.middle(one["cost_us"], 2)),
    ("spread", lambda one: text.ends(one["cost_us"], 1)),
    ("x best peer", lambda one: text.number(one["x_best_peer"], 2)),
    *((f"x {peer}", lambda one, peer=peer: text.number(one["x_peers"].get(peer), 2))
      for peer in PEERS),
    ("req/s", lambda one: text.middle(one["requests_per_second"], 0)),
    ("p50 ms", lambda one: text.middle(one["p50_us"], 2, 0.001)),
    ("p99 ms", lambda one: text.middle(one["p99_us"], 2, 0.001)),
    ("busy %", lambda one: text.middle(one["busy"], 0, 100)),
    ("dials", lambda one: text.middle(one["dials"], 0)),
    ("used", lambda one: text.middle(one["used"], 0)),
]


def add_arguments(parser):
    cases.add_arguments(parser, CASES, ABLE)
    parser.add_argument("--clients", type=int, default=8,
                        help="connections of HTTP/2 downstream (default: 8)")
    parser.add_argument("--streams", type=int, default=32,
                        help="requests at a time on each of them (default: 32)")
    parser.add_argument("--connections", type=int, default=64,
                        help="connections of HTTP/1 downstream (default: 64)")


class Bench(cases.Bench):
    """h2load, or wrk where the client speaks HTTP/1. A round of h2load is a number of requests, so
    that each must be accounted for: as many as the round before would have done in its time."""

    def __init__(self, stack, options):
        super().__init__(stack, options)
        self.log = os.path.join(self.directory, "h2load.log")
        self.a_second = {}      # (case, proxy) -> requests, by the last round

    def fetch(self, case, one):
        if case.uses("plain-down"):
            return fetch_body(one.port, case.size)
        return fetch_body_h2(one.port, case.size,
                             self.files.ca if case.uses("h2-tls-down") else None)

    def _h2load(self, case, one, seconds):
        scheme = "https" if case.uses("h2-tls-down") else "http"
        whose = case.name, one.proxy.name
        amount = (f"-n{max(1, round(self.a_second[whose] * seconds))}" if whose in self.a_second
                  else f"-D{seconds}")
        report = run_h2load(f"{scheme}://127.0.0.1:{one.port}/{case.size}", self.options.clients,
                            self.options.streams, amount, seconds, self.log)
        if report["duration_us"]:
            self.a_second[whose] = report["requests"] * 1e6 / report["duration_us"]
        return report

    def load(self, case, one, seconds):
        """The load tool's report, and in it how many connections to the origin had requests."""
        self.origin.served()
        report = (run_wrk(f"http://127.0.0.1:{one.port}/{case.size}", self.options.connections,
                          seconds) if case.uses("plain-down") else
                  self._h2load(case, one, seconds))
        report["used"] = self.origin.served()["used"]
        return report

    def more(self, case, _running):
        options = self.options
        if case.uses("plain-down"):
            return {"connections": options.connections, "streams": None}
        return {"connections": options.clients, "streams": options.streams}


def print_case(case):
    there = {one["name"] for one in case["proxies"]}
    columns = [(head, cell) for head, cell in COLUMNS
               if head.removeprefix("x ") in there or head.removeprefix("x ") not in PEERS]
    load = f"{case['connections']} connections"
    cases.print_case(case, load + (f" of {case['streams']} streams" if case["streams"] else ""),
                     columns)


def run(options):
    """Prints the table; 1 if any proxy had an error, or one that must start did not."""
    chosen, found = cases.chosen_cases(options, CASES), find_all(options, ABLE)
    result = cases.new_result(NAME, options, found, [("h2load", "--version"), ("wrk", "-v")])
    print_header(result)
    with contextlib.ExitStack() as stack:
        bench = Bench(stack, options)
        for case in chosen:
            result["cases"].append(cases.measure_case(bench, case, found))
            print_case(result["cases"][-1])
    cases.print_aim(result["cases"], AIM, "everywhere")
    return cases.finish(options, result, found)
