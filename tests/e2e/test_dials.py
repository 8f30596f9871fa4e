# SPDX-License-Identifier: MIT
"""Dials that take long: how many there are at once, who waits for them, and what becomes of them.

A door that the origin closes holds a dial up for as long as the test wants; a black hole, for ever.
"""

import time

import pytest

import sockets
from client import request
from crowd import check_books, dialling, limited, waiting, waits
from waiting import PATIENCE, wait_equal, wait_until
from weir import one_upstream

both_counts_of_workers = pytest.mark.parametrize("threads", [1, 2])


@pytest.fixture
def hole():
    made = sockets.BlackHole()
    yield made
    made.close()


# --- How many at once ---


@both_counts_of_workers
def test_no_more_are_dialled_at_once_than_allowed(weir, hole, crowd, threads):
    """All of them time out, so that they go three by three."""
    proxy = weir(one_upstream(hole.address, threads=threads, upstream={
        "max_dials": 3, "connection_timeout": f"{250 * PATIENCE:.0f}ms",
        "total_connection_timeout": "60s"}))
    clients = crowd(proxy)
    began = time.monotonic()
    for _ in range(9):
        clients.come()
    seen = set()

    def all_failed():
        seen.add((dialling(proxy), waiting(proxy)))
        return proxy.metric("weir_upstream_connect_errors_total") == 9

    wait_until(all_failed)
    assert time.monotonic() - began > 0.7 * PATIENCE
    assert max(dials for dials, _ in seen) == 3
    assert max(waiting for _, waiting in seen) == 6
    for client in clients.clients:
        response = client.receive()
        assert (response.status, response.error) == (504, "connection_timeout")
    assert (dialling(proxy), waits(proxy)) == (0, {"failed": 9})
    check_books(proxy)


@pytest.mark.parametrize("threads, limit", [(1, 0), (2, 100)], ids=["no_limit", "far_limit"])
def test_who_waits_for_a_dial_alone_is_not_refused(weir, origin, crowd, threads, limit):
    """There is no queue where max_connections is not reached: neither its size nor its time counts.
    """
    proxy = weir(limited(origin, threads, limit, size=0, timeout="100ms", max_dials=1))
    origin.close_door()
    clients = crowd(proxy)
    for _ in range(5):
        clients.come()
    wait_equal(lambda: (dialling(proxy), waiting(proxy)), (1, 4))
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 0.3)
    assert (dialling(proxy), waiting(proxy)) == (1, 4)
    origin.open_door()
    assert [client.receive().status for client in clients.clients] == [200] * 5
    check_books(proxy)


def test_who_waits_for_a_dial_waits_for_the_time_to_connect(weir, hole, crowd):
    proxy = weir(one_upstream(hole.address, upstream={
        "max_dials": 1, "connection_timeout": "20s", "total_connection_timeout": "200ms"}))
    clients = crowd(proxy)
    for _ in range(3):
        clients.come()
    for client in clients.clients:
        response = client.receive()
        assert (response.status, response.error) == (504, "connection_timeout")
    assert waits(proxy) == {"timeout": 3}
    assert (dialling(proxy), waiting(proxy)) == (1, 0), "the dial goes on for whoever comes next"


# --- A freed connection and a dial, whichever comes first ---


def test_a_freed_connection_is_taken_and_the_dialled_one_kept(weir, origin, gated, connect):
    proxy = weir(one_upstream(origin.address))
    first, second = connect(proxy), connect(proxy)
    first.send(request(target="/hold"))
    wait_until(lambda: origin.targets == ["/hold"])
    origin.close_door()
    second.send(request("POST", "/second", body=b"hello"))
    wait_equal(lambda: dialling(proxy), 1)
    gated.set()
    held, freed = first.receive(), second.receive()
    assert (freed.connection, freed.ordinal) == (held.connection, 2)
    assert (dialling(proxy), waits(proxy)["handed"]) == (1, 1)
    origin.open_door()
    proxy.wait_idle(2)
    assert (dialling(proxy), len(origin.connections)) == (0, 2)
    assert proxy.metric("weir_pool_misses_total") == 2
    line = proxy.logged(2)[1]
    assert (line["path"], line["connection"], line["attempts"]) == ("/second", "reused", 1)


def test_a_dial_that_is_first_leaves_the_busy_connection_alone(weir, origin, gated, connect):
    proxy = weir(one_upstream(origin.address))
    first, second = connect(proxy), connect(proxy)
    first.send(request(target="/hold"))
    wait_until(lambda: origin.targets == ["/hold"])
    assert (second.get().connection, second.get().ordinal) == (2, 2)
    gated.set()
    assert first.receive().connection == 1
    proxy.wait_idle(2)
    assert waits(proxy) == {"dialled": 2}


def test_a_dial_goes_to_who_waits_when_its_client_has_gone(weir, origin, crowd):
    proxy = weir(limited(origin, 2, maximum=1))
    origin.close_door()
    clients = crowd(proxy)
    clients.come("/gone")
    wait_equal(lambda: dialling(proxy), 1)
    for number in (1, 2):
        clients.come(f"/{number}")
        wait_equal(lambda: waiting(proxy), number)
    clients.clients[0].reset()
    wait_until(lambda: waits(proxy) == {"canceled": 1})
    origin.open_door()
    assert [client.receive().connection for client in clients.clients[1:]] == [1, 1]
    assert origin.targets == ["/1", "/2"]
    assert proxy.metric("weir_upstream_connections_opened_total") == 1
    check_books(proxy)


def test_a_dial_goes_to_the_pool_when_its_client_has_gone(weir, origin, connect):
    proxy = weir(one_upstream(origin.address))
    origin.close_door()
    client = connect(proxy)
    client.send(request())
    wait_equal(lambda: dialling(proxy), 1)
    client.reset()
    wait_until(lambda: waits(proxy) == {"canceled": 1})
    origin.open_door()
    proxy.wait_idle(1)
    response = connect(proxy).get()
    assert (response.connection, response.ordinal) == (1, 1)
    assert proxy.logged(2)[1]["connection"] == "reused"
    assert len(origin.exchanges) == 1


def test_stopping_does_not_wait_for_a_dial(weir, hole, connect):
    proxy = weir(one_upstream(hole.address, grace_period_seconds=0, upstream={
        "connection_timeout": "60s", "total_connection_timeout": "60s"}))
    connect(proxy).send(request())
    wait_equal(lambda: dialling(proxy), 1)
    proxy.stop()
