# SPDX-License-Identifier: MIT
"""What becomes of those that wait for a connection, and of their places, when things go wrong.

After Varnish's cases: v00012 and v00055 (busy, no queue), v00074 (a server goes bad while requests
are queued), b00090 (nobody answers the dial, and a queue behind it), r01755 (what failed is not
counted any more), b00083 (a server that does not close in turn). The storms are ours.
"""

import random
import threading
import time

import pytest

import sockets
from client import request
from crowd import check_books, dialling, limited, waiting, waits
from framing import LAST_CHUNK, chunk
from origin import answer
from waiting import PATIENCE, wait_equal, wait_until
from weir import one_upstream

every_count_of_workers = pytest.mark.parametrize("threads", [1, 4])


@pytest.fixture
def hole():
    made = sockets.BlackHole()
    yield made
    made.close()


@pytest.fixture
def queued(crowd):
    """Clients of which the first holds the only connection while `count` others wait."""
    def gather(proxy, count):
        clients = crowd(proxy)
        clients.come()
        proxy.wait_metric(1, "weir_pool_in_use_connections")
        for number in range(count):
            clients.come(f"/{number}")
            wait_equal(lambda: waiting(proxy), number + 1)
        return clients.clients
    return gather


# --- No queue ---


@every_count_of_workers
def test_without_a_queue_who_finds_no_room_is_told_at_once(weir, origin, gated, queued, connect,
                                                           threads):
    proxy = weir(limited(origin, threads, maximum=1, size=0))
    held = queued(proxy, 0)
    for _ in range(3):
        response = connect(proxy).get()
        assert (response.status, response.error) == (503, "connection_limit_reached")
    assert waits(proxy) == {"dialled": 1, "full": 3}
    gated.set()
    assert held[0].receive().status == 200
    proxy.wait_idle(1)
    # Another worker's connection is not waited for for long: a busy machine may be too slow.
    wait_until(lambda: connect(proxy).get().status == 200)
    assert (origin.targets, len(origin.connections)) == (["/hold", "/"], 1)
    check_books(proxy)


# --- A body that comes while its request waits ---


@pytest.mark.parametrize("head, rest", [
    (b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"hello"), LAST_CHUNK),
    (b"Transfer-Encoding: chunked\r\n\r\n", chunk(b"hello") + LAST_CHUNK),
    (b"Content-Length: 5\r\n\r\nhell", b"o"),
], ids=["last_chunk", "chunks", "last_byte"])
@pytest.mark.parametrize("when", ["waiting", "served"])
def test_a_body_that_ends_while_its_request_waits_arrives_whole(
        weir, origin, gated, queued, connect, head, rest, when):
    """h2o's fin-only case: the end of a body comes alone, before there is a connection for it, or
    right when there is one."""
    proxy = weir(limited(origin, 1, maximum=1))
    held, sender = queued(proxy, 0)[0], connect(proxy)
    sender.send(b"POST /body HTTP/1.1\r\nHost: a\r\n" + head)
    wait_equal(lambda: waiting(proxy), 1)
    if when == "waiting":
        sender.send(rest)
    gated.set()
    assert held.receive().status == 200
    if when == "served":
        wait_until(lambda: "/body" in origin.targets)
        sender.send(rest)
    response = sender.receive()
    assert (response.status, response.connection, response.ordinal) == (200, 1, 2)
    assert origin.exchanges[1].content == b"hello"
    check_books(proxy)


# --- The server goes bad ---


@pytest.fixture
def dying(origin):
    """An origin whose /hold ends, when the event is set, with the end of all: the connection is
    reset, and nobody listens any more."""
    die = threading.Event()
    origin.paths["/hold"] = lambda exchange: (exchange.hold(die), origin.stop_listening(),
                                              exchange.reset())
    yield die
    die.set()


@every_count_of_workers
def test_those_that_wait_for_a_server_that_dies_are_told(weir, origin, dying, queued, threads):
    """They hear it now, not when their time in the queue is over."""
    proxy = weir(limited(origin, threads, maximum=1, timeout="60s",
                         total_connection_timeout="60s"))
    clients = queued(proxy, 6)
    dying.set()
    errors = [(response.status, response.error)
              for response in (client.receive() for client in clients)]
    assert errors == [(502, "connection_terminated")] + [(502, "connection_refused")] * 6
    assert waits(proxy) == {"dialled": 1, "failed": 6}
    check_books(proxy)


