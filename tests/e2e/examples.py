# SPDX-License-Identifier: MIT
"""Runs the programs of examples/.

    WEIR_EXAMPLES   the folder where they were built; else examples/ beside the weir that is tested

Under valgrind an error, a leak included, is the status 9. It always runs over epoll: valgrind knows
nothing of what the kernel writes for io_uring.
"""

import os
import pathlib
import re
import signal
import subprocess

import program
import servers
from waiting import PATIENCE, wait_until
from weir import REPORTS

FOLDER = pathlib.Path(os.environ.get("WEIR_EXAMPLES", program.PATH.parent / "examples")).absolute()
LISTENING = re.compile(r"^listening on (\S+)\n", re.M)
SLOWER = 5  # valgrind


def path(name):
    found = FOLDER / name
    assert found.is_file(), f"no program at {found}; build it or set WEIR_EXAMPLES"
    return found


def environment(valgrind):
    return {**os.environ, "WEIR_IO": "epoll"} if valgrind else os.environ


class Example:
    """A running one, which `listens` unless it is told otherwise; `address` is where."""

    def __init__(self, directory, name, *arguments, valgrind=False, listens=True):
        self.directory = directory
        self.patience = PATIENCE * (SLOWER if valgrind else 1)
        tool = [servers.find("valgrind"), "--quiet", "--error-exitcode=9", "--leak-check=full",
                f"--log-file={directory}/valgrind"] if valgrind else []
        with open(directory / "stdout", "wb") as out, open(directory / "stderr", "wb") as err:
            self.process = subprocess.Popen([*tool, path(name), *map(str, arguments)],
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                            env=environment(valgrind))
        self.address = None
        if listens:
            found = wait_until(self.listening, 10 * self.patience / PATIENCE, f"{name} listening")
            self.address = found[1]

    def listening(self):
        assert self.process.poll() is None, f"it ended: {self.said}"
        return LISTENING.search(self.stdout)

    @property
    def stdout(self):
        return (self.directory / "stdout").read_text(errors="backslashreplace")

    @property
    def stderr(self):
        return (self.directory / "stderr").read_text(errors="backslashreplace")

    @property
    def said(self):
        """All that is there to tell why it failed."""
        log = self.directory / "valgrind"
        return self.stdout + self.stderr + (log.read_text() if log.exists() else "")

    def wait(self):
        """Wait for its end, which must be a good one."""
        try:
            status = self.process.wait(20 * self.patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it did not end: {self.said}") from None
        assert status == 0, f"status {status}: {self.said}"
        assert not REPORTS.search(self.stderr), self.stderr

    def stop(self):
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            self.wait()

    def kill(self):
        """If it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
