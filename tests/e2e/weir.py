# SPDX-License-Identifier: MIT
"""Runs the real program: a configuration as a dict, free ports, its logs, metrics and pools."""

import contextlib
import fcntl
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile

import yaml

import client
import program
import sockets
from metrics import Metrics
from waiting import PATIENCE, wait_equal, wait_until

# What a process says when it is broken rather than merely troubled.
REPORTS = re.compile(
    r"Sanitizer|runtime error:|broken invariant|[Aa]ssertion|Segmentation fault|stack smashing")


def one_upstream(*servers, service=None, upstream=None, **top):
    """A configuration with one service, "edge", and one upstream, "web", of these servers."""
    return {
        "version": 1, "threads": 1, "grace_period_seconds": 3, **top,
        "services": [{
            "name": "edge",
            "routes": [{"upstream": "web"}],
            "upstreams": {"web": {"servers": list(servers), **(upstream or {})}},
            **(service or {}),
        }],
    }


def places(listeners):
    """Where they listen; those that do not say are given a free port."""
    for listener in listeners:
        if isinstance(listener, dict):
            listener.setdefault("address", sockets.free_address())
    return [each["address"] if isinstance(each, dict) else each for each in listeners]


class NotReady(AssertionError):
    pass


class Weir:
    """A running weir. `address` is its first listener, `listeners` are those of each service,
    `admin` is its admin listener.

    With a configuration, ports and files that it leaves open are filled in. Without one the
    arguments say it all; `ready` then tells an address that accepts once it runs. `io` and
    `refusal` are program.command()'s.
    """

    def __init__(self, directory, config=None, arguments=(), ready=None, environment=None,
                 io=program.IO, refusal=program.REFUSAL):
        self.directory = directory
        self.arguments = list(arguments)
        self.started_with = {"io": io, "refusal": refusal}
        self.environment = {**os.environ, **(environment or {})}
        self.admin = None
        self.address = ready
        self.stopped = False
        self.told_to_stop = False
        # The demo's addresses are fixed, and another run of these tests may be under way.
        self.turn = take_turn("demo") if "--demo" in self.arguments else None
        if config is None:
            self.spawn()
        else:
            try:
                self.start(config)
            except NotReady:  # another process may have taken one of the ports meanwhile
                self.start(config)

    def start(self, config):
        filled = json.loads(json.dumps(config))
        self.admin = filled.setdefault("admin", {"listen": sockets.free_address()})["listen"]
        filled.setdefault("access_log", str(self.directory / "access.log"))
        for service in filled["services"]:
            service.setdefault("listen", [sockets.free_address()])
        self.listeners = [places(service["listen"]) for service in filled["services"]]
        self.addresses = [listeners[0] for listeners in self.listeners]
        self.address = self.addresses[0]
        self.config_path = self.directory / "weir.yaml"
        self.config_path.write_text(yaml.safe_dump(filled, sort_keys=False))
        self.spawn(["-c", str(self.config_path)])

    def spawn(self, configured=()):
        assert program.PATH.is_file(), f"no program at {program.PATH}; build it or set WEIR"
        command = program.command(*configured, *self.arguments, **self.started_with)
        with open(self.directory / "stdout", "wb") as out, \
                open(self.directory / "stderr", "wb") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=err, cwd=self.directory, env=self.environment)
        try:
            wait_until(self.is_ready, 10, f"{command} ready")
        except AssertionError:
            self.kill()
            raise NotReady(f"{command}\n{self.stderr}") from None

    def is_ready(self):
        code = self.process.poll()
        if code is not None:
            raise NotReady(f"weir ended with status {code}\n{self.stderr}")
        if self.admin is None:
            return sockets.accepts(self.address)
        try:
            return client.get_once(self.admin, "/ready").status == 200
        except OSError:
            return False

    # --- What it tells ---

    @property
    def pid(self):
        return self.process.pid

    @property
    def stdout(self):
        return (self.directory / "stdout").read_text(errors="backslashreplace")

    @property
    def stderr(self):
        return (self.directory / "stderr").read_text(errors="backslashreplace")

    @property
    def backend(self):
        """What it runs on: epoll or io_uring."""
        ready = wait_until(lambda: re.search(r"notice ready: .* on (\w+),", self.stderr), 5,
                           "the word that it is ready")
        return ready[1]

    def log(self):
        """The access log's lines so far."""
        path = self.directory / "access.log"
        text = path.read_text() if path.exists() else self.stdout
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def logged(self, count):
        """Wait until the access log has that many lines (it is written in batches)."""
        return wait_until(lambda: (lines := self.log()) and len(lines) >= count and lines, 5,
                          f"{count} lines in the access log")

    def dialled_besides(self, count):
        """How many of so many requests wanted another worker's connection and had nothing within
        10 ms, so that they dialled too: that is as it should be where the machine is busy."""
        return sum(line["miss"] == "elsewhere" and line["wait_us"] >= 10_000
                   for line in self.logged(count))

    def page(self, path):
        response = client.get_once(self.admin, path)
        assert response.status == 200, response
        return response.body.decode()

    def metrics(self):
        return Metrics(self.page("/metrics"))

    def metric(self, name, **labels):
        return self.metrics().value(name, **labels)

    def wait_metric(self, expected, name, **labels):
        return wait_equal(lambda: self.metric(name, **labels), expected, what=f"{name}{labels}")

    def not_kept(self):
        """Why connections did not go back: reason -> count."""
        return self.metrics().by("weir_pool_not_kept_total", "reason")

    def closed(self):
        """Why connections were closed: reason -> count."""
        return self.metrics().by("weir_upstream_connections_closed_total", "reason")

    def pools(self):
        return json.loads(self.page("/pools"))

    def wait_idle(self, count):
        """Wait until so many connections lie idle and none is in use."""
        def state():
            now = self.metrics()
            return (now.value("weir_pool_idle_connections"),
                    now.value("weir_pool_in_use_connections"))
        wait_equal(state, (count, 0), what="idle and in-use connections")

    # --- How it ends ---

    @contextlib.contextmanager
    def standing_still(self):
        """What happens meanwhile arrives together."""
        self.stand_still()
        try:
            yield
        finally:
            self.go_on()

    def stand_still(self):
        """Stop every thread, as SIGSTOP does, and wait until all of them stand: one of them has to
        take the signal first, and the others run on until then."""
        self.process.send_signal(signal.SIGSTOP)
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task")
        wait_until(lambda: all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T"
                               for task in tasks.iterdir()), 5, "all threads stopped")

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def signal(self, number):
        self.told_to_stop |= number in (signal.SIGTERM, signal.SIGINT)
        self.process.send_signal(number)

    def wait(self, seconds=10):
        """Wait for its end; its exit status."""
        self.stopped = True
        try:
            return self.process.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"weir did not stop within {seconds} s\n{self.stderr}") from None
        finally:
            self.end_turn()

    def end_turn(self):
        if self.turn:
            self.turn.close()

    def stop(self):
        """SIGTERM, unless the test has ended it; it must end well and have no complaint."""
        if not self.stopped:
            if not self.told_to_stop:
                assert self.process.poll() is None, \
                    f"weir died, status {self.process.returncode}\n{self.stderr}"
                self.signal(signal.SIGTERM)
            status = self.wait()
            assert status == 0, f"weir ended with status {status}\n{self.stderr}"
        report = REPORTS.search(self.stderr)
        assert not report, f"weir reported trouble:\n{self.stderr}"

    def kill(self):
        self.stopped = True
        self.process.kill()
        self.process.wait()
        self.end_turn()


def take_turn(name):
    """Wait until no other run of these tests has it; it is this one's until it is closed."""
    turn = open(pathlib.Path(tempfile.gettempdir()) / f"weir-e2e-{name}-{os.getuid()}.lock", "wb")
    fcntl.flock(turn, fcntl.LOCK_EX)
    return turn


def run(*arguments, directory=None, seconds=20, refusal=program.REFUSAL):
    """Run weir to its end; the completed process, output as text."""
    assert program.PATH.is_file(), f"no program at {program.PATH}; build it or set WEIR"
    done = subprocess.run(program.command(*arguments, refusal=refusal), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, cwd=directory, check=False,
                          timeout=seconds * PATIENCE)
    assert not REPORTS.search(done.stderr), done.stderr
    return done
