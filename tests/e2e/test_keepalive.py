# SPDX-License-Identifier: MIT
"""How long connections rest and how many rest, on both sides."""

import threading
import time

import pytest

from client import request
from origin import answer
from waiting import PATIENCE, wait_equal, wait_until
from weir import one_upstream

# --- Downstream ---


def test_idle_client_connection_is_closed_after_keepalive_timeout(weir, origin, connect):
    client = connect(weir(one_upstream(origin.address, service={"keepalive_timeout": "300ms"})))
    client.get()
    began = time.monotonic()
    assert client.ended() == "fin"
    assert 0.25 < time.monotonic() - began < 3 * PATIENCE
    assert origin.connections[0].ended is None, "the upstream connection has its own time"


def test_keepalive_timeout_counts_from_the_last_response(weir, origin, connect):
    go = threading.Event()
    origin.paths["/slow"] = lambda exchange: (exchange.hold(go), exchange.respond())
    client = connect(weir(one_upstream(origin.address, service={"keepalive_timeout": "300ms"})))
    client.send(request(target="/slow"))
    wait_until(lambda: origin.exchanges)
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 0.6)
    go.set()
    assert client.receive().status == 200
    assert client.get().status == 200


def test_keepalive_timeout_zero_closes_after_each_response(weir, origin, connect):
    client = connect(weir(one_upstream(origin.address, service={"keepalive_timeout": "0"})))
    assert "close" in client.get().head.tokens("connection")
    assert client.ended() == "fin"


@pytest.mark.parametrize("at_limit, connection", [(None, 2), ("close", 2), ("keep", 1)])
def test_keepalive_request_limit(weir, origin, connect, at_limit, connection):
    service = {"keepalive_request_limit": 3}
    if at_limit:
        service["upstream_at_limit"] = at_limit
    proxy = weir(one_upstream(origin.address, service=service))
    client = connect(proxy)
    responses = [client.get() for _ in range(3)]
    assert ["close" in r.head.tokens("connection") for r in responses] == [False, False, True]
    assert client.ended() == "fin"
    assert connect(proxy).get().connection == connection
    assert proxy.not_kept() == ({"at_limit": 1} if connection == 2 else {})


# --- Upstream ---


def test_idle_upstream_connection_is_closed_after_idle_timeout(weir, origin, connect):
    proxy = weir(one_upstream(origin.address, upstream={"idle_timeout": "300ms"}))
    client = connect(proxy)
    client.get()
    began = time.monotonic()
    wait_until(lambda: origin.connections[0].ended, 5, "the idle connection closed")
    assert 0.25 < time.monotonic() - began < 3 * PATIENCE
    assert origin.connections[0].ended == "fin"
    assert client.get().connection == 2
    assert proxy.closed() == {"idle_timeout": 1}


def test_use_starts_the_idle_time_again(weir, origin, connect):
    """Used every 0.2 s for longer than the idle timeout: one connection."""
    proxy = weir(one_upstream(origin.address,
                              upstream={"idle_timeout": f"{1000 * PATIENCE:.0f}ms"}))
    client = connect(proxy)
    began = time.monotonic()
    for at in range(8):
        wait_until(lambda at=at: time.monotonic() - began >= 0.2 * at * PATIENCE)
        assert client.get().connection == 1


def test_server_that_says_a_shorter_time_is_believed(weir, origin, connect):
    """Keep-Alive: timeout=2 less the margin of a second: gone after one second, not the minute of
    idle_timeout, and not after two, when the server might close."""
    origin.default = answer(b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2\r\n"
                            b"Content-Length: 0\r\n\r\n")
    proxy = weir(one_upstream(origin.address))
    connect(proxy).get()
    began = time.monotonic()
    wait_until(lambda: origin.connections[0].ended, 5, "retired before the server's timeout")
    assert 0.9 < time.monotonic() - began < 1.9 * PATIENCE
    assert proxy.closed() == {"idle_timeout": 1}


@pytest.mark.parametrize("where", ["top", "service", "idle_timeout"])
def test_pooling_off(weir, origin, connect, where):
    off = {"top": {"upstream_keepalive_pool_size": 0},
           "service": {"service": {"upstream_keepalive_pool_size": 0}},
           "idle_timeout": {"upstream": {"idle_timeout": "0"}}}[where]
    proxy = weir(one_upstream(origin.address, **off))
    client = connect(proxy)
    assert [client.get().connection for _ in range(3)] == [1, 2, 3]
    wait_equal(proxy.not_kept, {"pooling_off": 3})
    wait_until(lambda: all(c.ended for c in origin.connections), 5, "every connection closed")


