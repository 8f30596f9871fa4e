# SPDX-License-Identifier: MIT
"""One pool over all workers: what one released another may use, and the total holds."""

import threading

import pytest

from client import Client, request
from waiting import wait_until
from weir import one_upstream


def sources(proxy):
    name = "weir_upstream_requests_total"
    return {c: proxy.metric(name, connection=c) for c in ("new", "reused", "taken_over")}


def get_alone(proxy, target="/"):
    client = Client(proxy)
    try:
        return client.get(target)
    finally:
        client.close()


def test_one_upstream_connection_serves_all_workers(weir, origin):
    proxy = weir(one_upstream(origin.address, threads=4))
    for _ in range(300):
        assert get_alone(proxy).status == 200
    # Connections that are open at the same time are at different workers.
    clients = [Client(proxy) for _ in range(4)]
    for _ in range(5):
        assert [client.get().status for client in clients] == [200] * 4
    for client in clients:
        client.close()
    more = proxy.dialled_besides(320)
    assert len(origin.connections) <= 1 + more
    counted = sources(proxy)
    assert 1 <= counted["new"] <= 1 + more and sum(counted.values()) == 320
    assert counted["taken_over"] > 0, "the requests came to several workers"
    given = proxy.metric("weir_pool_takeovers_total", result="given")
    assert given <= counted["taken_over"] <= given + more
    lines = proxy.log()
    assert len({line["connection_id"] for line in lines}) <= 1 + more
    misses = {"new": "empty", "taken_over": "elsewhere", "reused": None}
    for line in lines:
        assert more or line["miss"] == misses[line["connection"]]


def test_a_taken_over_connection_that_breaks_is_replayed_or_refused(weir, origin):
    """The rules of replay do not depend on whose connection it was."""
    proxy = weir(one_upstream(origin.address, threads=4))
    origin.paths["/die"] = lambda exchange: (
        exchange.body(), exchange.fin() if exchange.ordinal > 1 else exchange.respond())
    for method, fields, status in (("POST", (), 502), ("POST", ("Idempotency-Key: 1",), 200),
                                   ("GET", (), 200)):
        for _ in range(4):
            assert get_alone(proxy).status == 200
        before = len(origin.exchanges)
        client = Client(proxy)
        client.send(request(method, "/die", fields, b"x" if method == "POST" else None))
        response = client.receive()
        client.close()
        assert response.status == status
        times = origin.targets[before:].count("/die")
        assert times == (1 if status == 502 else 2)


def test_connections_of_a_pool_without_places_are_closed(weir, origin):
    proxy = weir(one_upstream(origin.address, threads=2, upstream_keepalive_pool_size=0))
    for _ in range(4):
        assert get_alone(proxy).status == 200
    assert len(origin.connections) == 4
    assert proxy.metric("weir_pool_misses_total", reason="pooling_off") == 4


@pytest.fixture
def many_origins(origins):
    return [origins() for _ in range(50)]


def test_the_pools_size_holds_over_all_workers_and_servers(weir, many_origins):
    """At no moment are there more idle connections; the one released longest ago goes."""
    config = one_upstream(*(origin.address for origin in many_origins), threads=4,
                          upstream_keepalive_pool_size=8)
    proxy = weir(config)
    most, done = 0, threading.Event()

    def load():
        for _ in range(100):
            assert get_alone(proxy).status == 200
        done.set()

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    while not done.is_set():
        most = max(most, proxy.metric("weir_pool_idle_connections"))
    for thread in threads:
        thread.join()
    assert 0 < most <= 8
    wait_until(lambda: proxy.metric("weir_pool_in_use_connections") == 0)
    peers = proxy.pools()["services"][0]["peers"]
    idle = [c for peer in peers for c in peer["connections"]]
    assert len(idle) == 8
    assert proxy.metric("weir_upstream_connections_closed_total", reason="evicted") > 0


def test_what_was_released_longest_ago_goes_wherever_it_rests(weir, many_origins):
    """One request at a time over 12 servers in turn: the last 8 are those that are left."""
    config = one_upstream(*(origin.address for origin in many_origins[:12]), threads=4,
                          upstream_keepalive_pool_size=8)
    config["services"][0]["upstreams"] = {
        f"u{i}": {"servers": [origin.address]} for i, origin in enumerate(many_origins[:12])}
    config["services"][0]["routes"] = [{"path": f"/{i}/", "upstream": f"u{i}"} for i in range(12)]
    proxy = weir(config)
    for i in range(12):
        assert get_alone(proxy, f"/{i}/").status == 200
        wait_until(lambda: proxy.metric("weir_pool_in_use_connections") == 0)
    peers = proxy.pools()["services"][0]["peers"]
    left = {peer["upstream"] for peer in peers if peer["idle"]}
    assert left == {f"u{i}" for i in range(4, 12)}
