# SPDX-License-Identifier: MIT
"""Which of several servers gets a request."""

import collections
import threading

import pytest

from client import Client, request
from waiting import wait_until
from weir import one_upstream


@pytest.fixture
def three(origins):
    return [origins() for _ in range(3)]


def start(weir, origins, **upstream):
    return weir(one_upstream(*(origin.address for origin in origins), upstream=upstream))


def test_least_connections_avoids_the_busy_server(weir, three, connect):
    go = threading.Event()
    for origin in three:
        origin.paths["/hold"] = lambda exchange: (exchange.hold(go), exchange.respond())
    proxy = start(weir, three, balance="least_connections")
    held = []
    for i in range(6):
        held.append(connect(proxy))
        held[-1].send(request(target="/hold"))
        wait_until(lambda: sum(len(origin.exchanges) for origin in three) == i + 1)
    assert [len(origin.exchanges) for origin in three] == [2, 2, 2]
    go.set()
    for client in held:
        assert client.receive().status == 200


def test_least_connections_goes_by_weight(weir, three, connect):
    go = threading.Event()
    for origin in three:
        origin.paths["/hold"] = lambda exchange: (exchange.hold(go), exchange.respond())
    servers = [{"address": three[0].address, "weight": 4}, three[1].address, three[2].address]
    proxy = weir(one_upstream(*servers, upstream={"balance": "least_connections"}))
    held = []
    for i in range(12):
        held.append(connect(proxy))
        held[-1].send(request(target="/hold"))
        wait_until(lambda: sum(len(origin.exchanges) for origin in three) == i + 1)
    assert [len(origin.exchanges) for origin in three] == [8, 2, 2]
    go.set()
    for client in held:
        assert client.receive().status == 200


def test_random_reaches_every_server(weir, three, connect):
    proxy = start(weir, three, balance="random")
    client = connect(proxy)
    for _ in range(150):
        assert client.get().status == 200
    assert all(len(origin.exchanges) > 15 for origin in three)


def test_a_consistent_hash_keeps_to_its_server(weir, three, connect):
    proxy = start(weir, three, balance="consistent_hash")
    client = connect(proxy)
    for _ in range(3):
        for i in range(30):
            assert client.get(f"/{i}").status == 200
    places = collections.defaultdict(set)
    for number, origin in enumerate(three):
        for target in origin.targets:
            places[target].add(number)
    assert all(len(numbers) == 1 for numbers in places.values())
    assert all(origin.exchanges for origin in three)


def test_a_consistent_hash_goes_on_at_the_next_server(weir, three, connect):
    """Only what the dead server had moves."""
    proxy = start(weir, three, balance="consistent_hash", fail_timeout="60s")
    client = connect(proxy)
    for i in range(30):
        assert client.get(f"/{i}").status == 200
    first = {target: number for number, origin in enumerate(three) for target in origin.targets}
    three[0].close()
    for i in range(30):
        assert client.get(f"/{i}").status == 200
    for number in (1, 2):
        for target in three[number].targets:
            assert first[target] in (0, number)


def test_hash_on_the_client(weir, three, connect):
    proxy = start(weir, three, balance="consistent_hash", hash_on="client")
    client = connect(proxy)
    for i in range(20):
        assert client.get(f"/{i}").status == 200
    assert sorted(len(origin.exchanges) for origin in three) == [0, 0, 20]


def test_the_budget_bounds_tries_on_other_servers(weir, origin):
    """Of two servers one is gone: with no budget its requests fail, with one they are saved."""
    import sockets
    nobody = sockets.free_address()
    for budget, expected in (("0%", 502), ("20%", 200)):
        proxy = weir(one_upstream(nobody, origin.address,
                                  upstream={"retry": {"budget": budget}, "fail_timeout": "60s"}))
        client = Client(proxy)
        assert client.get().status == expected
        client.close()
