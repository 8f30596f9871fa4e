# SPDX-License-Identifier: MIT
"""exec: servers that are child processes, one for each connection, pooled like any other."""

import concurrent.futures
import os
import pathlib
import signal

import pytest
import yaml

import sockets
import tls
import weir as program
from waiting import wait_equal, wait_until
from weir import one_upstream

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"


def child(way=""):
    return f"exec:exec {PYTHON} {HERE / 'exec_child.py'} {way}".rstrip()


def relay_to(server):
    host, port = server.address.rsplit(":", 1)
    return f"exec:exec {PYTHON} {HERE / 'exec_relay.py'} {host} {port}"


def pid_of(response):
    assert response.status == 200, response
    return int(response.body.split()[0])


def is_gone(pid):
    """Ended, and waited for."""
    return not pathlib.Path(f"/proc/{pid}").exists()


def has_ended(pid):
    """Ended; who should wait for it may not have done so yet."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def children_of(proxy):
    """The states of weir's children."""
    states = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == proxy.pid:
            states.append(fields[0])
    return states


def opened(proxy):
    return proxy.metric("weir_upstream_connections_opened_total")


@pytest.mark.parametrize("threads", [1, 2])
def test_a_hundred_requests_go_through_one_child(weir, connect, threads):
    """With two workers too: its connection moves to who wants it."""
    proxy = weir(one_upstream(child(), threads=threads))
    pids = set()
    for _ in range(10):
        client = connect(proxy)
        pids |= {pid_of(client.get()) for _ in range(10)}
        client.close()
    assert len(pids) == 1
    assert opened(proxy) == 1
    lines = proxy.logged(100)
    assert [line["connection"] for line in lines].count("new") == 1
    assert {line["peer"] for line in lines} == {child()}
    peer, = proxy.pools()["services"][0]["peers"]
    assert peer["address"] == child()
    assert [each["requests"] for each in peer["connections"]] == [100]


def test_a_child_has_a_group_and_three_descriptors_of_its_own(weir, connect):
    proxy = weir(one_upstream(child()))
    pid, group, descriptors = connect(proxy).get().body.decode().split(" ", 2)
    assert pid == group
    assert descriptors == "[0, 1, 2]"
    status = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    masks = dict(line.split(":\t") for line in status if line.startswith("Sig"))
    assert int(masks["SigBlk"], 16) == 0
    assert int(masks["SigIgn"], 16) & 1 << signal.SIGTERM - 1 == 0


def test_bodies_of_any_size_pass_both_ways(weir, connect):
    proxy = weir(one_upstream(child()))
    client = connect(proxy)
    body = os.urandom(2_000_000)
    assert client.request("POST", "/echo", body=body).body == body
    assert len(client.get("/large").body) == 3_000_000
    assert client.request("POST", "/echo", body=b"").body == b""
    assert opened(proxy) == 1


def test_a_child_that_is_killed_at_rest_is_noticed(weir, connect):
    proxy = weir(one_upstream(child()))
    pid = pid_of(connect(proxy).get())
    os.kill(pid, signal.SIGKILL)
    wait_equal(proxy.closed, {"peer_closed": 1})
    assert proxy.metric("weir_pool_idle_connections") == 0
    assert pid_of(connect(proxy).get()) != pid
    assert opened(proxy) == 2
    assert is_gone(pid)
    assert proxy.metric("weir_retries_total") == 0


def test_a_child_that_is_killed_just_before_a_request_is_found_dead(weir, connect):
    proxy = weir(one_upstream(child()))
    client = connect(proxy)
    pid = pid_of(client.get())
    proxy.wait_idle(1)
    with proxy.standing_still():
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: has_ended(pid))
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
    assert pid_of(client.receive("POST")) != pid
    assert proxy.closed() == {"peer_closed": 1}


@pytest.mark.parametrize("way", ["once", "silent"])
def test_a_child_for_each_request(weir, connect, way):
    proxy = weir(one_upstream(child(way)))
    client = connect(proxy)
    pids = [pid_of(client.get()) for _ in range(10)]
    assert len(set(pids)) == 10
    assert opened(proxy) >= 10
    # Who comes later has looked after those that had ended.
    wait_until(lambda: pid_of(client.get()) and children_of(proxy).count("Z") <= 2)


@pytest.mark.parametrize("threads", [1, 2])
def test_no_more_children_than_connections_are_allowed(weir, connect, threads):
    proxy = weir(one_upstream(child(), threads=threads, upstream={
        "max_connections": 2, "queue": {"timeout": "10s"}}))

    def come(_):
        client = connect(proxy)
        return {pid_of(client.get()) for _ in range(10)}

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        pids = set().union(*pool.map(come, range(8)))
    assert 1 <= len(pids) <= 2
    assert opened(proxy) <= 2


def test_idle_timeout_ends_the_child(weir, connect):
    proxy = weir(one_upstream(child(), upstream={"idle_timeout": "100ms"}))
    pid = pid_of(connect(proxy).get())
    wait_until(lambda: has_ended(pid))
    assert proxy.closed() == {"idle_timeout": 1}


