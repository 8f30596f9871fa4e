# SPDX-License-Identifier: MIT
"""Who is too slow is told so, or left; nobody waits for ever."""

import threading
import time

import pytest

import sockets
from client import request
from origin import answer
from waiting import PATIENCE, wait_equal, wait_until
from weir import one_upstream


@pytest.fixture
def slow_origin(origin):
    """An origin whose /slow never answers; `go` ends the wait when the test is over."""
    go = threading.Event()
    origin.paths["/slow"] = lambda exchange: (exchange.body(), exchange.hold(go))
    yield origin
    go.set()


def upstream_with(weir, origin, **limits):
    return weir(one_upstream(origin.address, upstream=limits))


def service_with(weir, origin, **limits):
    return weir(one_upstream(origin.address, service=limits))


# --- Servers ---


@pytest.mark.parametrize("warm", [False, True], ids=["fresh", "reused"])
def test_server_that_does_not_answer_is_504_and_not_replayed(slow_origin, weir, connect, warm):
    proxy = upstream_with(weir, slow_origin, read_timeout="300ms")
    client = connect(proxy)
    if warm:
        client.get()
    response = client.get("/slow")
    assert response.status == 504
    assert response.error == "http_response_timeout"
    assert slow_origin.targets.count("/slow") == 1
    assert connect(proxy).get().connection == 2


def test_server_that_stops_within_its_head_is_504(origin, weir, connect):
    origin.at[1, 1] = answer(b"HTTP/1.1 200 OK\r\nContent-Le", label=False)
    proxy = upstream_with(weir, origin, read_timeout="300ms")
    assert connect(proxy).get().status == 504
    assert connect(proxy).get().connection == 2


def test_server_that_stops_within_its_body_cuts_the_response(origin, weir, connect):
    origin.at[1, 1] = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
    proxy = upstream_with(weir, origin, read_timeout="300ms")
    response = connect(proxy).get()
    assert (response.status, response.body, response.complete) == (200, b"hello", False)
    assert connect(proxy).get().connection == 2


def test_read_timeout_is_between_pieces_not_for_the_whole(origin, weir, connect):
    """Six pieces, each within the time, longer than the time altogether."""
    step = threading.Semaphore(0)

    def drip(exchange):
        exchange.body()
        exchange.send(exchange.head_of(6))
        for _ in range(6):
            step.acquire(timeout=10)
            exchange.send(b"x")

    origin.default = drip
    client = connect(upstream_with(weir, origin, read_timeout=f"{1000 * PATIENCE:.0f}ms"))
    client.send(request())
    began = time.monotonic()
    for at in range(1, 7):
        wait_until(lambda at=at: time.monotonic() - began >= 0.25 * at * PATIENCE, 5)
        step.release()
    assert client.receive().body == b"x" * 6


def test_server_that_does_not_accept_is_504(weir, connect):
    hole = sockets.BlackHole()
    proxy = weir(one_upstream(hole.address, upstream={"connection_timeout": "300ms",
                                                      "retry": {"attempts": 0}}))
    response = connect(proxy).get()
    assert response.status == 504
    assert response.error == "connection_timeout"
    assert proxy.metrics().by("weir_upstream_connect_errors_total", "reason") == {
        "connection_timeout": 1}
    hole.close()


def test_server_that_does_not_take_the_request_is_504(slow_origin, weir, connect):
    go = threading.Event()
    slow_origin.paths["/full"] = lambda exchange: exchange.hold(go)
    proxy = upstream_with(weir, slow_origin, write_timeout="300ms")
    client = connect(proxy)
    upload = client.upload(request("POST", "/full", body=bytes(64 << 20)))
    response = client.receive()
    assert response.status == 504
    assert response.error == "connection_write_timeout"
    client.close()
    upload.join(10)
    go.set()


# --- Clients ---


def test_request_head_that_stops_is_408_or_closed(origin, weir, connect):
    client = connect(service_with(weir, origin, client_header_timeout="300ms"))
    client.send(b"GET / HTTP/1.1\r\nHos")
    check_408_or_end(client)
    assert origin.received == b""


def test_request_head_byte_by_byte_does_not_win_time(origin, weir, connect):
    """The time is for the whole head: a byte now and then does not prolong it."""
    client = connect(service_with(weir, origin, client_header_timeout="500ms"))
    client.sock.settimeout(0.02)
    began = time.monotonic()
    raw = b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: " + b"x" * 10_000
    for at in range(len(raw)):
        client.send_unless_refused(raw[at:at + 1])
        try:
            if client.reader.fill() or client.reader.end:
                break
        except TimeoutError:
            pass
        assert time.monotonic() - began < 5 * PATIENCE, "still fed after ten times its time"
    client.sock.settimeout(5)
    check_408_or_end(client)
    assert origin.received == b""


def check_408_or_end(client):
    head = client.reader.head()
    if head is not None:
        assert head.start.startswith("HTTP/1.1 408 "), head.start
        assert head.get("proxy-status")
        client.reader.rest()
    assert client.reader.end in ("fin", "reset")


def test_head_of_a_second_request_that_stops(origin, weir, connect):
    client = connect(service_with(weir, origin, client_header_timeout="300ms"))
    client.get()
    client.send(b"GET / HTTP/1.1\r\n")
    check_408_or_end(client)
    assert len(origin.exchanges) == 1


@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
def test_request_body_that_stops_is_408(origin, weir, connect, framing):
    proxy = service_with(weir, origin, client_body_timeout="300ms")
    client = connect(proxy)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing.encode() + b"\r\n\r\n5\r\nhello\r\n")
    response = client.receive()
    assert response.status == 408
    assert client.ended() in ("fin", "reset")
    wait_until(origin.is_left, 5, "the upstream connection closed")
    assert not any(exchange.complete for exchange in origin.exchanges)
    assert connect(proxy).get().status == 200
    wait_equal(proxy.not_kept, {"request_incomplete": 1})


def test_client_that_does_not_take_its_response_is_left(origin, weir, connect):
    proxy = service_with(weir, origin, client_write_timeout="300ms")
    origin.at[1, 1] = lambda exchange: exchange.send(exchange.head_of(1 << 26), bytes(1 << 26))
    client = connect(proxy, receive_buffer=1 << 16)
    client.send(request())
    wait_until(lambda: origin.connections and origin.connections[0].ended, 10, "both sides closed")
    assert not client.receive().complete
    proxy.wait_metric(0, "weir_downstream_connections")


def test_connection_without_a_single_byte_is_closed(origin, weir, connect):
    client = connect(service_with(weir, origin, client_header_timeout="300ms"))
    assert client.ended() == "fin"


def test_time_in_which_nothing_happened_does_not_count(weir, origin, connect):
    """A client's time begins when it comes, however long its worker had nothing to do before."""
    span = 0.5 * PATIENCE
    proxy = service_with(weir, origin, client_header_timeout=f"{span * 1000:.0f}ms",
                         keepalive_timeout=f"{span * 1000:.0f}ms")
    time.sleep(3 * span)  # nothing happens
    client = connect(proxy)
    assert client.get().status == 200
    time.sleep(span / 2)  # not yet
    assert client.get().status == 200
