# SPDX-License-Identifier: MIT
"""How many streams a connection to a server carries at once, and how many connections there are."""

import contextlib
import random
import threading

import pytest

from client import Client
from crowd import waiting, waits
from h2_origin import Gone
from h2_upstream import (Holding, accepted, check_quiet, connections, get_alone, opened, over_h2,
                         streams_now)
from waiting import wait_equal, wait_until


@pytest.fixture
def holding(weir, h2_origin, crowd):
    """weir before h2_origin, which holds /hold: holding(h2={"max_streams": 2})."""
    def start(origin=h2_origin, **options):
        proxy = weir(over_h2(origin.address, **options))
        return proxy, Holding(origin, crowd, proxy)
    return start


def carried(origin):
    """How many streams each connection has had."""
    return [len(connection.streams) for connection in origin.connections]


# --- One dial, and its streams ---


def test_requests_that_come_together_share_one_dial(holding, h2_origin):
    proxy, held = holding()
    held.come(100, together=True)
    assert carried(h2_origin) == [100] and opened(proxy) == 1
    assert streams_now(proxy) == 100
    assert waits(proxy)["shared"] == 99
    held.finish()
    proxy.wait_idle(1)
    assert opened(proxy) == 1


def test_they_share_it_although_the_server_takes_its_time(weir, h2_origin, crowd):
    """None of them dials by itself while the first one's SETTINGS are on their way."""
    h2_origin.close_door()
    proxy = weir(over_h2(h2_origin.address))
    held = Holding(h2_origin, crowd, proxy)
    for _ in range(20):
        held.clients.come()
    wait_equal(lambda: (proxy.metric("weir_downstream_connections"),
                        proxy.metric("weir_pool_dialling_connections")), (20, 1))
    h2_origin.open_door()
    accepted(h2_origin, 20)
    assert carried(h2_origin) == [20]
    held.finish()


