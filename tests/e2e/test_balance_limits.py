# SPDX-License-Identifier: MIT
"""max_connections with each way of balancing: after nginx's upstream_max_conns.t.

The limit is each server's. Nobody is sent to a full server while another one has room; when all are
full he waits in the queue of one, and if that is full as well, the next server gets him.
"""

import threading

import pytest

import sockets
from crowd import check_books, waiting, waits
from waiting import wait_equal, wait_until
from weir import one_upstream

every_balance = pytest.mark.parametrize(
    "balance", ["round_robin", "least_connections", "random", "consistent_hash"])


@pytest.fixture
def two(origins):
    """Two servers that answer /hold... when the event is set."""
    go = threading.Event()
    made = [origins(), origins()]
    for origin in made:
        origin.default = lambda exchange: (exchange.hold(go), exchange.respond())
    yield made, go
    go.set()


def limited(servers, maximum, size=1024, **upstream):
    return one_upstream(*servers, threads=2, upstream={
        "max_connections": maximum, "queue": {"size": size, "timeout": "20s"}, **upstream})


def addresses(origins):
    return [origin.address for origin in origins]


def held(origins):
    return [len(origin.exchanges) for origin in origins]


@every_balance
def test_the_limit_is_each_servers(weir, two, crowd, balance):
    """Sixteen at once, two connections to each server: the others wait, and all are served."""
    origins, go = two
    proxy = weir(limited(addresses(origins), 2, balance=balance))
    clients = crowd(proxy)
    for number in range(16):
        clients.come(f"/{number}")
    wait_equal(lambda: sum(held(origins)) + waiting(proxy), 16)
    assert all(count <= 2 for count in held(origins))
    go.set()
    assert [client.receive().status for client in clients.clients] == [200] * 16
    assert all(len(origin.connections) <= 2 for origin in origins)
    assert sum(held(origins)) == 16
    check_books(proxy)


@every_balance
def test_without_a_queue_a_full_server_leaves_it_to_the_next(weir, two, crowd, balance):
    """Each server gets what it may have and not more, though a hash always finds the same."""
    origins, go = two
    proxy = weir(limited(addresses(origins), 1, size=0, balance=balance, retry={"budget": "100%"}))
    clients = crowd(proxy)
    for number in (1, 2):
        clients.come("/same")
        wait_until(lambda: sum(held(origins)) == number)
    assert held(origins) == [1, 1]
    response = clients.come("/same").receive()
    assert (response.status, response.error) == (503, "connection_limit_reached")
    go.set()
    assert [client.receive().status for client in clients.clients[:2]] == [200, 200]
    check_books(proxy)


@every_balance
def test_what_is_passed_on_from_a_dead_server_is_counted(weir, two, crowd, balance):
    """proxy_next_upstream's case: the limit holds for those that came the long way, too."""
    origins, go = two
    servers = [sockets.free_address(), origins[0].address]
    proxy = weir(limited(servers, 2, balance=balance, fail_timeout="60s",
                         retry={"budget": "100%"}))
    clients = crowd(proxy)
    for number in range(10):
        clients.come(f"/{number}")
    wait_equal(lambda: len(origins[0].exchanges) + waiting(proxy), 10)
    assert len(origins[0].exchanges) == 2
    go.set()
    assert [client.receive().status for client in clients.clients] == [200] * 10
    assert len(origins[0].connections) == 2
    check_books(proxy)


@every_balance
def test_nobody_waits_while_another_server_has_room(weir, two, crowd, balance):
    """Not even where a hash would have it so."""
    origins, go = two
    proxy = weir(limited(addresses(origins), 2, balance=balance))
    clients = crowd(proxy)
    for number in range(4):
        clients.come("/same")
        wait_until(lambda number=number: sum(held(origins)) == number + 1)
    assert held(origins) == [2, 2]
    go.set()
    assert [client.receive().status for client in clients.clients] == [200] * 4
    assert waits(proxy) == {"dialled": 4}


def test_each_goes_on_at_the_other_server(weir, origin, crowd):
    """Tries that overlap: whom a request tried is its own affair."""
    hole = sockets.BlackHole()
    proxy = weir(one_upstream(hole.address, origin.address, upstream={
        "fail_timeout": "0", "connection_timeout": "200ms", "retry": {"budget": "100%"}}))
    clients = crowd(proxy)
    for number in range(8):
        clients.come(f"/{number}")
    assert [client.receive().status for client in clients.clients] == [200] * 8
    hole.close()
