# SPDX-License-Identifier: MIT
"""max_connections and its queue: first come, first served, over all workers; nobody is lost."""

import time

import pytest

from crowd import check_books, limited, waiting
from waiting import wait_until
from weir import one_upstream

every_count_of_workers = pytest.mark.parametrize("threads", [1, 4])


@every_count_of_workers
def test_never_more_connections_than_allowed(weir, origin, crowd, threads):
    most = 0

    def slow(exchange):
        nonlocal most
        most = max(most, sum(1 for c in origin.connections if not c.ended))
        time.sleep(0.002)  # a slow server, not a wait of the test
        exchange.respond()
    origin.paths["/slow"] = slow
    proxy = weir(limited(origin, threads))
    clients = crowd(proxy)
    for _ in range(200):
        clients.come("/slow")
    assert [client.receive().status for client in clients.clients] == [200] * 200
    assert most <= 4 and len(origin.connections) <= 4
    check_books(proxy)
    waits = {r: proxy.metric("weir_pool_waits_total", result=r)
             for r in ("handed", "taken_over", "dialled")}
    assert waits["dialled"] == 4 and waits["handed"] + waits["taken_over"] > 0


@every_count_of_workers
def test_first_come_first_served_over_all_workers(weir, origin, gated, crowd, threads):
    proxy = weir(limited(origin, threads, maximum=1))
    clients = crowd(proxy)
    clients.come()
    wait_until(lambda: origin.targets == ["/hold"])
    for i in range(20):
        clients.come(f"/{i}")
        wait_until(lambda: waiting(proxy) == i + 1)
    gated.set()
    assert [client.receive().status for client in clients.clients] == [200] * 21
    assert origin.targets == ["/hold"] + [f"/{i}" for i in range(20)]
    assert len(origin.connections) == 1
    check_books(proxy)


@every_count_of_workers
def test_who_waits_too_long_is_told(weir, origin, gated, crowd, threads):
    proxy = weir(limited(origin, threads, maximum=1, timeout="100ms"))
    clients = crowd(proxy)
    first = clients.come()
    wait_until(lambda: origin.targets == ["/hold"])
    late = [clients.come("/late") for _ in range(5)]
    for client in late:
        response = client.receive()
        assert (response.status, response.error) == (503, "connection_limit_reached")
    assert proxy.metric("weir_pool_waits_total", result="timeout") == 5
    lines = [line for line in proxy.logged(5) if line["path"] == "/late"]
    assert [line["error"] for line in lines] == ["queue_timeout"] * 5
    gated.set()
    assert first.receive().status == 200
    assert origin.targets == ["/hold"]
    check_books(proxy)


@every_count_of_workers
def test_a_full_queue_is_told_at_once(weir, origin, gated, crowd, threads):
    proxy = weir(limited(origin, threads, maximum=1, size=2))
    clients = crowd(proxy)
    clients.come()
    wait_until(lambda: origin.targets == ["/hold"])
    for i in range(2):
        clients.come("/queued")
        wait_until(lambda: waiting(proxy) == i + 1)
    response = clients.come("/full").receive()
    assert (response.status, response.error) == (503, "connection_limit_reached")
    assert proxy.metric("weir_pool_waits_total", result="full") == 1
    gated.set()
    assert [client.receive().status for client in clients.clients[:3]] == [200] * 3
    check_books(proxy)


@every_count_of_workers
def test_who_goes_away_while_waiting_changes_nothing_for_the_others(
        weir, origin, gated, crowd, threads):
    proxy = weir(limited(origin, threads, maximum=1))
    clients = crowd(proxy)
    clients.come()
    wait_until(lambda: origin.targets == ["/hold"])
    for i in range(30):
        clients.come(f"/{i}")
        wait_until(lambda: waiting(proxy) == i + 1)
    for client in clients.clients[1::2]:
        client.close()
    wait_until(lambda: waiting(proxy) == 15)
    gated.set()
    assert [client.receive().status for client in clients.clients[::2]] == [200] * 16
    assert origin.targets == ["/hold"] + [f"/{i}" for i in range(1, 30, 2)]
    assert proxy.metric("weir_pool_waits_total", result="canceled") == 15
    check_books(proxy)


@every_count_of_workers
def test_a_connection_that_ends_makes_room_for_the_next(weir, origin, gated, crowd, threads):
    """A server that closes after each response: everybody is served, one after the other."""
    origin.default = lambda exchange: (exchange.respond(fields=["Connection: close"]),
                                       exchange.fin())
    proxy = weir(limited(origin, threads, maximum=2))
    clients = crowd(proxy)
    for i in range(40):
        clients.come(f"/{i}")
    assert [client.receive().status for client in clients.clients] == [200] * 40
    assert len(origin.connections) == 40
    check_books(proxy)


def test_connections_under_another_key_make_room(weir, origin, connect):
    """Two upstreams with one server, and keys of their own: the limit is the server's."""
    config = limited(origin, 2, maximum=1)
    service = config["services"][0]
    service["upstreams"]["other"] = {**service["upstreams"]["web"], "group_key": 1}
    service["routes"].insert(0, {"path": "/other", "upstream": "other"})
    proxy = weir(config)
    for target in ("/", "/other", "/", "/other"):
        assert connect(proxy).get(target).status == 200
        wait_until(lambda: proxy.metric("weir_pool_in_use_connections") == 0)
        assert proxy.metric("weir_pool_idle_connections") == 1
    assert len(origin.connections) == 4


def test_a_burst_does_not_become_a_storm_of_dials(weir, origin, gated, crowd):
    """max_dials bounds what is dialled at once, and nobody is refused for it."""
    proxy = weir(one_upstream(origin.address, threads=2, upstream={"max_dials": 3}))
    clients = crowd(proxy)
    for _ in range(60):
        clients.come("/")
    assert [client.receive().status for client in clients.clients] == [200] * 60
    check_books(proxy)


def test_connections_are_kept_ready(weir, origin, connect):
    """min_idle: dialled before the first request, and again when they were used up."""
    proxy = weir(one_upstream(origin.address, threads=2, upstream={"min_idle": 3}))
    proxy.wait_metric(3, "weir_pool_idle_connections")
    assert proxy.metric("weir_upstream_connections_opened_total") == 3
    response = connect(proxy).get()
    assert (response.status, response.ordinal) == (200, 1)
    assert proxy.logged(1)[0]["connection"] in ("reused", "taken_over")
    origin.at[response.connection, 2] = lambda exchange: exchange.reset()
    proxy.wait_metric(3, "weir_pool_idle_connections")
    assert proxy.metric("weir_upstream_connect_errors_total") == 0


def test_connections_kept_ready_respect_the_limit(weir, origin):
    proxy = weir(limited(origin, 2, maximum=2, min_idle=5))
    proxy.wait_metric(2, "weir_pool_idle_connections")
    assert proxy.metric("weir_upstream_connections_opened_total") == 2
