#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Side by side with the peers: `bench/run.py cost` prints a table and writes BUILD/bench/cost.json.

Each table is one file of tables/, with NAME, add_arguments(parser) and run(options).
"""

import argparse
import os
import signal
import sys

sys.dont_write_bytecode = True

from lib.children import Failed  # noqa: E402
from tables import auth, cost, h2, memory, pool, reuse, tls  # noqa: E402

TABLES = [cost, tls, h2, auth, memory, reuse, pool]


def stop_as_on_ctrl_c(_number, _frame):
    raise KeyboardInterrupt


def run_all(options):
    """Every table with its defaults; the worst of their statuses."""
    statuses = []
    for table in TABLES:
        parser = argparse.ArgumentParser()
        table.add_arguments(parser)
        statuses.append(table.run(parser.parse_args([], argparse.Namespace(**vars(options)))))
    return max(statuses)


def parse_arguments():
    parser = argparse.ArgumentParser(description="Measures weir beside its peers.")
    parser.add_argument("--build", default="build", help="build directory (default: build)")
    parser.set_defaults(run=run_all)
    tables = parser.add_subparsers(metavar="TABLE", help="without one: all, with their defaults")
    for table in TABLES:
        sub = tables.add_parser(table.NAME, help=table.__doc__.splitlines()[0])
        # Accepted on both sides of the table's name.
        sub.add_argument("--build", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        table.add_arguments(sub)
        sub.set_defaults(run=table.run)
    return parser.parse_args()


def main():
    options = parse_arguments()
    # So that being told to end stops the children too.
    signal.signal(signal.SIGTERM, stop_as_on_ctrl_c)
    signal.signal(signal.SIGHUP, stop_as_on_ctrl_c)
    try:
        return options.run(options)
    except Failed as failed:
        print(f"bench: {failed}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C"
    sys.exit(main())
