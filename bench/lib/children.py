# SPDX-License-Identifier: MIT
"""Processes that the benchmark starts, and their certain end: by process id, never by name."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time

READY_SECONDS = 10
STOP_SECONDS = 3
LOG_TAIL_BYTES = 2000
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)


class Failed(Exception):
    """Something that the benchmark needs did not start or did not answer."""


def _die_with_parent():
    """In the child: even a killed benchmark leaves nothing running."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _stat_fields(pid):
    """The fields of /proc/PID/stat after the name (which may hold spaces); None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def family(pid):
    """The processes of a child's session (each child leads one) and all their descendants, as
    (pid, start time): together they name one process."""
    born = {}
    children = {}
    ahead = []
    for entry in os.listdir("/proc"):
        fields = _stat_fields(entry) if entry.isdigit() else None
        if fields and fields[0] != "Z":
            born[int(entry)] = fields[19]
            children.setdefault(int(fields[1]), []).append(int(entry))
            # Orphans are no descendants any more, but keep their session.
            if int(fields[3]) == pid:
                ahead.append(int(entry))
    found = {}
    while ahead:
        member = ahead.pop()
        if member not in found:
            found[member] = born[member]
            ahead += children.get(member, [])
    return list(found.items())


def _still_runs(member):
    fields = _stat_fields(member[0])
    return fields is not None and fields[0] != "Z" and fields[19] == member[1]


class Child:
    """One started program. Its output goes to a file, whose end is shown when it fails."""

    def __init__(self, name, argv, directory, environment=None):
        self.name = name
        self.log_path = os.path.join(directory, "output.log")
        try:
            with open(self.log_path, "wb") as log:
                self.process = subprocess.Popen(
                    argv, cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    env={**os.environ, **(environment or {})}, start_new_session=True,
                    preexec_fn=_die_with_parent)
        except OSError as error:
            raise Failed(f"{name} does not start: {error}") from error

    @property
    def pid(self):
        return self.process.pid

    def log_tail(self):
        with open(self.log_path, "rb") as log:
            return log.read()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()

    def wait_ready(self, port):
        """Returns when it accepts connections on that port."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise Failed(f"{self.name} does not listen on port {port}\n{self.log_tail()}")

    def stop(self):
        members = family(self.pid)
        self.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        while any(map(_still_runs, members)) and time.monotonic() < deadline:
            self.process.poll()
            time.sleep(0.02)
        for member in filter(_still_runs, members):
            with contextlib.suppress(ProcessLookupError):
                os.kill(member[0], signal.SIGKILL)
        self.process.wait()


def free_ports(count):
    """Ports of 127.0.0.1 that the kernel says are free, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0)))
                   for _ in range(count)]
        return [listener.getsockname()[1] for listener in sockets]
