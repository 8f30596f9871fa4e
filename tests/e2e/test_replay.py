# SPDX-License-Identifier: MIT
"""A reused connection breaks under a request: what is sent once more, and what is not."""

import threading

import pytest

from client import request
from framing import LAST_CHUNK, chunk
from waiting import wait_until
from weir import one_upstream

KIB64 = 64 * 1024


def die(how, after_reading=True):
    def behave(exchange):
        if after_reading:
            exchange.body()
        getattr(exchange, how)()
    return behave


@pytest.fixture
def warm(origin, proxy, connect):
    """A client whose next request meets a reused connection that breaks."""
    def prepare(how="fin", after_reading=True):
        origin.at[1, 2] = die(how, after_reading)
        client = connect(proxy)
        assert client.get("/warm").connection == 1
        return client
    return prepare


def retries(proxy, result):
    return proxy.metric("weir_retries_total", result=result)


def check_refused(response, origin, proxy):
    assert response.status == 502
    assert response.error == "connection_terminated"
    assert len(origin.exchanges) == 2, "sent only once"
    assert retries(proxy, "replayed") == 0


breaks = pytest.mark.parametrize("how", ["fin", "reset"])


@breaks
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"])
def test_idempotent_request_is_sent_again_on_a_fresh_connection(origin, proxy, warm, method, how):
    body = b"hello" if method == "PUT" else None
    response = warm(how).request(method, "/again", body=body)
    assert (response.status, response.connection, response.ordinal) == (200, 2, 1)
    assert origin.targets == ["/warm", "/again", "/again"]
    first, second = origin.exchanges[1:]
    assert first.head.raw == second.head.raw and first.content == second.content
    assert (retries(proxy, "replayed"), retries(proxy, "refused")) == (1, 0)
    line = proxy.logged(2)[1]
    assert (line["attempts"], line["connection"], line["status"]) == (2, "new", 200)
    assert line["retried"] == ("eof" if how == "fin" else "reset") and line["not_kept"] is None


@breaks
@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("body", [b"hello", b"", None], ids=["body", "empty", "none"])
def test_other_requests_are_not_sent_again(origin, proxy, warm, method, body, how):
    check_refused(warm(how).request(method, body=body), origin, proxy)
    assert retries(proxy, "refused") == 1


def test_unknown_methods_are_not_sent_again(origin, proxy, warm):
    check_refused(warm().request("BREW"), origin, proxy)


def test_post_with_idempotency_key_is_sent_again(origin, warm):
    response = warm().request("POST", "/again", ["Idempotency-Key: \"abc\""], b"hello")
    assert (response.status, response.connection) == (200, 2)
    assert [e.content for e in origin.exchanges[1:]] == [b"hello", b"hello"]


def test_post_is_sent_again_where_the_configuration_allows_it(weir, origin, connect):
    origin.at[1, 2] = die("fin")
    client = connect(weir(one_upstream(origin.address,
                                       upstream={"retry": {"non_idempotent": True}})))
    client.get()
    assert client.request("POST", body=b"hello").connection == 2


@pytest.mark.parametrize("size, again", [(KIB64, True), (KIB64 + 1, False), (1 << 20, False)])
def test_body_is_sent_again_only_if_it_fits_the_buffer(origin, proxy, warm, size, again):
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    response = warm().request("PUT", body=body)
    if again:
        assert (response.status, response.connection) == (200, 2)
        assert origin.exchanges[2].content == body
    else:
        check_refused(response, origin, proxy)


def test_chunked_body_is_sent_again(origin, warm):
    client = warm()
    client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                + chunk(b"hello ") + chunk(b"world") + LAST_CHUNK)
    assert client.receive().connection == 2
    assert [e.content for e in origin.exchanges[1:]] == [b"hello world"] * 2


def test_body_of_many_small_chunks_is_answered(origin, warm):
    """What is kept of a body takes nothing that its response needs."""
    client = warm()
    origin.at[1, 2] = lambda exchange: exchange.respond()
    client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                + chunk(b"x") * 20000 + LAST_CHUNK)
    response = client.receive()
    assert (response.status, response.connection) == (200, 1)
    assert origin.exchanges[1].content == b"x" * 20000


