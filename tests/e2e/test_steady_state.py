# SPDX-License-Identifier: MIT
"""What a small request costs once everything is warm: no allocation, and so many system calls."""

import collections
import pathlib
import re
import signal
import struct
import subprocess

import pytest

import program
from routes import answers, guarded
from servers import find
from waiting import wait_until
from weir import one_upstream

HERE = pathlib.Path(__file__).parent
REQUESTS = 500


def exchange(client, count):
    for _ in range(count):
        assert client.get().status == 200


@pytest.fixture
def counting(weir, tmp_path):
    """Start a weir whose calls for memory are counted; it and what tells their number."""
    if program.is_sanitized():
        pytest.skip("a sanitizer's own malloc is in the way: counted in the release build only")
    library, count = tmp_path / "count_heap.so", tmp_path / "count"
    subprocess.run([find("cc"), "-O1", "-shared", "-fPIC", "-o", library, HERE / "count_heap.c"],
                   check=True)

    def start(config):
        count.write_bytes(bytes(8))
        proxy = weir(config, environment={"LD_PRELOAD": str(library), "HEAP_COUNT": str(count)})
        return proxy, lambda: struct.unpack("Q", count.read_bytes())[0]
    return start


def check_allocates_nothing(client, calls):
    assert calls() > 0, "the counter is not in"
    exchange(client, REQUESTS)
    warm = calls()
    exchange(client, REQUESTS)
    assert calls() == warm


def test_a_request_allocates_nothing(counting, origin, connect):
    proxy, calls = counting(one_upstream(origin.address))
    check_allocates_nothing(connect(proxy), calls)


@pytest.mark.parametrize("size", [0, 3000])
def test_auth_request_allocates_nothing(counting, origins, connect, size):
    auth, web = origins(), origins()
    auth.default = answers(body=bytes(size), fields=[("X-User", "alice")])
    proxy, calls = counting(guarded(web, auth, ["X-User"]))
    check_allocates_nothing(connect(proxy), calls)
    assert len(auth.exchanges) == 2 * REQUESTS


@pytest.fixture
def count_calls(tmp_path):
    """Count the system calls of a weir over REQUESTS requests of one client: name -> count."""
    def count(proxy, client):
        trace = tmp_path / "trace"
        strace = subprocess.Popen(
            [find("strace"), "-f", "-qq", "-o", trace, "-p", str(proxy.pid)],
            stderr=subprocess.PIPE, text=True)
        try:
            # Attached when calls show up; every thread is by then, since one client keeps one busy.
            def attached():
                assert strace.poll() is None, strace.stderr.read()
                client.get()
                return trace.exists() and trace.read_text()

            wait_until(attached, 10, "strace attached")
            before = len(trace.read_text().splitlines())
            exchange(client, REQUESTS)
        finally:
            strace.send_signal(signal.SIGINT)
            strace.wait(10)
        lines = trace.read_text().splitlines()[before:]
        return collections.Counter(match.group(1) for line in lines
                                   if (match := re.match(r"\d+ +(\w+)\(", line)))
    return count


# Of the thread that waits for signals.
WAITING = ("rt_sigtimedwait", "rt_sigtimedwait_time64", "clock_nanosleep", "futex",
           "restart_syscall")
# A line more or less: strace is attached and detached in the middle of something.
SLACK = 3


def check_epoll(calls):
    """Two receives, two sends, the look at checkout, a share of an epoll_wait. With one client
    that waits for each answer the share is two, one for each side's event."""
    receives = calls["recvfrom"] + calls["recvmsg"]
    sends = calls["sendto"] + calls["sendmsg"]
    assert abs(receives - 3 * REQUESTS) <= SLACK, calls
    assert abs(sends - 2 * REQUESTS) <= SLACK, calls
    assert calls["epoll_wait"] <= 2 * REQUESTS + SLACK, calls
    return "recvfrom", "recvmsg", "sendto", "sendmsg", "epoll_wait"


def check_uring(calls):
    """A share of an io_uring_enter and nothing else: armed receives bring what comes, and sends
    go with the next turn. One client that waits for each answer leaves nobody to share with: each
    side's event costs the call that brings it, and the one that submits the send which answers it
    and comes back at once with that send's completion. The bytes that this send causes come from
    another process, mostly later, so they need the next call."""
    enters = calls["io_uring_enter"]
    assert 2 * REQUESTS - SLACK <= enters <= 4 * REQUESTS + SLACK, calls
    return ("io_uring_enter",)


def test_system_calls_of_a_request(weir, origin, connect, count_calls):
    if program.is_sanitized():
        pytest.skip("a sanitizer makes calls of its own: counted in the release build only")
    proxy = weir(one_upstream(origin.address, access_log="off"))
    client = connect(proxy)
    exchange(client, 10)
    calls = count_calls(proxy, client)
    check = {"epoll": check_epoll, "io_uring": check_uring}[proxy.backend]
    expected = check(calls)
    others = {name: n for name, n in calls.items() if name not in expected + WAITING}
    assert sum(others.values()) <= SLACK, others
