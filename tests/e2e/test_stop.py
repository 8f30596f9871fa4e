# SPDX-License-Identifier: MIT
"""How weir stops: SIGTERM lets running requests finish, SIGINT does not wait."""

import signal
import threading
import time

import pytest

import sockets
import websocket
from client import get_once, request
from framing import LAST_CHUNK, chunk
from waiting import PATIENCE, wait_until
from weir import one_upstream


@pytest.fixture
def go(origin):
    """The origin's /slow answers when this event is set."""
    event = threading.Event()
    origin.paths["/slow"] = lambda exchange: (exchange.hold(event), exchange.respond())
    yield event
    event.set()


def start_slow(origin, client):
    client.send(request(target="/slow"))
    wait_until(lambda: "/slow" in origin.targets)


def test_sigterm_closes_idle_connections_at_once(origin, proxy, connect, go):
    idle, busy = connect(proxy), connect(proxy)
    idle.get()
    start_slow(origin, busy)  # on connection 1; a second one goes idle:
    connect(proxy).get()
    assert len(origin.connections) == 2
    proxy.signal(signal.SIGTERM)
    assert idle.ended() == "fin"
    wait_until(lambda: origin.connections[1].ended == "fin", 5, "the idle upstream side closed")
    go.set()
    assert busy.receive().status == 200
    assert proxy.wait() == 0


def test_sigterm_lets_a_running_request_finish(origin, weir, connect, go):
    proxy = weir(one_upstream(origin.address, grace_period_seconds=20))
    client = connect(proxy)
    start_slow(origin, client)
    proxy.signal(signal.SIGTERM)
    wait_until(lambda: not sockets.accepts(proxy.address), 5, "the listener closed")
    go.set()
    response = client.receive()
    assert (response.status, response.body) == (200, b"GET /slow\n")
    assert "close" in response.head.tokens("connection")
    assert client.ended() == "fin"
    assert proxy.wait(5) == 0, "it ends with the last request, not with the grace period"


def test_sigterm_lets_an_upload_and_a_download_finish(origin, weir, connect):
    go = threading.Event()

    def slow_chunks(exchange):
        exchange.send(exchange.labelled(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                        + chunk(b"first ")))
        exchange.hold(go)
        exchange.send(chunk(b"last") + LAST_CHUNK)

    origin.paths["/down"] = slow_chunks
    proxy = weir(one_upstream(origin.address, grace_period_seconds=20))
    down, up = connect(proxy), connect(proxy)
    down.send(request(target="/down"))
    down.reader.fill()
    up.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
    wait_until(lambda: b"hello" in origin.received)
    proxy.signal(signal.SIGTERM)
    wait_until(lambda: not sockets.accepts(proxy.address), 5, "the listener closed")
    up.send(b"world")
    go.set()
    assert up.receive().status == 200
    assert down.receive().body == b"first last"
    assert proxy.wait(5) == 0


def test_no_new_request_on_a_connection_that_is_kept_alive(origin, weir, connect, go):
    proxy = weir(one_upstream(origin.address, grace_period_seconds=20))
    client = connect(proxy)
    start_slow(origin, client)
    client.send(request(target="/too-late"))
    proxy.signal(signal.SIGTERM)
    wait_until(lambda: not sockets.accepts(proxy.address), 5, "the listener closed")
    go.set()
    assert client.receive().body == b"GET /slow\n"
    assert client.ended() in ("fin", "reset")
    assert "/too-late" not in origin.targets


def test_ready_is_503_while_it_drains_and_health_stays_200(origin, weir, connect, go):
    proxy = weir(one_upstream(origin.address, grace_period_seconds=20))
    client = connect(proxy)
    start_slow(origin, client)
    assert get_once(proxy.admin, "/ready").status == 200
    proxy.signal(signal.SIGTERM)
    wait_until(lambda: get_once(proxy.admin, "/ready").status == 503, 5, "/ready saying 503")
    assert get_once(proxy.admin, "/health").status == 200
    go.set()
    assert client.receive().status == 200
    assert proxy.wait(5) == 0


def test_grace_period_ends_what_does_not_finish(origin, weir, connect, go):
    proxy = weir(one_upstream(origin.address, grace_period_seconds=1,
                              graceful_shutdown_timeout_seconds=1))
    client = connect(proxy)
    start_slow(origin, client)
    began = time.monotonic()
    proxy.signal(signal.SIGTERM)
    assert proxy.wait(8) == 0
    assert time.monotonic() - began > 0.8
    client.reader.rest()  # a 503 or nothing; the connection has ended


def test_websocket_tunnels_do_not_outlast_the_grace_period(origin, weir, connect):
    origin.default = websocket.echo
    proxy = weir(one_upstream(origin.address, grace_period_seconds=1,
                              graceful_shutdown_timeout_seconds=1))
    client = connect(proxy)
    client.send(websocket.UPGRADE)
    assert client.receive().status == 101
    proxy.signal(signal.SIGTERM)
    assert proxy.wait(8) == 0


def test_sigint_stops_at_once(origin, weir, connect, go):
    proxy = weir(one_upstream(origin.address, grace_period_seconds=60))
    client = connect(proxy)
    start_slow(origin, client)
    began = time.monotonic()
    proxy.signal(signal.SIGINT)
    assert proxy.wait(5) == 0
    assert time.monotonic() - began < 3 * PATIENCE


def test_sigint_during_a_graceful_stop_ends_it(origin, weir, connect, go):
    proxy = weir(one_upstream(origin.address, grace_period_seconds=60))
    start_slow(origin, connect(proxy))
    proxy.signal(signal.SIGTERM)
    wait_until(lambda: not sockets.accepts(proxy.address), 5, "the listener closed")
    proxy.signal(signal.SIGINT)
    assert proxy.wait(5) == 0


def test_access_log_is_complete_after_the_end(origin, proxy, connect):
    client = connect(proxy)
    for _ in range(100):
        client.get()
    client.close()
    proxy.stop()
    assert len(proxy.log()) == 100


def test_nothing_is_left_behind_on_a_unix_socket_path(origin, weir, connect, tmp_path):
    """A socket file of a stopped weir does not keep the next one from starting."""
    listen = f"unix:{tmp_path}/weir.sock"
    for _ in range(2):
        proxy = weir(one_upstream(origin.address, service={"listen": [listen]}))
        assert connect(proxy).get().status == 200
        proxy.stop()


def test_signal_of_a_later_version_is_told_and_changes_nothing(origin, proxy, connect):
    client = connect(proxy)
    assert client.get().status == 200
    proxy.signal(signal.SIGQUIT)
    wait_until(lambda: "not supported by this version" in proxy.stderr, 5, "a word about it")
    assert client.get().status == 200
