# SPDX-License-Identifier: MIT
"""Connections over HTTP/2 that rest, grow old, go silent, or are flooded by their server."""

import ctypes
import os
import struct
import subprocess
import threading
import time

import pytest

import h2_frames
import sockets
from client import request
from h2_upstream import (Holding, accepted, check_quiet, connections, floods, last_error, opened,
                         over_h2, pings, retries)
from waiting import PATIENCE, wait_equal, wait_until
from weir import one_upstream

CLONE_NEWNET = 0x40000000
QUICK = {"ping_interval": "100ms", "ping_timeout": f"{300 * PATIENCE:.0f}ms"}


def pass_time(seconds):
    """Nothing happens meanwhile; what must not happen is looked at afterwards."""
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began >= seconds, seconds + 1)


# --- SETTINGS ---


def test_a_server_that_never_says_settings_is_given_up(weir, connect):
    """It accepts, and that is all: one after the other, and several at once."""
    listener, address = sockets.listen()
    with listener:
        proxy = weir(over_h2(address, h2={"ping_timeout": "300ms"},
                             upstream={"retry": {"attempts": 0}}))
        assert connect(proxy).get().status in (502, 504)
        crowd = [connect(proxy) for _ in range(5)]
        for client in crowd:
            client.send(request())
        assert {client.receive().status for client in crowd} <= {502, 504}
        wait_equal(lambda: set(proxy.closed()), {"ping_timeout"})
        proxy.wait_idle(0)


# --- PING before reuse ---


def test_after_five_idle_seconds_a_ping_goes_before_the_request(weir, h2_origins, connect):
    """One that answers, one that is deaf, one that is deaf when a POST comes, and one that rested
    for a shorter time."""
    origins = {name: h2_origins() for name in ("alive", "deaf", "post", "fresh")}
    service = {"routes": [{"path": f"/{name}", "upstream": name} for name in origins],
               "upstreams": {name: {"servers": [origin.address], "protocol": "http2",
                                    "h2": {"ping_timeout": f"{300 * PATIENCE:.0f}ms"}}
                             for name, origin in origins.items()}}
    proxy = weir(one_upstream(service=service))
    client = connect(proxy)
    for name in ("alive", "deaf", "post"):
        assert client.get(f"/{name}").connection == 1
    for name in ("deaf", "post"):
        origins[name].connections[0].answers_pings = False

    def rested():
        peers = proxy.pools()["services"][0]["peers"]
        idle = [c["idle_ms"] for peer in peers for c in peer["connections"]]
        return len(idle) == 3 and min(idle) >= 5000
    wait_until(rested, 10, "five seconds of rest")
    assert pings(proxy) == {}
    assert client.get("/alive").connection == 1
    assert [f.kind for f in origins["alive"].connections[0].of("PING", "HEADERS")] == [
        "HEADERS", "PING", "HEADERS"]
    assert pings(proxy) == {"answered": 1}
    client.get("/fresh")
    assert client.get("/fresh").ordinal == 2
    assert origins["fresh"].connections[0].of("PING") == []
    response = client.get("/deaf")
    assert (response.status, response.connection) == (200, 2)
    response = client.request("POST", "/post", body=b"x")
    assert (response.status, response.connection) == (200, 2), "nothing of it was sent before"
    for name in ("deaf", "post"):
        origin = origins[name]
        assert [len(c.streams) for c in origin.connections] == [1, 1]
        wait_until(lambda origin=origin: origin.connections[0].ended)
    assert proxy.closed() == {"ping_timeout": 2}
    assert pings(proxy) == {"answered": 1, "lost": 2}
    assert client.get("/alive").connection == 1


# --- ping_interval ---


