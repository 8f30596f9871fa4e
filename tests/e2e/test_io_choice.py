# SPDX-License-Identifier: MIT
"""io_uring or epoll: who chooses, what the log says, and what happens where io_uring is refused."""

import errno
import os
import re
import subprocess

import pytest
import yaml

import program
import sockets
from servers import find
from weir import one_upstream, run

NAMES = {"uring": "io_uring", "epoll": "epoll"}
REFUSALS = {
    errno.EPERM: "io_uring is not allowed: ",
    errno.ENOSYS: "this kernel has no io_uring, or a seccomp filter hides it",
    errno.EINVAL: "weir needs the io_uring of Linux 6.1, and this is Linux ",
}


def need_uring():
    if program.why_no_uring():
        pytest.skip(program.why_no_uring())


def choice(proxy):
    """What the log says of the choice, which it does once."""
    assert proxy.backend
    (line,) = re.findall(r" notice io: (.*)", proxy.stderr)
    return line


def start(weir, origin, io=None, top=None, refusal=program.REFUSAL, **options):
    """A weir whose backend this test alone decides."""
    return weir(one_upstream(origin.address, **(top or {})), io=io, refusal=refusal, **options)


def serves(proxy, connect):
    client = connect(proxy)
    return [client.get().status for _ in range(3)] == [200] * 3


@pytest.mark.parametrize("place", ["command_line", "configuration"])
@pytest.mark.parametrize("io", NAMES)
def test_backend_can_be_forced(weir, origin, connect, io, place):
    if io == "uring":
        need_uring()
    if place == "command_line":
        proxy = start(weir, origin, io=io)
    else:
        proxy = start(weir, origin, top={"io": io})
    assert proxy.backend == NAMES[io]
    if io == "epoll":
        assert choice(proxy) == "epoll, as configured"
    else:
        assert choice(proxy).startswith("io_uring on Linux ")
    assert serves(proxy, connect)


def test_command_line_goes_before_the_configuration(weir, origin):
    assert start(weir, origin, io="epoll", top={"io": "uring"}).backend == "epoll"


@pytest.mark.parametrize("io", [None, "auto"])
def test_best_that_is_there_is_taken(weir, origin, connect, io):
    proxy = start(weir, origin, io=io)
    if program.why_no_uring():
        assert proxy.backend == "epoll"
        assert choice(proxy).startswith("epoll, because ")
    else:
        assert proxy.backend == "io_uring"
        for name in ("multishot accept", "multishot receive", "provided buffers"):
            assert name in choice(proxy)
    assert serves(proxy, connect)


@pytest.mark.parametrize("refusal", REFUSALS, ids=errno.errorcode.get)
def test_refused_io_uring_is_epoll_and_told(weir, origin, connect, refusal):
    proxy = start(weir, origin, refusal=refusal)
    assert proxy.backend == "epoll"
    assert choice(proxy).startswith("epoll, because " + REFUSALS[refusal])
    assert serves(proxy, connect)


@pytest.fixture
def uring_file(tmp_path):
    """A configuration that wants io_uring."""
    config = one_upstream("127.0.0.1:9", io="uring", access_log="off",
                          service={"listen": [sockets.free_address()]})
    (tmp_path / "weir.yaml").write_text(yaml.safe_dump(config))
    return tmp_path / "weir.yaml"


@pytest.mark.parametrize("refusal", REFUSALS, ids=errno.errorcode.get)
def test_forced_io_uring_that_is_refused_is_status_1_with_the_reason(uring_file, refusal):
    done = run("-c", uring_file, refusal=refusal)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f" error io: uring is configured, and cannot be had: {REFUSALS[refusal]}" in line


def test_check_of_the_configuration_asks_no_kernel(uring_file):
    assert run("-t", "-c", uring_file, refusal=errno.EPERM).returncode == 0


def test_wrong_backend_is_wrong_usage():
    done = run("--io", "fast", "--demo")
    assert done.returncode == 2
    assert "--io wants uring, epoll or auto, not 'fast'" in done.stderr


@pytest.fixture
def refused_later(tmp_path):
    """An environment in which io_uring is refused to who has given root up."""
    if os.geteuid() != 0:
        pytest.skip("it takes root to give root up")
    if program.is_sanitized():
        pytest.skip("a sanitizer wants to be the first library: tested with the release build")
    library = tmp_path / "refuse_uring_later.so"
    subprocess.run([find("cc"), "-O1", "-shared", "-fPIC", "-o", library,
                    program.HERE / "refuse_uring_later.c"], check=True)
    return {"LD_PRELOAD": str(library)}


def test_io_uring_that_is_lost_with_root_is_epoll(weir, origin, connect, refused_later):
    need_uring()
    proxy = start(weir, origin, top={"user": "nobody"}, environment=refused_later)
    assert proxy.backend == "epoll"
    first, last = re.findall(r" notice io: (.*)", proxy.stderr)
    assert first.startswith("io_uring on ") and last.startswith("epoll, because io_uring is not")
    assert serves(proxy, connect)


def test_forced_io_uring_that_is_lost_with_root_is_status_1(uring_file, refused_later,
                                                             monkeypatch):
    need_uring()
    monkeypatch.setenv("LD_PRELOAD", refused_later["LD_PRELOAD"])
    uring_file.write_text(uring_file.read_text() + "user: nobody\n")
    done = run("-c", uring_file)
    assert done.returncode == 1
    assert "cannot be had: io_uring is not allowed" in done.stderr
    assert "ready" not in done.stderr


def test_buffers_and_shortages_are_shown(weir, origin, connect):
    proxy = start(weir, origin, top={"threads": 2})
    assert serves(proxy, connect)
    metrics = proxy.metrics()
    assert metrics.value("weir_io_buffers", state="used") >= 0
    assert (metrics.value("weir_io_buffers", state="ready") > 0) == (proxy.backend == "io_uring")
    for resource in ("buffers", "completions", "submissions", "descriptors"):
        key = "weir_io_shortages_total", frozenset({("resource", resource)})
        assert metrics.samples[key] == 0