@pytest.mark.parametrize("limit", [1, 3])
def test_max_requests_per_connection(weir, origin, connect, limit):
    """Jitter of a tenth does not show on numbers this small."""
    proxy = weir(one_upstream(origin.address, upstream={"max_requests_per_connection": limit}))
    client = connect(proxy)
    assert [client.get().connection for _ in range(6)] == [1 + at // limit for at in range(6)]
    wait_equal(proxy.not_kept, {"max_requests": 6 // limit})


def test_max_connection_age_does_not_cut_a_request(weir, origin, gated, connect):
    """The connection is retired when its response has been read, whole."""
    proxy = weir(one_upstream(origin.address, upstream={"max_connection_age": "100ms"}))
    client = connect(proxy)
    client.send(request(target="/hold"))
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 0.2)
    gated.set()
    assert client.receive().body == b"GET /hold\n"
    assert client.get().connection == 2
    assert proxy.not_kept() == proxy.closed() == {"max_age": 1}


def test_max_connection_age_ends_an_idle_connection(weir, origin, connect):
    """Long before idle_timeout, and without a request that would see it."""
    proxy = weir(one_upstream(origin.address, upstream={"max_connection_age": "300ms"}))
    connect(proxy).get()
    began = time.monotonic()
    wait_until(lambda: origin.connections[0].ended)
    assert 0.2 < time.monotonic() - began < 2 * PATIENCE
    assert (proxy.closed(), proxy.not_kept()) == ({"max_age": 1}, {})
    assert connect(proxy).get().connection == 2


def test_use_does_not_prolong_max_connection_age(weir, origin, connect):
    proxy = weir(one_upstream(origin.address, upstream={"max_connection_age": "200ms"}))
    client = connect(proxy)
    began = time.monotonic()
    while client.get().connection == 1:
        assert time.monotonic() - began < 2 * PATIENCE
    assert time.monotonic() - began > 0.17
    wait_equal(proxy.closed, {"max_age": 1})


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_server_that_closes_sooner_than_weir_would(weir, origins, connect, tmp_path, family):
    """h2o's case of disconnected keepalive: at once, after the server's close, and once more."""
    origin = origins(f"unix:{tmp_path}/origin" if family == "unix" else "127.0.0.1:0")
    close = {number: threading.Event() for number in (1, 2, 3)}

    def respond(exchange):
        exchange.respond()
        if exchange.ordinal == 2:
            exchange.hold(close[exchange.connection.number])
            exchange.fin()

    origin.default = respond
    proxy = weir(one_upstream(origin.address))
    for number in close:
        for ordinal in (1, 2):
            response = connect(proxy).request("POST", body=b"hello")
            assert (response.status, response.connection, response.ordinal) == (
                200, number, ordinal)
        close[number].set()
        wait_equal(proxy.closed, {"peer_closed": number})
    assert proxy.metric("weir_retries_total") == 0


def open_together(origin, proxy, connect, count):
    """Hold so many requests at once on connections 1..count; a function that ends one of them."""
    go = [threading.Event() for _ in range(count)]
    origin.paths["/hold"] = lambda exchange: (
        exchange.hold(go[exchange.connection.number - 1]), exchange.respond())
    clients = [connect(proxy) for _ in range(count)]
    for at, client in enumerate(clients):
        client.send(request(target="/hold"))
        wait_until(lambda at=at: len(origin.exchanges) == at + 1)

    def finish(number):
        go[number - 1].set()
        assert clients[number - 1].receive().connection == number
        proxy.wait_metric(count - sum(e.is_set() for e in go), "weir_pool_in_use_connections")

    return finish


def test_pool_size_evicts_the_longest_released(weir, origin, connect):
    proxy = weir(one_upstream(origin.address, upstream_keepalive_pool_size=2))
    finish = open_together(origin, proxy, connect, 4)
    for number in (3, 1, 4, 2):
        finish(number)
    proxy.wait_idle(2)
    wait_until(lambda: origin.connections[2].ended and origin.connections[0].ended)
    assert [bool(c.ended) for c in origin.connections] == [True, False, True, False]
    assert proxy.closed() == {"evicted": 2}


def test_pool_size_counts_all_upstreams_of_a_service(weir, origins, connect):
    one, two = origins(), origins()
    routes = [{"path": "/one", "upstream": "one"}, {"upstream": "two"}]
    proxy = weir(one_upstream(service={"routes": routes, "upstream_keepalive_pool_size": 1,
                                       "upstreams": {"one": one.url, "two": two.url}}))
    client = connect(proxy)
    client.get("/one"), client.get("/two")
    wait_until(lambda: one.connections[0].ended, 5, "the other upstream's connection evicted")
    proxy.wait_idle(1)
    assert client.get("/two").ordinal == 2


def test_last_released_is_reused_first(weir, origin, connect):
    proxy = weir(one_upstream(origin.address))
    finish = open_together(origin, proxy, connect, 3)
    for number in (2, 3, 1):
        finish(number)
    client = connect(proxy)
    assert [client.get().connection for _ in range(3)] == [1, 1, 1]