def test_a_child_that_ends_in_the_middle_of_a_response_cuts_it(weir, connect):
    proxy = weir(one_upstream(child("half")))
    response = connect(proxy).get()
    assert response.status == 200 and not response.complete
    assert proxy.logged(1)[0]["error"] == "http_response_incomplete"


def test_a_child_that_ends_instead_of_a_response_is_a_502(weir, connect):
    proxy = weir(one_upstream(child("mute")))
    assert connect(proxy).request("POST", body=b"x").status == 502


@pytest.mark.parametrize("command", ["/nowhere/at/all", "exec /nowhere/at/all"])
def test_a_command_that_does_not_exist_is_a_502(weir, connect, command):
    proxy = weir(one_upstream(f"exec:{command}"))
    assert connect(proxy).get().status == 502
    assert "/nowhere/at/all" in proxy.stderr  # the shell says so
    line, = proxy.logged(1)
    assert line["error"] in ("eof", "reset")
    assert line["duration_us"] < 2_000_000


@pytest.mark.parametrize("way", ["", "stubborn"])
def test_no_child_is_left_behind(weir, connect, way):
    proxy = weir(one_upstream(child(way), threads=2))
    pid = pid_of(connect(proxy).get())
    proxy.stop()
    wait_until(lambda: is_gone(pid))


def test_a_stubborn_child_is_killed_by_who_comes_later(weir, connect):
    proxy = weir(one_upstream(service={
        "routes": [{"path": "/once", "upstream": "once"}, {"upstream": "web"}],
        "upstreams": {"web": {"servers": [child("stubborn")], "idle_timeout": "10ms"},
                      "once": {"servers": [child("once")]}}}))
    client = connect(proxy)
    pid = pid_of(client.get())
    wait_until(lambda: proxy.closed().get("idle_timeout") == 1)
    assert not has_ended(pid)
    wait_until(lambda: pid_of(client.get("/once")) and is_gone(pid), 10)


def test_health_is_checked_over_it(weir, connect):
    proxy = weir(one_upstream(child(), "exec:exit 1", upstream={
        "health": {"path": "/", "interval": "50ms", "fall": 1}}))
    wait_until(lambda: proxy.metric("weir_health_checks_total", result="passed"))
    wait_until(lambda: "fails its health checks" in proxy.stderr)
    client = connect(proxy)
    for _ in range(4):
        pid_of(client.get())


def test_children_are_kept_ready(weir, connect):
    proxy = weir(one_upstream(child(), upstream={"min_idle": 2}))
    proxy.wait_idle(2)
    assert opened(proxy) == 2
    pid_of(connect(proxy).get())
    # Whose turn comes while one of them is in use dials another: what rests is what is counted.
    assert proxy.logged(1)[0]["connection"] in ("reused", "taken_over")


def test_http2_runs_over_it(weir, connect, h2_origin):
    proxy = weir(one_upstream(relay_to(h2_origin), upstream={"protocol": "http2"}))
    client = connect(proxy)
    for _ in range(5):
        assert client.get().status == 200
    assert opened(proxy) == 1
    assert proxy.logged(5)[0]["upstream_protocol"] == "h2"


@pytest.mark.parametrize("threads", [1, 2])
def test_tls_runs_over_it(weir, connect, tls_origin, authority, threads):
    proxy = weir(tls.to_tls(authority, relay_to(tls_origin), tls={"sni": tls.ORIGIN},
                            threads=threads))
    for _ in range(8):
        client = connect(proxy)
        assert client.get().status == 200
        client.close()
    assert opened(proxy) == 1


def test_it_is_given_on_the_command_line(weir, connect):
    address = sockets.free_address()
    proxy = weir(arguments=["--listen", address, "--to", child()], ready=address)
    client = connect(proxy)
    assert len({pid_of(client.get()) for _ in range(5)}) == 1


@pytest.mark.parametrize("upstream, complaint", [
    ({"tcp": {"fast_open": True}}, "'tcp' cannot be with 'exec:true': it is no socket"),
    ({"bind_to": ["127.0.0.1"]}, "the same kind as the server 'exec:true'"),
    ({"proxy": {"address": "127.0.0.1:3128"}}, "'exec:true' cannot be reached through a proxy"),
    ({"tls": {}}, "the server 'exec:true' has no name"),
    ({"servers": ["exce:true"]}, "there is no transport 'exce'; there are: exec"),
    ({"servers": ["exec:"]}, "what the transport opens"),
])
def test_what_makes_no_sense_with_it_is_told(tmp_path, upstream, complaint):
    config = one_upstream("exec:true", upstream=upstream, service={"listen": ["127.0.0.1:0"]})
    path = tmp_path / "weir.yaml"
    path.write_text(yaml.safe_dump(config))
    done = program.run("-t", "-c", path)
    assert done.returncode != 0
    assert f"{path}:" in done.stderr and complaint in done.stderr, done.stderr
