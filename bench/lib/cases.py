# SPDX-License-Identifier: MIT
"""Tables that go case by case: each case has its own configuration, so its own processes.

A table gives its cases and a Bench of its own, which says how a response is fetched and how load is
made.
"""

import contextlib
import os
import sys
from dataclasses import dataclass

from lib import certificate, figures, machine, text
from lib.children import Failed
from lib.origin import Origin, fetch_body
from lib.proxies import RunningProxy, version_of
from lib.rounds import measure_round, show_progress, working_directory, write_json

WARM_UP_SECONDS = 1


@dataclass
class Case:
    """`words` choose lines of the templates in peers/. `without`: who cannot do that."""
    name: str
    title: str
    words: str
    size: int = 75
    without: tuple = ()

    def uses(self, word):
        return word in self.words.split()


def add_arguments(parser, cases, able):
    def names(of):
        return "of " + ",".join(one.name for one in of)

    parser.add_argument("--rounds", type=int, default=7, help="of each proxy (default: 7)")
    parser.add_argument("--seconds", type=int, default=2, help="a round's length (default: 2)")
    parser.add_argument("--cases", type=lambda words: words.split(","), default=None,
                        metavar="NAME,NAME", help=names(cases))
    parser.add_argument("--only", type=lambda words: words.split(","), default=None,
                        metavar="NAME,NAME", help=names(able))


def chosen_cases(options, cases):
    by_name = {case.name: case for case in cases}
    try:
        return [by_name[name] for name in options.cases or by_name]
    except KeyError as stranger:
        raise Failed(f"there is no case {stranger}") from None


class Bench:
    """What lasts over all cases: the certificate and the origin. A table adds fetch(case, one), the
    body of one response; and load(case, one, seconds), a load tool's report."""

    def __init__(self, stack, options):
        self.options = options
        self.directory = stack.enter_context(working_directory())
        self.files = certificate.make(self.directory)
        self.origin = Origin(self.program("origin"), self.directory,
                             [self.files.cert, self.files.key])
        stack.callback(self.origin.stop)
        self.origin.wait_ready()

    def program(self, name):
        return os.path.abspath(os.path.join(self.options.build, "bench", name))

    def _origin_port(self, case):
        if case.uses("tls-up"):
            return self.origin.tls_port
        return self.origin.h2_port if case.uses("h2c-up") else self.origin.port

    def start(self, stack, case, proxy, program):
        """That proxy, accepting connections, as this case wants it. Failed: it is not."""
        directory = os.path.join(self.directory, case.name)
        os.makedirs(directory, exist_ok=True)
        one = RunningProxy(proxy, program, directory, self._origin_port(case), case.words.split(),
                           self.files.fillings())
        stack.callback(one.stop)
        one.child.wait_ready(one.port)
        return one

    def measure_round(self, case, one, body, seconds):
        return measure_round(self.origin, one, body, lambda: self.fetch(case, one),
                             lambda: self.load(case, one, seconds))

    def more(self, _case, _running):
        """What else a case's result shall have; asked after its rounds, while all still run."""
        return {}


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


def measure_case(bench, case, found):
    """One case: a warm-up each, then A B C A B C ..."""
    options = bench.options
    body = fetch_body(bench.origin.port, case.size)
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
        more = bench.more(case, running)
    return {"name": case.name, "title": case.title, "response_bytes": case.size, **more,
            "missing": missing, **figures.summarize([one.proxy for one in running], rounds)}


def new_result(name, options, found, tools):
    """The table's JSON before its cases. `tools`: (program, its argument for the version)."""
    versions = {proxy.name: version_of(program, proxy.version_argv) for proxy, program in found}
    versions.update({tool: version_of(tool, [argument]) for tool, argument in tools})
    return {"table": name, "versions": versions, "machine": machine.describe(),
            "rounds": options.rounds, "seconds": options.seconds, "cases": []}


def print_case(case, load, columns):
    """`load` says what was asked by how many; `columns`: (head, function of a proxy's summary)."""
    print(f"\n{case['name']}: {case['title']}, {case['response_bytes']}-byte responses, {load} "
          f"(best peer: {case['best_peer'] or 'none'})")
    rows = []
    for one in case["proxies"]:
        errors = ", ".join(f"{name} {count}" for name, count in one["errors"].items())
        rows.append([one["name"] + (" (!)" if errors else "")] +
                    [cell(one) for _, cell in columns] + [errors or "0"])
    head = ["proxy"] + [title for title, _ in columns] + ["errors"]
    rows += [[name, "cannot start"] + [""] * (len(head) - 2) for name in case["missing"]]
    print("\n".join(text.columns(head, rows)), flush=True)


def print_aim(cases, aim, what):
    """How weir stands to the aim in these cases; nothing if it was in none of them."""
    ratios = [(one["x_best_peer"], case["name"], one["name"])
              for case in cases for one in case["proxies"]
              if one["kind"] == "weir" and not one["errors"] and one["x_best_peer"]]
    if ratios:
        told = ", ".join(f"{name} {case} {ratio:.2f}{' (!)' if ratio > aim else ''}"
                         for ratio, case, name in ratios)
        print(f"\naim, {what}: at most {aim:.2f} x the best peer; {told}")


def finish(options, result, found):
    """Writes the JSON; 1 if any proxy had an error, or one that must start did not."""
    write_json(options, result)
    faulty = {one["name"] for case in result["cases"] for one in case["proxies"] if one["errors"]}
    if faulty:
        print(f"errors, so not comparable: {', '.join(sorted(faulty))}")
    optional = {proxy.name for proxy, _ in found if proxy.optional}
    missing = {name for case in result["cases"] for name in case["missing"]} - optional
    return 1 if faulty or missing else 0