@pytest.mark.parametrize("size", [300_000, 900_000])
def test_body_is_sent_again_from_a_large_buffer(origin, weir, connect, size):
    proxy = weir(one_upstream(origin.address, upstream={"retry": {"body_buffer": "1MiB"}}))
    client = connect(proxy)
    client.get("/warm")
    origin.at[1, 2] = die("fin")
    body = bytes(range(250)) * (size // 250)
    response = client.request("PUT", body=body)
    assert (response.status, response.connection) == (200, 2)
    assert origin.exchanges[2].content == body


def test_rest_of_a_body_follows_what_is_sent_again(origin, warm):
    """The connection breaks while the client is still sending: what came is sent again, the rest
    follows."""
    broken = threading.Event()

    def die_early(exchange):
        exchange.some(5)
        exchange.reset()
        broken.set()

    client = warm()
    origin.at[1, 2] = die_early
    client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello")
    wait_until(lambda: len(origin.connections) == 2, 5, "the second try")
    client.send(b" world")
    assert client.receive().connection == 2
    assert origin.exchanges[2].content == b"hello world"


@breaks
def test_connection_that_breaks_before_the_request_is_read(origin, warm, how):
    assert warm(how, after_reading=False).request("PUT", body=b"hello").connection == 2


@breaks
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_fresh_connection_that_breaks_is_502_at_once(origin, proxy, connect, method, how):
    origin.at[1, 1] = die(how)
    client = connect(proxy)
    response = client.request(method)
    assert response.status == 502
    assert response.error == "connection_terminated"
    assert len(origin.exchanges) == 1
    assert client.get().connection == 2


def test_second_try_that_breaks_is_the_last(origin, proxy, warm):
    client = warm()
    origin.at[2, 1] = die("fin")
    assert client.get().status == 502
    assert len(origin.exchanges) == 3


def fill_pool(origin, proxy, connect, count):
    """Open so many upstream connections at once and let them go idle in their order."""
    go = [threading.Event() for _ in range(count)]
    origin.paths["/fill"] = lambda exchange: (
        exchange.hold(go[exchange.connection.number - 1]), exchange.respond())
    clients = [connect(proxy) for _ in range(count)]
    for at, client in enumerate(clients):
        client.send(request(target="/fill"))
        wait_until(lambda at=at: len(origin.exchanges) == at + 1)
    for client, release in zip(clients, go):
        release.set()
        client.receive()
    proxy.wait_idle(count)


def test_second_try_is_fresh_although_more_connections_lie_idle(origin, proxy, connect):
    """All that lie idle are as dead as the first: trying them in turn would fail three times."""
    fill_pool(origin, proxy, connect, 3)
    for number in (1, 2, 3):
        origin.at[number, 2] = die("fin")
    response = connect(proxy).get()
    assert (response.status, response.connection) == (200, 4)
    assert len(origin.exchanges) == 5, "one of the three was tried, then a fresh one"


@pytest.mark.parametrize("part", [b"H", b"HTTP/1.1 200 OK\r\nContent-", b"HTTP/1.1 200 OK\r\n"])
def test_nothing_is_sent_again_once_a_byte_has_come(origin, warm, part):
    def partly(exchange):
        exchange.body()
        exchange.send(part)
        exchange.fin()

    client = warm()
    origin.at[1, 2] = partly
    response = client.get()
    assert response.status == 502
    assert response.error
    assert len(origin.exchanges) == 2


def test_no_replay_behind_a_delivered_head(origin, warm):
    def partly(exchange):
        exchange.send(exchange.head_of(9) + b"hello")
        exchange.fin()

    client = warm()
    origin.at[1, 2] = partly
    response = client.get()
    assert (response.status, response.complete) == (200, False)
    assert len(origin.exchanges) == 2


def test_dead_idle_connections_cost_no_failed_request(origin, proxy, connect):
    """Closed by the server while idle: found before a request is spent on them, POST or not."""
    fill_pool(origin, proxy, connect, 3)
    for connection in origin.connections:
        connection.sock.shutdown(1)
    proxy.wait_idle(0)
    assert connect(proxy).request("POST", body=b"hello").connection == 4
    assert proxy.closed() == {"peer_closed": 3}
    assert proxy.metric("weir_retries_total") == 0