def test_pings_come_at_their_interval_and_keep_the_connection(weir, h2_origin, crowd):
    proxy = weir(over_h2(h2_origin.address, h2=QUICK))
    held = Holding(h2_origin, crowd, proxy)
    held.come(2)
    wait_until(lambda: len(h2_origin.connections[0].of("PING")) >= 3, 5, "PINGs while in use")
    wait_until(lambda: pings(proxy).get("answered", 0) >= 3)
    assert [each.connection for each in held.finish()] == [1, 1]
    assert "lost" not in pings(proxy) and proxy.closed() == {}


def test_without_an_interval_there_are_none(h2_origin, h2_proxy, crowd):
    held = Holding(h2_origin, crowd, h2_proxy)
    held.come(1)
    pass_time(0.3)
    held.finish()
    assert h2_origin.connections[0].of("PING") == [] and pings(h2_proxy) == {}


def test_a_server_that_goes_deaf_under_requests(weir, h2_origin, crowd, connect):
    """GETs are sent again on a fresh connection, a POST may have been done: 502."""
    proxy = weir(over_h2(h2_origin.address, h2=QUICK))
    connect(proxy).get()
    held = Holding(h2_origin, crowd, proxy)
    for method in ("GET", "POST", "GET"):
        held.clients.come("/hold", method, b"x" if method == "POST" else None)
    accepted(h2_origin, 4)
    h2_origin.connections[0].answers_pings = False
    accepted(h2_origin, 6)
    held.go.set()
    responses = [client.receive() for client in held.clients.clients]
    assert [response.status for response in responses] == [200, 502, 200]
    assert [response.connection for response in responses[::2]] == [2, 2]
    assert responses[1].error == "connection_terminated"
    assert proxy.closed() == {"ping_timeout": 1} and pings(proxy)["lost"] == 1
    assert sorted(str(line["error"]) for line in proxy.logged(4)) == [
        "None", "None", "None", "ping_timeout"]
    check_quiet(proxy)


# --- Black holes ---


def two_upstreams(first, second):
    """/hold goes to the second, all else to the first."""
    config = over_h2(first, h2=QUICK)
    service = config["services"][0]
    service["upstreams"]["other"] = {"servers": [second], "protocol": "http2", "h2": QUICK}
    service["routes"].insert(0, {"path": "/hold", "upstream": "other"})
    return config


def check_recovery(proxy, origin, other, crowd, connect, vanish):
    """Requests that wait when their connection vanishes are answered within the time of a PING, and
    those on another connection are not touched."""
    held = Holding(other, crowd, proxy)
    held.come(3)
    go = threading.Event()
    origin.paths["/wait"] = lambda stream: (
        stream.hold(go) if stream.connection.number == 1 else None, stream.respond())
    assert connect(proxy).get().connection == 1
    waiting = crowd(proxy)
    for _ in range(2):
        waiting.come("/wait")
    accepted(origin, 3)
    began = time.monotonic()
    vanish(origin.connections[0])
    assert [client.receive().connection for client in waiting.clients] == [2, 2]
    assert time.monotonic() - began < 0.1 + 0.3 * PATIENCE + PATIENCE
    assert [response.connection for response in held.finish()] == [1] * 3
    assert proxy.closed() == {"ping_timeout": 1}
    assert (pings(proxy)["lost"], retries(proxy)) == (1, 2)
    assert len(origin.streams) == 5


def test_a_relay_that_forgets_a_connection(weir, h2_origins, relay, crowd, connect):
    origin, other = h2_origins(), h2_origins()
    between = relay(origin)
    proxy = weir(two_upstreams(between.address, other.address))
    check_recovery(proxy, origin, other, crowd, connect, lambda _: between.stop_forwarding())


def ip(*words):
    subprocess.run(["ip", *words], check=True)