@every_count_of_workers
def test_those_that_wait_for_a_server_that_dies_go_to_another(weir, origins, origin, dying, crowd,
                                                             threads):
    """Which is full as well, and has one connection for them all."""
    other, go = origins(), threading.Event()
    other.paths["/hold"] = lambda exchange: (exchange.hold(go), exchange.respond())
    config = limited(origin, threads, maximum=1, timeout="60s", total_connection_timeout="60s",
                     retry={"budget": "100%"})
    config["services"][0]["upstreams"]["web"]["servers"] = [
        {"address": origin.address, "weight": 1000}, other.address]
    proxy = weir(config)
    clients = crowd(proxy)
    for server in (origin, other):
        clients.come()
        wait_until(lambda server=server: server.targets == ["/hold"])
    for number in range(6):
        clients.come(f"/{number}")
        wait_equal(lambda: waiting(proxy), number + 1)
    dying.set()
    assert clients.clients[0].receive().status == 502
    go.set()
    assert [client.receive().status for client in clients.clients[1:]] == [200] * 7
    assert sorted(other.targets) == [f"/{number}" for number in range(6)] + ["/hold"]
    assert len(other.connections) == 1
    check_books(proxy)


@every_count_of_workers
def test_each_that_waits_behind_a_black_hole_gets_its_try(weir, hole, crowd, threads):
    """One dial at a time, each for as long as it may take, and then the next in the queue's."""
    proxy = weir(limited(hole, threads, maximum=1, connection_timeout="150ms"))
    began = time.monotonic()
    clients = crowd(proxy)
    for _ in range(3):
        clients.come()
    responses = [client.receive() for client in clients.clients]
    assert [(r.status, r.error) for r in responses] == [(504, "connection_timeout")] * 3
    assert time.monotonic() - began > 0.4
    assert waits(proxy) == {"failed": 3}
    check_books(proxy)


def test_who_waits_behind_a_black_hole_waits_no_longer_than_the_queue_allows(weir, hole, crowd):
    proxy = weir(limited(hole, 2, maximum=1, size=1, timeout=f"{250 * PATIENCE:.0f}ms",
                         connection_timeout=f"{500 * PATIENCE:.0f}ms"))
    clients = crowd(proxy)
    clients.come()
    wait_equal(lambda: dialling(proxy), 1)
    clients.come()
    wait_equal(lambda: waiting(proxy), 1)
    clients.come()
    dialled, late, refused = (client.receive() for client in clients.clients)
    assert (dialled.status, dialled.error) == (504, "connection_timeout")
    assert (late.status, late.error) == (503, "connection_limit_reached")
    assert (refused.status, refused.error) == (503, "connection_limit_reached")
    assert waits(proxy) == {"failed": 1, "timeout": 1, "full": 1}
    assert proxy.metric("weir_upstream_connect_errors_total") == 1
    check_books(proxy)


# --- What failed is not counted any more ---


def refuse(exchange):
    exchange.body()
    exchange.reset()


TROUBLE = {
    "fin": lambda exchange: exchange.fin(),
    "reset": refuse,
    "malformed": answer(b"HTTP/1.1 2OO OK\r\n\r\n", label=False),
    "cut": answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "fin"),
    "excess": answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more"),
    "close": answer(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
    "eof_framed": answer(b"HTTP/1.1 200 OK\r\n\r\nhello", "fin"),
    "silent": lambda exchange: exchange.connection.reader.rest(),
    "refused_upgrade": answer(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                              b"Upgrade: websocket\r\n\r\n"),
}


@pytest.mark.parametrize("name", TROUBLE)
def test_trouble_leaves_the_place_free(weir, origin, connect, name):
    """A connection that comes to a bad end makes room for the next, each time."""
    origin.paths["/trouble"] = TROUBLE[name]
    proxy = weir(limited(origin, 2, maximum=1, timeout="5s",
                         read_timeout=f"{400 * PATIENCE:.0f}ms"))
    for _ in range(2):
        connect(proxy).get("/trouble")
        response = connect(proxy).get("/fine")
        assert (response.status, response.body) == (200, b"GET /fine\n")
    check_books(proxy)


