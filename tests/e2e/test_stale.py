# SPDX-License-Identifier: MIT
"""Connections that die or speak out of turn while nobody uses them.

WEIR_STALE_COUNT sets how many requests the long runs make (the acceptance run: 10000).
"""

import os
import random
import threading
import time

import pytest

from client import request
from origin import answer
from waiting import wait_until
from weir import one_upstream

COUNT = int(os.environ.get("WEIR_STALE_COUNT", "2000"))
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON"


@pytest.fixture
def fickle(origin):
    """An origin that closes idle connections at random, sometimes as a request arrives."""
    rng = random.Random(7)
    origin.idle_limit = lambda: rng.choice((0.0, 0.0001, 0.0002, 0.0005, 0.001, 1.0))

    def behave(exchange):
        if exchange.ordinal > 1 and rng.random() < 0.1:
            # too late: the request is on its way; ended without an answer
            rng.choice((exchange.fin, exchange.reset))()
        else:
            exchange.respond()

    origin.default = behave
    return origin


def test_gets_never_fail_though_idle_connections_close_at_random(fickle, proxy, connect):
    client = connect(proxy)
    for at in range(COUNT):
        response = client.get(f"/{at}")
        assert (response.status, response.body) == (200, b"GET /%d\n" % at)
    metrics = proxy.metrics()
    assert len(fickle.connections) > COUNT / 50, "hardly any was closed: nothing was tested"
    assert metrics.value("weir_retries_total", result="replayed") > 0
    assert metrics.value("weir_retries_total", result="refused") == 0
    assert metrics.value("weir_upstream_requests_total", connection="reused") > 0
    assert metrics.value("weir_upstream_connections_opened_total") == len(fickle.connections)


def test_posts_fail_only_where_a_replay_is_forbidden(fickle, proxy, connect):
    client = connect(proxy)
    failed = 0
    for at in range(COUNT):
        response = client.request("POST", f"/{at}", body=b"hello")
        if response.status != 200:
            failed += 1
            assert response.status == 502
            assert response.error == "connection_terminated"
    assert proxy.metric("weir_retries_total", result="refused") == failed
    assert proxy.metric("weir_retries_total", result="replayed") == 0
    assert len(set(fickle.targets)) == len(fickle.targets), "a POST was sent twice"


# --- Bytes that nobody asked for ---


def check_escaped(proxy):
    """The log shows what came, on one line, without its control characters."""
    line = wait_until(lambda: [line for line in proxy.stderr.split("\n") if "HTTP/1.1 200" in line],
                      5, "the log showing the first bytes")[0]
    assert not any(ord(c) < 32 for c in line), line


def test_bytes_on_an_idle_connection_are_never_delivered(origin, proxy, connect):
    say = threading.Event()
    origin.at[1, 1] = lambda exchange: (exchange.respond(), exchange.hold(say),
                                        exchange.send(POISON))
    client = connect(proxy)
    client.get()
    proxy.wait_idle(1)
    say.set()
    proxy.wait_metric(1, "weir_pool_unexpected_data_total", place="idle")
    response = client.get()
    assert (response.connection, response.body) == (2, b"GET /\n")
    assert proxy.closed() == {"unexpected_data": 1}
    check_escaped(proxy)


def test_bytes_right_behind_a_response_are_never_delivered(origin, proxy, connect):
    origin.at[1, 1] = answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" + POISON)
    client = connect(proxy)
    assert client.get().body == b"hello"
    response = client.get()
    assert (response.connection, response.body) == (2, b"GET /\n")
    proxy.wait_metric(1, "weir_pool_unexpected_data_total", place="release")
    check_escaped(proxy)


