# SPDX-License-Identifier: MIT
"""TLS connections at rest, and their ends: what TLS itself says is no unexpected data, what an
application says is, and an end counts as one only with close_notify."""

import random
import threading

import pytest

import libssl
import tls
from client import request
from origin import answer
from waiting import wait_equal, wait_until

POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON"
versions = pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])


@pytest.fixture
def talker(origins, origin_certificate):
    """An origin that sends whatever it is told whenever it is told: talker(tickets=0)."""
    return lambda **options: origins(tls=libssl.Context(origin_certificate, **options))


@pytest.fixture
def world(origin, authority):
    """A configuration with a TLS origin and, below /other, a plain one."""
    def start(tls_origin, **options):
        config = tls.to_tls(authority, tls_origin.address, **options)
        service = config["services"][0]
        service["upstreams"]["other"] = {"servers": [origin.address]}
        service["routes"].insert(0, {"path": "/other", "upstream": "other"})
        return config
    return start


def at_rest(origin, what):
    """A behaviour for the first request: answer, and when the test says so do that. The event that
    says so, and the one that says that it is done."""
    say, said = threading.Event(), threading.Event()

    def behave(exchange):
        exchange.respond()
        exchange.hold(say)
        what(exchange)
        said.set()

    origin.at[1, 1] = behave
    return say, said


def pass_by(client):
    """Two requests to the plain origin: by their end weir's one worker has also seen what had come
    to its connections before they were sent."""
    for _ in range(2):
        assert client.get("/other").status == 200


# --- What TLS says ---


def update(answered):
    return lambda exchange: exchange.connection.sock.key_update(answered)


def many_updates(exchange):
    for number in range(20):
        exchange.connection.sock.key_update(number % 2 == 0)


def ticket(exchange):
    exchange.connection.sock.new_ticket()


SAYINGS = {"key_update": update(False), "key_update_to_be_answered": update(True),
           "many_key_updates": many_updates, "ticket": ticket,
           "ticket_and_update": lambda exchange: (ticket(exchange), update(True)(exchange))}


@pytest.mark.parametrize("name", SAYINGS)
def test_what_tls_says_at_rest_is_no_unexpected_data(weir, talker, world, connect, name):
    origin = talker(tickets=0)
    say, said = at_rest(origin, SAYINGS[name])
    proxy = weir(world(origin, threads=1))
    client = connect(proxy)
    assert client.get().connection == 1
    proxy.wait_metric(0, "weir_pool_in_use_connections")
    say.set()
    assert said.wait(5)
    pass_by(client)
    for ordinal in (2, 3):
        response = client.request("POST", "/", body=b"hello")
        assert (response.connection, response.ordinal) == (1, ordinal)
    assert proxy.metric("weir_pool_unexpected_data_total") == 0
    assert proxy.closed() == {}


@pytest.mark.parametrize("name", SAYINGS)
def test_what_tls_says_together_with_the_next_request(weir, talker, world, connect, name):
    """weir stands still while both arrive."""
    origin = talker(tickets=0)
    say, said = at_rest(origin, SAYINGS[name])
    proxy = weir(world(origin))
    client = connect(proxy)
    client.get()
    proxy.wait_idle(1)
    with proxy.standing_still():
        client.send(request("POST", "/next", body=b"hello"))
        say.set()
        assert said.wait(5)
    response = client.receive()
    assert (response.status, response.connection, response.ordinal) == (200, 1, 2)
    assert proxy.metric("weir_pool_unexpected_data_total") == 0


def test_a_ticket_that_comes_at_rest_is_used_by_the_next_dial(weir, talker, world, connect):
    origin = talker(tickets=0)
    say, said = at_rest(origin, ticket)
    proxy = weir(world(origin, threads=1))
    client = connect(proxy)
    client.get()
    proxy.wait_metric(0, "weir_pool_in_use_connections")
    say.set()
    assert said.wait(5)
    pass_by(client)
    origin.at[1, 2] = lambda exchange: (exchange.respond(), exchange.fin())
    assert client.get().ordinal == 2
    wait_equal(lambda: sum(proxy.closed().values()), 1, what="closed connections")
    assert client.get().connection == 2
    assert [connection.resumed for connection in origin.connections] == [False, True]


