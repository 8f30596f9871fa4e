# SPDX-License-Identifier: MIT
"""Two workers: connections are spread evenly over them even when there are few."""

import collections
import signal
import threading

import pytest

from client import request
from waiting import wait_until
from weir import one_upstream


@pytest.fixture
def spread(weir, origin, connect):
    """Hold a request on each of so many clients at once; upstream connections of each worker."""
    def hold(count, opened_before=0):
        go = threading.Event()
        origin.paths["/hold"] = lambda exchange: (exchange.hold(go), exchange.respond())
        proxy = weir(one_upstream(origin.address, threads=2))
        for _ in range(opened_before):
            client = connect(proxy)
            client.get()
            client.close()
        proxy.wait_metric(0, "weir_downstream_connections")
        clients = [connect(proxy) for _ in range(count)]
        for client in clients:
            client.send(request(target="/hold"))
        wait_until(lambda: origin.targets.count("/hold") == count)
        go.set()
        for client in clients:
            assert client.receive().status == 200
        proxy.wait_idle(count if not opened_before else len(origin.connections))
        peer = proxy.pools()["services"][0]["peers"][0]
        return collections.Counter(c["worker"] for c in peer["connections"])
    return hold


@pytest.mark.parametrize("count", [2, 4, 8, 32])
def test_connections_are_spread_evenly(spread, count):
    assert spread(count) == {0: count // 2, 1: count // 2}


def test_connections_are_spread_evenly_after_others_have_come_and_gone(spread):
    workers = spread(8, opened_before=5)
    assert all(count >= 4 for count in workers.values()) and len(workers) == 2


def test_connection_ids_are_unique_over_workers(weir, origin, connect):
    proxy = weir(one_upstream(origin.address, threads=2))
    clients = [connect(proxy) for _ in range(8)]
    for client in clients:
        client.get()
    lines = proxy.logged(8)
    for line in lines:
        assert line["connection"] in ("new", "reused", "taken_over")
    opened = proxy.metric("weir_upstream_connections_opened_total")
    assert len({line["connection_id"] for line in lines}) == opened == len(origin.connections)


def test_pool_size_is_for_all_workers_together(weir, origin, connect):
    go = threading.Event()
    origin.paths["/hold"] = lambda exchange: (exchange.hold(go), exchange.respond())
    proxy = weir(one_upstream(origin.address, threads=2, upstream_keepalive_pool_size=4))
    clients = [connect(proxy) for _ in range(16)]
    for client in clients:
        client.send(request(target="/hold"))
    wait_until(lambda: len(origin.exchanges) == 16)
    go.set()
    for client in clients:
        client.receive()
    proxy.wait_metric(0, "weir_pool_in_use_connections")
    assert proxy.metric("weir_pool_idle_connections") <= 4


def test_stop_with_two_workers_lets_both_finish(weir, origin, connect):
    go = threading.Event()
    origin.paths["/hold"] = lambda exchange: (exchange.hold(go), exchange.respond())
    proxy = weir(one_upstream(origin.address, threads=2, grace_period_seconds=20))
    clients = [connect(proxy) for _ in range(6)]
    for client in clients:
        client.send(request(target="/hold"))
    wait_until(lambda: len(origin.exchanges) == 6)
    proxy.signal(signal.SIGTERM)
    go.set()
    assert [client.receive().status for client in clients] == [200] * 6
    assert proxy.wait(5) == 0