def drip(exchange):
    """A response without end."""
    exchange.send(exchange.head_of(1 << 30))
    while not exchange.connection.origin.stopping.wait(0.01):
        exchange.send(b"x")


@pytest.mark.parametrize("method, target, body", [
    ("GET", "/silent", None), ("GET", "/drip", None), ("POST", "/", b"")],
    ids=["waiting_for_the_response", "in_the_response", "in_the_request"])
def test_a_client_that_goes_leaves_the_place_free(weir, origin, connect, method, target, body):
    origin.paths["/silent"] = lambda exchange: exchange.connection.reader.rest()
    origin.paths["/drip"] = drip
    proxy = weir(limited(origin, 2, maximum=1, timeout="5s"))
    client = connect(proxy)
    client.send(request(method, target, ["Content-Length: 9"] if body is not None else ()))
    wait_until(lambda: origin.exchanges)
    client.reset()
    assert connect(proxy).get("/fine").status == 200
    wait_equal(lambda: [c.ended for c in origin.connections], ["reset", None])
    check_books(proxy)


def test_a_refused_dial_leaves_the_place_free(weir, origins, connect):
    address = sockets.free_address()
    proxy = weir(one_upstream(address, threads=2, upstream={
        "max_connections": 1, "queue": {"timeout": "5s"}, "fail_timeout": "0"}))
    assert [connect(proxy).get().status for _ in range(5)] == [502] * 5
    origins(address)
    assert connect(proxy).get().status == 200
    check_books(proxy)


def test_a_server_that_does_not_close_in_turn_takes_no_place(weir, origin, connect):
    """weir has closed, and the server keeps its side open: the connection is weir's no more."""
    go = threading.Event()
    origin.default = lambda exchange: (exchange.respond(), exchange.hold(go))
    proxy = weir(limited(origin, 1, maximum=1, size=0, idle_timeout="50ms"))
    for number in (1, 2, 3):
        assert connect(proxy).get().connection == number
        wait_equal(proxy.closed, {"idle_timeout": number})
    assert [c.ended for c in origin.connections] == [None] * 3
    check_books(proxy)
    proxy.stop()
    go.set()


# --- Storms ---


@every_count_of_workers
@pytest.mark.parametrize("ending", ["kept", "closed"])
def test_a_storm_of_clients_that_leave_loses_nobody_else(weir, origin, gated, queued, threads,
                                                         ending):
    """A third go while the others are served. Whoever stays is served, once, in the order in which
    they came; who goes in the middle of it takes the connection with him."""
    if ending == "closed":
        origin.default = lambda exchange: (exchange.respond(fields=["Connection: close"]),
                                           exchange.fin())
    proxy = weir(limited(origin, threads, maximum=1))
    clients = queued(proxy, 60)
    leaving = list(range(1, 61, 3))
    random.Random(5).shuffle(leaving)
    storm = threading.Thread(target=lambda: [clients[at].reset() for at in leaving])
    storm.start()
    gated.set()
    staying = [at for at in range(61) if at not in leaving]
    assert [clients[at].receive().status for at in staying] == [200] * len(staying)
    storm.join()
    served = [int(target[1:]) for target in origin.targets[1:]]
    assert served == sorted(set(served))
    assert set(served) >= {at - 1 for at in staying if at}
    check_books(proxy)


@every_count_of_workers
def test_storms_with_many_connections(weir, origin, crowd, threads):
    """Clients that come and go at random before four connections of which some end: all that stay
    are served, and in the end every place is free."""
    rng = random.Random(11)
    endings = {"keep": lambda exchange: exchange.respond(),
               "close": lambda exchange: (exchange.respond(fields=["Connection: close"]),
                                          exchange.fin())}
    for name, behaviour in endings.items():
        origin.paths[f"/{name}"] = behaviour
    proxy = weir(limited(origin, threads, maximum=4))
    for _ in range(6):
        clients = crowd(proxy)
        for _ in range(30):
            clients.come("/close" if rng.random() < 0.3 else "/keep")
        leaving = set(rng.sample(range(30), 10))
        for at in leaving:
            clients.clients[at].reset()
        for at in set(range(30)) - leaving:
            assert clients.clients[at].receive().status == 200
    check_books(proxy)
    assert sum(1 for c in origin.connections if not c.ended) <= 4