@pytest.fixture
def network():
    """This thread, and what it starts, in a network of its own, which can lose connections."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    if libc.unshare(CLONE_NEWNET) != 0:
        os.close(home)
        pytest.skip(f"no network namespace here: {os.strerror(ctypes.get_errno())}")
    try:
        ip("link", "set", "lo", "up")
        # Room for rules before the one that finds every address of this host.
        ip("rule", "add", "pref", "100", "lookup", "local")
        ip("rule", "del", "pref", "0")
        yield lose
    finally:
        assert libc.setns(home, CLONE_NEWNET) == 0
        os.close(home)


def lose(connection):
    """From now on each packet of this connection is dropped, both ways."""
    near, far = (str(name[1]) for name in (connection.sock.getsockname(),
                                           connection.sock.getpeername()))
    for source, destination in ((near, far), (far, near)):
        ip("rule", "add", "pref", "10", "ipproto", "tcp", "sport", source, "dport", destination,
           "blackhole")


def test_a_network_that_drops_a_connections_packets(network, weir, h2_origins, crowd, connect):
    origin, other = h2_origins(), h2_origins()
    proxy = weir(two_upstreams(origin.address, other.address))
    check_recovery(proxy, origin, other, crowd, connect, network)


# --- How long connections live ---


def test_idle_timeout_is_for_idle_ones(weir, h2_origin, crowd):
    proxy = weir(over_h2(h2_origin.address, upstream={"idle_timeout": "200ms"}))
    held = Holding(h2_origin, crowd, proxy)
    held.come(2)
    pass_time(0.5)
    assert h2_origin.connections[0].ended is None
    held.finish()
    began = time.monotonic()
    wait_until(lambda: h2_origin.connections[0].ended)
    assert 0.1 < time.monotonic() - began < 2 * PATIENCE
    assert proxy.closed() == {"idle_timeout": 1}


def test_an_idle_connection_that_is_used_again_is_not_idle(weir, h2_origin, connect, crowd):
    """Its idle time ends with the stream that begins, not with the last one."""
    proxy = weir(over_h2(h2_origin.address, upstream={"idle_timeout": "400ms"}))
    connect(proxy).get()
    held = Holding(h2_origin, crowd, proxy)
    held.come(1)
    pass_time(0.6)
    assert held.finish()[0].connection == 1


@pytest.mark.parametrize("limit", [1, 3])
def test_max_requests_per_connection(weir, h2_origin, connect, limit):
    """Jitter of a tenth does not show on numbers this small."""
    proxy = weir(over_h2(h2_origin.address, upstream={"max_requests_per_connection": limit}))
    client = connect(proxy)
    assert [client.get().connection for _ in range(6)] == [1 + at // limit for at in range(6)]
    wait_equal(proxy.closed, {"max_requests": 6 // limit})


def test_max_requests_cuts_no_stream(weir, h2_origin, crowd):
    """Requests at once: each connection gets its number, and ends when the last one has ended."""
    proxy = weir(over_h2(h2_origin.address, upstream={"max_requests_per_connection": 3}))
    held = Holding(h2_origin, crowd, proxy)
    held.come(7)
    assert sorted(len(c.streams) for c in h2_origin.connections) == [1, 3, 3]
    assert proxy.closed() == {}
    held.finish()
    wait_equal(proxy.closed, {"max_requests": 2})
    proxy.wait_idle(1)


def test_max_connection_age_cuts_no_stream(weir, h2_origin, crowd, connect):
    proxy = weir(over_h2(h2_origin.address, upstream={"max_connection_age": "200ms"}))
    held = Holding(h2_origin, crowd, proxy)
    held.come(2)
    pass_time(0.3)
    assert connect(proxy).get().connection == 2, "no new stream on the old one"
    assert h2_origin.connections[0].ended is None
    assert [response.connection for response in held.finish()] == [1, 1]
    wait_until(lambda: h2_origin.connections[0].ended == "fin")
    assert "max_age" in proxy.closed()


def test_max_connection_age_ends_an_idle_connection(weir, h2_origin, connect):
    proxy = weir(over_h2(h2_origin.address, upstream={"max_connection_age": "300ms"}))
    connect(proxy).get()
    began = time.monotonic()
    wait_until(lambda: h2_origin.connections[0].ended)
    assert 0.2 < time.monotonic() - began < 2 * PATIENCE
    assert proxy.closed() == {"max_age": 1}


# --- What a server may say to an idle connection ---


def test_control_frames_on_an_idle_connection_are_not_unexpected(h2_origin, h2_proxy, connect):
    client = connect(h2_proxy)
    client.get()
    h2_proxy.wait_idle(1)
    connection = h2_origin.connections[0]
    connection.ping()
    connection.announce(MAX_CONCURRENT_STREAMS=50, INITIAL_WINDOW_SIZE=100_000)
    connection.raw(h2_frames.window_update(0, 1000), h2_frames.frame(0xB8, payload=b"unknown"))
    connection.ping(b"abcdefgh")
    response = client.get()
    assert (response.connection, response.ordinal) == (1, 2)
    assert h2_proxy.metric("weir_pool_unexpected_data_total") == 0


def test_nonsense_on_an_idle_connection_ends_it_and_no_request(h2_origin, h2_proxy, connect):
    client = connect(h2_proxy)
    for number in range(1, 3):
        assert client.request("POST", body=b"x").connection == number
        h2_proxy.wait_idle(1)
        h2_origin.connections[-1].raw(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        h2_proxy.wait_idle(0)
        wait_until(lambda: h2_origin.connections[-1].ended)
    assert sum(h2_proxy.closed().values()) == 2 and retries(h2_proxy) == 0


# --- Floods ---


def head_without_end():
    """CVE-2024-24549."""
    yield h2_frames.headers(1, [(":status", "200")], end_stream=False, end_headers=False)
    for _ in range(2000):
        yield h2_frames.continuation(1, h2_frames.literal(b"x-a", b"a" * 40))


FLOODS = {
    "ping": lambda: [h2_frames.ping(struct.pack(">Q", at)) for at in range(2000)],
    "settings": lambda: [h2_frames.settings({h2_frames.INITIAL_WINDOW_SIZE: 65535})] * 2000,
    "empty_frames": lambda: [h2_frames.body(1)] * 2000,
    "window_update": lambda: [h2_frames.window_update(0, 1)] * 20_000,
    "priority": lambda: [h2_frames.priority(3)] * 4000,
    "unknown": lambda: [h2_frames.frame(0xB8, payload=b"x")] * 4000,
    "continuation": head_without_end,
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_ends_its_connection_and_is_counted(h2_origin, h2_proxy, connect, crowd, kind):
    """The client gets an answer, and the next connection is none the worse."""
    def flood(stream):
        stream.body()
        if kind == "empty_frames":
            stream.head()
        stream.connection.raw(*FLOODS[kind]())
    h2_origin.at[1, 1] = flood
    client = connect(h2_proxy)
    response = client.get()
    assert response.status == 502 or not response.complete
    assert last_error(h2_proxy, 1)
    first = h2_origin.connections[0]
    wait_until(lambda: first.ended, 10)
    assert floods(h2_proxy) == {kind: 1}
    if first.goaway:  # it may have been lost with a reset
        assert first.goaway.error == "ENHANCE_YOUR_CALM"
    assert connect(h2_proxy).get().connection == 2
    check_quiet(h2_proxy)
    assert opened(h2_proxy) == 2


def test_as_much_as_servers_do_is_no_flood(h2_origin, h2_proxy, connect):
    """Forty PINGs and SETTINGS at once, a WINDOW_UPDATE for each piece of a large upload."""
    client = connect(h2_proxy)
    client.get()
    connection = h2_origin.connections[0]
    connection.raw(*(h2_frames.ping(struct.pack(">Q", at)) for at in range(40)))
    wait_until(lambda: len(connection.pongs) == 40)
    for _ in range(3):
        connection.announce(MAX_CONCURRENT_STREAMS=100)
    for _ in range(3):
        assert client.request("POST", body=bytes(4 << 20)).connection == 1
    assert floods(h2_proxy) == {} and len(connections(h2_proxy)) == 1