def test_tickets_behind_each_response_do_not_part_it_from_the_next(weir, talker, world, connect):
    origin = talker()
    origin.default = lambda exchange: (exchange.respond(), ticket(exchange))
    proxy = weir(world(origin))
    client = connect(proxy)
    for ordinal in range(1, 101):
        response = client.get()
        assert (response.connection, response.ordinal) == (1, ordinal)
    assert proxy.not_kept() == {}


def test_key_updates_amid_a_body_do_not_harm_it(weir, talker, world, connect):
    origin = talker()
    body = random.Random(3).randbytes(1_000_000)

    def behave(exchange):
        exchange.body()
        exchange.send(exchange.head_of(len(body)))
        for at in range(0, len(body), 50_000):
            exchange.connection.sock.key_update(at % 100_000 == 0)
            exchange.send(body[at:at + 50_000])

    origin.default = behave
    client = connect(weir(world(origin)))
    for ordinal in (1, 2):
        response = client.request("POST", body=body)
        assert response.body == body and response.ordinal == ordinal


# --- What an application says ---


@versions
def test_bytes_at_rest_are_unexpected_and_never_delivered(behind, tls_origins, connect, version):
    origin = tls_origins(version)
    say, _ = at_rest(origin, lambda exchange: exchange.send(POISON))
    proxy = behind(origin)
    client = connect(proxy)
    client.get()
    proxy.wait_idle(1)
    say.set()
    proxy.wait_metric(1, "weir_pool_unexpected_data_total", place="idle")
    response = client.get()
    assert (response.connection, response.body) == (2, b"GET /\n")
    assert proxy.closed() == {"unexpected_data": 1}
    wait_until(lambda: "HTTP/1.1 200" in proxy.stderr, 5, "the log showing the first bytes")


def test_bytes_behind_a_key_update_are_unexpected(weir, talker, world, connect):
    origin = talker()
    say, _ = at_rest(origin, lambda exchange: (update(True)(exchange), exchange.send(POISON)))
    proxy = weir(world(origin))
    client = connect(proxy)
    client.get()
    proxy.wait_idle(1)
    say.set()
    proxy.wait_metric(1, "weir_pool_unexpected_data_total", place="idle")
    assert client.get().connection == 2


@versions
def test_bytes_behind_a_response_are_never_delivered(behind, tls_origins, connect, version):
    """In the record that ends the response, and in one of their own."""
    origin = tls_origins(version)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    origin.at[1, 1] = answer(head + POISON)
    origin.at[2, 1] = answer(head, pieces=[POISON])
    proxy = behind(origin)
    client = connect(proxy)
    for count in (1, 2):
        assert client.get().body == b"hello"
        proxy.wait_metric(count, "weir_upstream_connections_closed_total")
    response = client.get()
    assert (response.connection, response.body) == (3, b"GET /\n")


# --- Ends at rest ---


# None of them waits for weir's end.
ENDS = {"close_notify": lambda exchange: exchange.connection.say_close(),
        "close_notify_and_fin": lambda exchange: (exchange.connection.say_close(),
                                                  exchange.connection.send_fin()),
        "fin_without_close_notify": lambda exchange: exchange.connection.send_fin(),
        "reset": lambda exchange: exchange.reset()}


@versions
@pytest.mark.parametrize("how", ENDS)
def test_an_end_at_rest_is_seen_at_once(behind, tls_origins, connect, version, how):
    origin = tls_origins(version)
    say, _ = at_rest(origin, ENDS[how])
    proxy = behind(origin)
    client = connect(proxy)
    client.get()
    proxy.wait_idle(1)
    say.set()
    wait_until(proxy.closed, 5, "the connection closed")
    assert proxy.closed() == {"peer_reset" if how == "reset" else "peer_closed": 1}
    wait_until(lambda: origin.connections[0].ended)
    assert client.request("POST", body=b"x").connection == 2
    assert proxy.metric("weir_retries_total") == 0