def test_bytes_that_come_together_with_the_next_request_are_never_delivered(origin, proxy, connect):
    """weir stands still while both arrive, the request first: the look at checkout must find the
    bytes, unless the watch did."""
    say, said = threading.Event(), threading.Event()
    origin.at[1, 1] = lambda exchange: (exchange.respond(), exchange.hold(say),
                                        exchange.send(POISON), said.set())
    client = connect(proxy)
    client.get()
    proxy.wait_idle(1)
    with proxy.standing_still():
        client.send(request(target="/next"))
        say.set()
        assert said.wait(5)
    response = client.receive()
    assert (response.connection, response.body) == (2, b"GET /next\n")
    found = proxy.metrics().by("weir_pool_unexpected_data_total", "place")
    assert found in ({"checkout": 1}, {"idle": 1})
    assert "/next" not in [e.target for e in origin.connections[0].exchanges]


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_connection_that_ends_together_with_the_next_request(origin, proxy, connect, how):
    """As above with an end in place of bytes: a POST must not be spent on it."""
    end, ended = threading.Event(), threading.Event()

    def end_it(exchange):
        exchange.respond()
        exchange.hold(end)
        exchange.connection.sock.shutdown(1) if how == "fin" else exchange.reset()
        ended.set()

    origin.at[1, 1] = end_it
    client = connect(proxy)
    client.get()
    proxy.wait_idle(1)
    with proxy.standing_still():
        client.send(request("POST", "/next", body=b"hello"))
        end.set()
        assert ended.wait(5)
    response = client.receive()
    assert (response.status, response.connection) == (200, 2)


# --- What is left over from the rest ---


@pytest.mark.parametrize("how", ["fin", "reset", "bytes"])
@pytest.mark.parametrize("first", ["end", "request"])
def test_ends_at_rest_do_not_hit_the_requests_that_come_with_them(origin, proxy, connect, how,
                                                                  first):
    """After nginx's memcached_keepalive_stale.t. Of eight idle connections four end while eight
    requests come, all within one turn of the loop: the descriptors of the dead are given to new
    ones while there may be events for them. Every second request could not be sent twice."""
    end = threading.Event()
    ended = threading.Semaphore(0)
    go = threading.Event()

    def hold_and_end(exchange):
        exchange.hold(go)
        exchange.respond()
        if exchange.connection.number % 2:
            return
        exchange.hold(end)
        {"fin": lambda: exchange.connection.sock.shutdown(1), "reset": exchange.reset,
         "bytes": lambda: exchange.send(POISON)}[how]()
        ended.release()

    def end_them():
        end.set()
        for _ in range(4):
            assert ended.acquire(timeout=5)

    origin.paths["/hold"] = hold_and_end
    clients = [connect(proxy) for _ in range(8)]
    for number, client in enumerate(clients):
        client.send(request(target="/hold"))
        wait_until(lambda number=number: len(origin.exchanges) == number + 1)
    go.set()
    assert [client.receive().status for client in clients] == [200] * 8
    proxy.wait_idle(8)
    with proxy.standing_still():
        if first == "end":
            end_them()
        for number, client in enumerate(clients):
            client.send(request("POST", f"/{number}", body=b"x") if number % 2
                        else request(target=f"/{number}"))
        end_them() if first == "request" else None
    for number, client in enumerate(clients):
        method = b"POST" if number % 2 else b"GET"
        response = client.receive()
        assert (response.status, response.body) == (200, b"%s /%d\n" % (method, number))
    proxy.wait_idle(8)
    assert sum(proxy.closed().values()) == 4


def test_the_timer_of_the_rest_does_not_end_the_request_that_follows(origin, weir, gated, connect):
    """On a connection that was idle, a request takes longer than it might have rested on."""
    proxy = weir(one_upstream(origin.address, upstream={"idle_timeout": "400ms"}))
    client = connect(proxy)
    client.get()
    client.send(request(target="/hold"))
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 0.5)
    gated.set()
    response = client.receive()
    assert (response.status, response.connection, response.ordinal) == (200, 1, 2)
    assert (client.get().connection, proxy.closed()) == (1, {})


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_that_comes_together_with_the_timer_of_the_rest(origin, weir, connect, method):
    """The idle time is over while weir stands still, and a request lies there when it goes on."""
    proxy = weir(one_upstream(origin.address, upstream={"idle_timeout": "150ms"}))
    client = connect(proxy)
    client.get()
    began = time.monotonic()
    with proxy.standing_still():
        client.send(request(method, "/next", body=b"x" if method == "POST" else None))
        wait_until(lambda: time.monotonic() - began > 0.2)
    response = client.receive()
    assert (response.status, response.connection, response.ordinal) == (200, 2, 1)
    assert proxy.closed() == {"idle_timeout": 1}