def test_later_ones_join_a_connection_in_use(holding, h2_origin):
    proxy, held = holding()
    for count in range(1, 31):
        held.come(1)
        assert streams_now(proxy) == count
    assert carried(h2_origin) == [30]
    held.finish()
    check_quiet(proxy)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_each_worker_opens_what_its_streams_need_and_no_more(holding, h2_origin, threads):
    proxy, held = holding(threads=threads, h2={"max_streams": 10})
    held.come(60, together=True)
    assert all(count <= 10 for count in carried(h2_origin))
    by_worker = {}
    for connection in connections(proxy):
        by_worker.setdefault(connection["worker"], []).append(connection["streams"])
    assert sum(sum(streams) for streams in by_worker.values()) == 60
    for streams in by_worker.values():
        assert len(streams) == -(-sum(streams) // 10)
    held.finish()
    check_quiet(proxy)


def test_each_client_gets_its_own_answer(weir, h2_origin, crowd):
    """Sixty at once, answered in an order of chance, large bodies among them."""
    order = random.Random(5).sample(range(60), 60)
    turns = [threading.Event() for _ in range(60)]

    def behave(stream):
        number = int(stream.target[1:])
        stream.hold(turns[number])
        stream.respond(stream.body() * (1000 if number % 5 == 0 else 1))

    h2_origin.default = behave
    clients = crowd(weir(over_h2(h2_origin.address)))
    for number in range(60):
        clients.come(f"/{number}", "POST", b"this is %d;" % number)
    accepted(h2_origin, 60)
    for number in order:
        turns[number].set()
    for number in order:
        response = clients.clients[number].receive()
        assert response.body == b"this is %d;" % number * (1000 if number % 5 == 0 else 1)
    assert len(h2_origin.connections) == 1


# --- How many at once ---


@pytest.mark.parametrize("ours, theirs", [(3, 100), (100, 3), (5, 3), (3, 5), (1, 100)])
def test_streams_are_the_lesser_of_our_limit_and_the_servers(holding, h2_origins, ours, theirs):
    """python3-h2 complains of streams beyond what was announced; see the fixture's end."""
    origin = h2_origins(settings={"MAX_CONCURRENT_STREAMS": theirs})
    proxy, held = holding(origin, h2={"max_streams": ours})
    limit = min(ours, theirs)
    held.come(3 * limit + 1, together=True)
    streams = carried(origin)
    assert (len(streams), sum(streams), max(streams)) == (4, 3 * limit + 1, limit)
    assert streams_now(proxy) == 3 * limit + 1
    held.finish()
    check_quiet(proxy)
    assert opened(proxy) == 4


def test_a_place_that_became_free_is_used_again(holding, h2_origin, connect):
    proxy, held = holding(h2={"max_streams": 2})
    held.come(1)
    client = connect(proxy)
    for _ in range(20):
        assert client.get().connection == 1
    held.come(1)
    assert connect(proxy).get().connection == 2
    held.finish()


def test_limit_that_falls_and_rises_while_streams_run(holding, h2_origin, connect):
    """100, 1, 0, 100: what runs goes on, and nothing new comes beyond the limit."""
    proxy, held = holding()
    held.come(10)
    (first,) = h2_origin.connections
    first.announce(MAX_CONCURRENT_STREAMS=1)
    assert connect(proxy).get().connection == 2
    first.announce(MAX_CONCURRENT_STREAMS=0)
    held.finish()
    wait_until(lambda: first.open_streams == 0)
    client = connect(proxy)
    assert [client.get().connection for _ in range(5)] == [2] * 5
    assert first.ended is None and len(first.streams) == 10
    first.announce(MAX_CONCURRENT_STREAMS=100)
    h2_origin.connections[1].say_goaway()
    wait_until(lambda: proxy.closed() == {"goaway": 1})
    assert [client.get().connection for _ in range(5)] == [1] * 5
    assert opened(proxy) == 2


def test_server_that_takes_one_stream_at_a_time(holding, h2_origin, connect):
    proxy, held = holding()
    held.come(3)
    h2_origin.connections[0].announce(MAX_CONCURRENT_STREAMS=1)
    h2_origin.settings = {"MAX_CONCURRENT_STREAMS": 1}
    client = connect(proxy)
    assert [client.get().connection for _ in range(3)] == [2] * 3
    held.finish()
    check_quiet(proxy)
    assert opened(proxy) == 2


# --- Limits of connections ---


def test_at_max_connections_requests_wait_for_a_stream(weir, h2_origin, crowd):
    """A stream that ends makes room, long before the connection is idle."""
    proxy = weir(over_h2(h2_origin.address, h2={"max_streams": 2}, upstream={
        "max_connections": 1, "queue": {"timeout": "20s"}}))
    turns = [threading.Event() for _ in range(7)]
    h2_origin.default = lambda stream: (stream.hold(turns[stream.ordinal - 1]), stream.respond())
    clients = crowd(proxy)

    def missed():
        return proxy.metric("weir_pool_misses_total", reason="streams")
    for number in range(7):
        clients.come(f"/{number}")
        wait_equal(lambda: len(h2_origin.streams) + missed(), number + 1)
    for number in range(7):
        accepted(h2_origin, min(number + 2, 7))
        turns[number].set()
    assert [client.receive().status for client in clients.clients] == [200] * 7
    assert [stream.target for stream in h2_origin.streams] == [f"/{at}" for at in range(7)]
    assert len(h2_origin.connections) == 1
    check_quiet(proxy)


def test_a_full_queue_is_503(weir, h2_origin, crowd, connect):
    proxy = weir(over_h2(h2_origin.address, h2={"max_streams": 1}, upstream={
        "max_connections": 1, "queue": {"size": 0}}))
    held = Holding(h2_origin, crowd, proxy)
    held.come(1)
    response = connect(proxy).get()
    assert (response.status, response.error) == (503, "connection_limit_reached")
    held.finish()


def test_no_more_wait_for_a_stream_than_the_queue_takes(weir, h2_origin, crowd):
    proxy = weir(over_h2(h2_origin.address, h2={"max_streams": 4}, upstream={
        "max_connections": 1, "queue": {"size": 2, "timeout": "20s"}, "retry": {"attempts": 0}}))
    held = Holding(h2_origin, crowd, proxy)
    held.come(4)
    late = crowd(proxy)
    for _ in range(8):
        late.come("/late")
    wait_equal(lambda: waiting(proxy) + proxy.metric("weir_requests_total", code="503"), 8)
    assert waiting(proxy) == 2
    held.finish()
    assert sorted(client.receive().status for client in late.clients) == [200] * 2 + [503] * 6


def test_pool_size_counts_idle_ones_and_spares_those_in_use(weir, h2_origins, crowd, connect):
    one, two = h2_origins(), h2_origins()
    service = {"routes": [{"path": "/two", "upstream": "two"}, {"upstream": "one"}],
               "upstream_keepalive_pool_size": 1,
               "upstreams": {"one": f"h2c://{one.address}", "two": f"h2c://{two.address}"}}
    proxy = weir(over_h2(service=service))
    held = Holding(one, crowd, proxy)
    held.come(2)
    assert [connect(proxy).get("/two").connection for _ in range(3)] == [1] * 3
    held.finish()
    wait_until(lambda: two.connections[0].ended, 5, "the one released longest ago evicted")
    assert one.connections[0].ended is None
    assert proxy.closed() == {"evicted": 1}
    proxy.wait_idle(1)


def test_pooling_off_shares_what_is_in_use_and_keeps_nothing(weir, h2_origin, crowd, connect):
    proxy = weir(over_h2(h2_origin.address, upstream_keepalive_pool_size=0))
    assert [connect(proxy).get().connection for _ in range(3)] == [1, 2, 3]
    held = Holding(h2_origin, crowd, proxy)
    held.come(3)
    wait_until(lambda: [c.ended for c in h2_origin.connections] == ["fin"] * 3 + [None])
    held.finish()
    check_quiet(proxy)
    assert proxy.metric("weir_pool_idle_connections") == 0
    wait_until(lambda: all(c.ended for c in h2_origin.connections))


# --- Workers ---


def test_one_upstream_connection_serves_all_workers(weir, h2_origin):
    proxy = weir(over_h2(h2_origin.address, threads=4))
    for _ in range(150):
        assert get_alone(proxy).status == 200
    clients = [Client(proxy) for _ in range(4)]
    for _ in range(5):
        assert [client.get().status for client in clients] == [200] * 4
    for client in clients:
        client.close()
    more = proxy.dialled_besides(170)
    assert len(h2_origin.connections) <= 1 + more
    counted = proxy.metrics().by("weir_upstream_requests_total", "connection")
    assert 1 <= counted["new"] <= 1 + more and sum(counted.values()) == 170
    assert counted["taken_over"] > 0, "the requests came to several workers"
    given = proxy.metric("weir_pool_takeovers_total", result="given")
    assert given <= counted["taken_over"] <= given + more
    assert more or [stream.id for stream in h2_origin.streams] == list(range(1, 341, 2))
    assert len({line["connection_id"] for line in proxy.log()}) <= 1 + more


def test_a_connection_in_use_stays_with_its_worker(holding, h2_origin):
    """Requests that come to the other worker get one of their own, once."""
    proxy, held = holding(threads=2)
    held.come(1)
    for _ in range(40):
        assert get_alone(proxy).status == 200
    assert 1 <= len(h2_origin.connections) <= 2
    held.finish()
    check_quiet(proxy)


def test_books_balance_after_load_from_many_clients(weir, h2_origins):
    """Two workers, few streams, a limit that changes under way: nobody fails, nothing is left."""
    origin = h2_origins(settings={"MAX_CONCURRENT_STREAMS": 4})
    proxy = weir(over_h2(origin.address, threads=2))
    failed = []

    def load(number):
        client = Client(proxy)
        try:
            for at in range(25):
                body = b"%d of %d" % (at, number)
                response = client.request("POST", "/", body=body)
                if (response.status, response.body) != (200, body):
                    failed.append(response)
        finally:
            client.close()

    origin.default = lambda stream: stream.respond(stream.body())
    threads = [threading.Thread(target=load, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    limits = random.Random(3)
    over = threading.Event()
    while any(thread.is_alive() for thread in threads):
        over.wait(0.1)  # more of them would be a flood
        for connection in list(origin.connections):
            if connection.acked:
                with contextlib.suppress(Gone):
                    connection.announce(wait=False, MAX_CONCURRENT_STREAMS=limits.randint(1, 6))
    for thread in threads:
        thread.join()
    assert failed == []
    check_quiet(proxy)