@versions
@pytest.mark.parametrize("how", ENDS)
def test_an_end_together_with_the_next_request_costs_no_post(behind, tls_origins, connect, version,
                                                            how):
    """weir stands still while both arrive: close_notify is no less of an end than FIN."""
    origin = tls_origins(version)
    end, ended = at_rest(origin, ENDS[how])
    proxy = behind(origin)
    client = connect(proxy)
    client.get()
    proxy.wait_idle(1)
    with proxy.standing_still():
        client.send(request("POST", "/next", body=b"hello"))
        end.set()
        assert ended.wait(5)
    response = client.receive()
    assert (response.status, response.connection) == (200, 2)


def test_weir_ends_its_idle_connections_with_close_notify(behind, tls_origin, connect):
    """A server that is told so is free to resume the session later (RFC 5246 section 7.2.1)."""
    proxy = behind(tls_origin, upstream={"idle_timeout": "200ms"})
    connect(proxy).get()
    wait_until(lambda: tls_origin.connections[0].ended)
    assert tls_origin.connections[0].ended == "fin"


# --- Ends of bodies ---


@versions
@pytest.mark.parametrize("downstream", ["plain", "tls"])
@pytest.mark.parametrize("then, whole", [("fin", True), ("truncate", False)])
def test_a_body_that_ends_with_the_connection_needs_close_notify(
        behind, tls_origins, connect, connect_tls, edge_certificate, version, downstream, then,
        whole):
    origin = tls_origins(version)
    origin.default = answer(b"HTTP/1.1 200 OK\r\n\r\nhello", then)
    listen = {"listen": [tls.listener(edge_certificate)]} if downstream == "tls" else {}
    proxy = behind(origin, service=listen)
    response = (connect_tls if downstream == "tls" else connect)(proxy).get()
    assert (response.status, response.body, response.complete) == (200, b"hello", whole)
    line = proxy.logged(1)[0]
    assert (line["error"] is None) == whole
    assert line["not_kept"]


@versions
@pytest.mark.parametrize("how", ["fin", "truncate"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_with_a_length_of_its_own_needs_its_length(behind, tls_origins, connect, version,
                                                          how, framing):
    origin = tls_origins(version)
    head, whole, cut = {
        "length": (b"Content-Length: 5", b"hello", b"hel"),
        "chunked": (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n"),
    }[framing]
    head = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n"
    origin.at[1, 1] = answer(head + whole, how)
    origin.at[2, 1] = answer(head + cut, how)
    proxy = behind(origin)
    client = connect(proxy)
    response = client.get()
    assert (response.body, response.complete) == (b"hello", True)
    wait_equal(lambda: sum(proxy.closed().values()), 1, what="closed connections")
    assert not client.get().complete


@versions
def test_gets_never_fail_though_idle_connections_end_in_every_way(behind, tls_origins, connect,
                                                                  version):
    """As test_stale.py has it for plain ones: ended at rest, or as the request arrives."""
    origin = tls_origins(version)
    rng = random.Random(11)

    def behave(exchange):
        if exchange.ordinal > 1 and rng.random() < 0.1:
            rng.choice((exchange.fin, exchange.truncate, exchange.reset))()
            return
        exchange.respond()
        if rng.random() < 0.2:
            rng.choice((exchange.fin, exchange.truncate))()

    origin.default = behave
    proxy = behind(origin)
    client = connect(proxy)
    for at in range(500):
        response = client.get(f"/{at}")
        assert (response.status, response.body) == (200, b"GET /%d\n" % at)
    metrics = proxy.metrics()
    assert metrics.value("weir_retries_total", result="replayed") > 0
    assert metrics.value("weir_retries_total", result="refused") == 0
    assert metrics.by("weir_upstream_tls_handshakes_total", "result")["resumed"] > 10
