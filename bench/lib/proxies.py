# SPDX-License-Identifier: MIT
"""The proxies that are measured: how each is started, and what version it is.

A new one is a row of PROXIES and, if it needs one, a configuration template in peers/.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field

from lib.children import Child, free_ports

# What the proxies do where a table does not say otherwise; see chosen_lines().
PLAIN = frozenset({"plain-down", "plain-up", "pooled"})

CONDITION = re.compile(r"(?P<indent> *)@(?P<words>[a-z0-9,-]+)@ (?P<text>.*\n)")
PEERS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peers")


@dataclass
class Proxy:
    """In `argv`, @PORT@, @ORIGIN_PORT@, @DIR@ (its own directory) and @CONFIG@ are filled in."""
    name: str
    kind: str                       # floor, weir or peer
    program: str                    # found in the build directory if it has a slash, else in PATH
    argv: list
    template: str = None            # of peers/; the file made from it is @CONFIG@
    version_argv: list = None       # None: it has no version of its own
    environment: dict = field(default_factory=dict)
    by_default: bool = True
    floor: str = "floor-epoll"      # the relay that waits as it does
    optional: bool = False          # skipped where it does not start


PROXIES = [
    Proxy("floor-epoll", "floor", "bench/floor_epoll",
          ["--listen", "127.0.0.1:@PORT@", "--to", "127.0.0.1:@ORIGIN_PORT@"]),
    Proxy("floor-uring", "floor", "bench/floor_uring",
          ["--listen", "127.0.0.1:@PORT@", "--to", "127.0.0.1:@ORIGIN_PORT@"], optional=True),
    Proxy("weir-epoll", "weir", "./weir", ["-c", "@CONFIG@", "--io", "epoll"], "weir.yaml", ["-V"]),
    Proxy("weir-uring", "weir", "./weir", ["-c", "@CONFIG@", "--io", "uring"], "weir.yaml", ["-V"],
          floor="floor-uring", optional=True),
    Proxy("nginx", "peer", "nginx", ["-p", "@DIR@", "-e", "stderr", "-c", "@CONFIG@"],
          "nginx.conf", ["-v"], optional=True),
    Proxy("haproxy", "peer", "haproxy", ["-db", "-f", "@CONFIG@"], "haproxy.cfg", ["-v"],
          optional=True),
    Proxy("h2o", "peer", "h2o", ["-c", "@CONFIG@"], "h2o.conf", ["-v"], optional=True),
    Proxy("nghttpx", "peer", "nghttpx", ["--conf=@CONFIG@"], "nghttpx.conf", ["-v"],
          by_default=False, optional=True),
    Proxy("caddy", "peer", "caddy", ["run", "--adapter", "caddyfile", "--config", "@CONFIG@"],
          "Caddyfile", ["version"], by_default=False, optional=True,
          # Go has no workers to set; this is as near to one as it comes.
          environment={"GOMAXPROCS": "1", "XDG_CONFIG_HOME": "@DIR@", "XDG_DATA_HOME": "@DIR@"}),
]


def choose(only, able):
    """Of those that are able, the proxies to measure: those named, else the default ones. KeyError:
    there is no such."""
    if not only:
        return [proxy for proxy in able if proxy.by_default]
    by_name = {proxy.name: proxy for proxy in able}
    return [by_name[name] for name in only]


def find_program(proxy, build):
    """The path of its program, None if it is not there."""
    if "/" not in proxy.program:
        # Debian keeps some servers where only root's PATH looks.
        return shutil.which(proxy.program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    path = os.path.join(build, proxy.program)
    return os.path.abspath(path) if os.access(path, os.X_OK) else None


def program_says(argv):
    """What a program prints when asked, on either output; empty if it cannot be run."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


def version_of(program, version_argv):
    """The first thing that looks like a version number in what the program prints."""
    found = re.search(r"\d+\.\d+[\w.+~-]*", program_says([program, *version_argv]))
    return found.group(0) if found else "unknown"


def chosen_lines(template, words):
    """The lines of a template that go with this set of words. `@tls-down,tls-up@ text` is a line
    with that text, indented as the mark is, if one of the two is in it; what bears no mark is
    always one."""
    for line in template:
        marked = CONDITION.match(line)
        if not marked:
            yield line
        elif not words.isdisjoint(marked["words"].split(",")):
            yield marked["indent"] + marked["text"]


class RunningProxy:
    """A started proxy, with ports and a directory of its own. `words` choose lines of its template;
    `fillings` are more of what is filled in."""

    def __init__(self, proxy, program, directory, origin_port, words, fillings=None):
        self.proxy = proxy
        self.port, self.admin_port = free_ports(2)
        self.directory = os.path.join(directory, proxy.name)
        self._fillings = {"@PORT@": str(self.port), "@ORIGIN_PORT@": str(origin_port),
                          "@ADMIN_PORT@": str(self.admin_port), "@DIR@": self.directory,
                          **(fillings or {})}
        os.mkdir(self.directory)
        if proxy.template:
            self._write_config(words)
        argv = [program] + [self._fill(word) for word in proxy.argv]
        environment = {name: self._fill(value) for name, value in proxy.environment.items()}
        self.child = Child(proxy.name, argv, self.directory, environment)

    def _fill(self, text):
        for mark, value in self._fillings.items():
            text = text.replace(mark, value)
        return text

    def _write_config(self, words):
        self._fillings["@CONFIG@"] = os.path.join(self.directory, self.proxy.template)
        with open(os.path.join(PEERS, self.proxy.template), encoding="utf-8") as template:
            lines = list(chosen_lines(template, set(words)))
        with open(self._fillings["@CONFIG@"], "w", encoding="utf-8") as config:
            config.writelines(map(self._fill, lines))

    def stop(self):
        self.child.stop()
