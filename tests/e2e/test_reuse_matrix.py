# SPDX-License-Identifier: MIT
"""Framing x ending -> reused or not, each with its reason.

The labels are those of nginx's proxy_keepalive tests: normal, chunked, 0-chunk, empty, 304, HEAD
and what ends a connection. The origin numbers its connections: a second GET tells by its
X-Connection whether the first one's connection was kept, weir_pool_not_kept_total why not.
"""

import threading

import pytest

from client import request
from framing import LAST_CHUNK, chunk
from origin import answer
from waiting import wait_equal, wait_until

OK = b"HTTP/1.1 200 OK\r\n"
TE = b"Transfer-Encoding: chunked\r\n"


class Framing:
    def __init__(self, method, head, wire=b"", body=b"", cut=None):
        self.method = method
        self.head = head
        self.wire = wire  # the body as it travels
        self.body = body  # and as the client must get it
        self.cut = cut    # the part of `wire` that a truncated response has


CHUNKS = chunk(b"hel") + chunk(b"lo")
FRAMINGS = {
    "length": Framing("GET", OK + b"Content-Length: 5\r\n\r\n", b"hello", b"hello", b"hel"),
    "length_zero": Framing("GET", OK + b"Content-Length: 0\r\n\r\n"),
    "chunked": Framing("GET", OK + TE + b"\r\n", CHUNKS + LAST_CHUNK, b"hello", CHUNKS),
    "chunked_cut_in_chunk": Framing("GET", OK + TE + b"\r\n", CHUNKS + LAST_CHUNK, b"hello",
                                    b"5\r\nhel"),
    "chunked_cut_in_last": Framing("GET", OK + TE + b"\r\n", CHUNKS + LAST_CHUNK, b"hello",
                                   CHUNKS + b"0\r\n"),
    "chunked_trailers": Framing("GET", OK + TE + b"\r\n", CHUNKS + b"0\r\nX-Sum: 1\r\n\r\n",
                                b"hello", CHUNKS + b"0\r\nX-Sum: 1\r\n"),
    "chunked_extension": Framing("GET", OK + TE + b"\r\n", b"5;a=b\r\nhello\r\n" + LAST_CHUNK,
                                 b"hello"),
    "zero_chunk": Framing("GET", OK + TE + b"\r\n", LAST_CHUNK, b"", b"0\r\n"),
    "204": Framing("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
    "304": Framing("GET", b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"),
    "304_length": Framing("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
    "head_length": Framing("HEAD", OK + b"Content-Length: 5\r\n\r\n"),
    "head_chunked": Framing("HEAD", OK + TE + b"\r\n"),
    "head_nothing": Framing("HEAD", OK + b"\r\n"),
    "post": Framing("POST", OK + b"Content-Length: 5\r\n\r\n", b"hello", b"hello", b"hel"),
    "interim_before": Framing("GET", b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK
                              + b"Content-Length: 5\r\n\r\n", b"hello", b"hello", b"hel"),
    "http10_keep_alive": Framing("GET", b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n"
                                 b"Content-Length: 5\r\n\r\n", b"hello", b"hello", b"hel"),
}
every_framing = pytest.mark.parametrize("name", FRAMINGS)
with_body = pytest.mark.parametrize("name", [n for n, f in FRAMINGS.items() if f.cut is not None])


@pytest.fixture
def try_it(origin, proxy, connect):
    """One request answered by the behaviour, then a GET; both responses."""
    def ask(method, behaviour, body=None):
        origin.at[1, 1] = behaviour
        first = connect(proxy).request(method, "/first", body=body)
        second = connect(proxy).get("/second")
        assert second.status == 200
        return first, second
    return ask


def check_not_kept(proxy, reason):
    """Counted, and told in the log."""
    wait_equal(proxy.not_kept, {reason: 1}, what="reasons")
    wait_until(lambda: reason in [line["not_kept"] for line in proxy.log()], what=reason)


# --- The matrix ---


@every_framing
def test_kept_open(try_it, proxy, name):
    framing = FRAMINGS[name]
    body = b"abc" if framing.method == "POST" else None
    first, second = try_it(framing.method, answer(framing.head, pieces=[framing.wire]), body)
    assert (first.body, first.complete) == (framing.body, True)
    assert (second.connection, second.ordinal) == (1, 2)
    assert proxy.not_kept() == {}


@every_framing
def test_kept_though_it_came_byte_by_byte(try_it, proxy, name):
    framing = FRAMINGS[name]
    wire = framing.head + framing.wire
    behaviour = answer(wire[:1], label=False, pieces=[wire[at:at + 1]
                                                      for at in range(1, len(wire))])
    first, second = try_it(framing.method, behaviour)
    assert (first.body, first.complete) == (framing.body, True)
    assert (second.connection, second.ordinal) == (1, 2)
    assert proxy.not_kept() == {}


@every_framing
def test_fin_behind_the_response(origin, proxy, connect, name):
    """Whether the end is seen at release or while idle, it is a close by the server."""
    framing = FRAMINGS[name]
    origin.at[1, 1] = answer(framing.head + framing.wire, "fin")
    first = connect(proxy).request(framing.method)
    assert (first.body, first.complete) == (framing.body, True)
    assert origin.connections[0].finished.wait(5)
    second = connect(proxy).get()
    assert (second.connection, second.ordinal) == (2, 1)
    assert len(origin.exchanges) == 2
    assert sum(proxy.closed().values()) == 1
    assert set(proxy.not_kept()) <= {"closed"}


@every_framing
def test_reset_behind_the_response(origin, proxy, connect, name):
    framing = FRAMINGS[name]
    delivered = threading.Event()

    def respond_then_reset(exchange):
        answer(framing.head + framing.wire)(exchange)
        exchange.hold(delivered)
        exchange.reset()

    origin.at[1, 1] = respond_then_reset
    first = connect(proxy).request(framing.method)
    assert (first.body, first.complete) == (framing.body, True)
    delivered.set()
    wait_equal(lambda: sum(proxy.closed().values()), 1, what="closed connections")
    assert (connect(proxy).get().connection, len(origin.exchanges)) == (2, 2)


@every_framing
def test_bytes_behind_the_response(try_it, proxy, name):
    framing = FRAMINGS[name]
    first, second = try_it(framing.method, answer(framing.head + framing.wire + b"POISON"))
    assert (first.body, first.complete) == (framing.body, True)
    assert (second.connection, second.ordinal) == (2, 1)
    assert b"POISON" not in second.head.raw + second.body
    check_not_kept(proxy, "excess_body")
    proxy.wait_metric(1, "weir_pool_unexpected_data_total", place="release")


def test_many_bytes_behind_the_response(try_it, proxy):
    """More than a buffer holds, and the end of the body within one."""
    body = bytes(range(250)) * 400
    first, second = try_it("GET", answer(OK + b"Content-Length: 80000\r\n\r\n" + body))
    assert (first.body, first.complete) == (body[:80000], True)
    assert (second.connection, second.body) == (2, b"GET /second\n")
    check_not_kept(proxy, "excess_body")


def test_a_body_where_there_must_be_none(try_it, proxy):
    """A server that sends its body in answer to HEAD, too."""
    first, second = try_it("HEAD", answer(OK + b"Content-Length: 5\r\n\r\n" + b"hello"))
    assert (first.get("content-length"), first.body) == ("5", b"")
    assert (second.connection, second.body) == (2, b"GET /second\n")
    check_not_kept(proxy, "excess_body")


@with_body
def test_fin_within_the_response(try_it, origin, proxy, name):
    framing = FRAMINGS[name]
    first, second = try_it(framing.method, answer(framing.head + framing.cut, "fin"))
    assert first.status == 200 and not first.complete
    assert framing.body.startswith(first.body)
    assert second.connection == 2
    assert origin.targets == ["/first", "/second"], "a response that has begun is not replayed"
    check_not_kept(proxy, "response_incomplete")


@pytest.mark.parametrize("fields", [b"Content-Length: 5\r\n", TE])
def test_fin_right_behind_the_head(try_it, proxy, fields):
    """As the end comes in time or not, the client is told 502, or gets a head and a cut body."""
    first, second = try_it("GET", answer(OK + fields + b"\r\n", "fin"))
    assert (first.status == 502 and first.error) or (first.status == 200 and not first.complete)
    assert second.connection == 2
    check_not_kept(proxy, "response_incomplete")


@with_body
def test_reset_within_the_response(origin, proxy, connect, name):
    framing = FRAMINGS[name]
    head_arrived = threading.Event()

    def reset_within(exchange):
        answer(framing.head + framing.cut)(exchange)
        exchange.hold(head_arrived)
        exchange.reset()

    origin.at[1, 1] = reset_within
    client = connect(proxy)
    client.send(request(framing.method))
    client.reader.fill()
    head_arrived.set()
    first = client.receive(framing.method)
    assert first.status == 200 and not first.complete
    assert connect(proxy).get().connection == 2
    check_not_kept(proxy, "response_incomplete")


# --- Bodies that end with the connection ---


def test_close_delimited_body(try_it, proxy):
    first, second = try_it("GET", answer(OK + b"\r\nhello", "fin"))
    assert (first.body, first.complete) == (b"hello", True)
    assert second.connection == 2
    check_not_kept(proxy, "close_delimited")


def test_close_delimited_body_cut_by_a_reset_is_told_as_cut(origin, proxy, connect):
    delivered = threading.Event()
    origin.at[1, 1] = lambda exchange: (answer(OK + b"\r\nhello")(exchange),
                                        exchange.hold(delivered), exchange.reset())
    client = connect(proxy)
    client.send(request())
    client.reader.fill()
    delivered.set()
    assert not client.receive().complete
    assert connect(proxy).get().connection == 2


# --- What the response's head says ---

LENGTH_FIVE = b"Content-Length: 5\r\n"
SAYS = {
    "http10": (b"HTTP/1.0 200 OK\r\n" + LENGTH_FIVE, "http10_no_keepalive"),
    "http10_foreign_option": (b"HTTP/1.0 200 OK\r\nConnection: foo\r\n" + LENGTH_FIVE,
                              "http10_no_keepalive"),
    "close": (OK + b"Connection: close\r\n" + LENGTH_FIVE, "response_close"),
    "close_in_capitals": (OK + b"CONNECTION: CLOSE\r\n" + LENGTH_FIVE, "response_close"),
    "close_last_in_list": (OK + b"Connection: keep-alive, close\r\n" + LENGTH_FIVE,
                           "response_close"),
    "close_amid_list": (OK + b"Connection: foo,\tclose ,bar\r\n" + LENGTH_FIVE, "response_close"),
    "close_in_second_field": (OK + b"Connection: keep-alive\r\n" + LENGTH_FIVE
                              + b"connection: Close\r\n", "response_close"),
    "http10_close_and_keep_alive": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\n"
                                    + LENGTH_FIVE, "response_close"),
    "keep_alive_timeout_zero": (OK + b"Keep-Alive: timeout=0\r\n" + LENGTH_FIVE,
                                "keepalive_timeout_zero"),
    "keep_alive_timeout_within_margin": (OK + b"Keep-Alive: timeout=1\r\n" + LENGTH_FIVE,
                                         "keepalive_timeout_zero"),
    "keep_alive_max_used_up": (OK + b"Keep-Alive: timeout=60, max=0\r\n" + LENGTH_FIVE,
                               "keepalive_max"),
}


@pytest.mark.parametrize("name", SAYS)
def test_head_that_forbids_reuse(try_it, proxy, name):
    head, reason = SAYS[name]
    first, second = try_it("GET", answer(head + b"\r\nhello"))
    assert (first.body, first.complete) == (b"hello", True)
    assert second.connection == 2
    check_not_kept(proxy, reason)
    assert proxy.closed() == {"not_reusable": 1}


SAYS_NOTHING_AGAINST = {
    "keep_alive": OK + b"Connection: keep-alive\r\n",
    "foreign_options": OK + b"Connection: closed, not-close\r\n",
    "close_in_another_field": OK + b"X-Connection-Hint: close\r\n",
    "keep_alive_timeout": OK + b"Keep-Alive: timeout=60, max=100\r\n",
    "http10_keep_alive_in_list": b"HTTP/1.0 200 OK\r\nConnection: foo, KEEP-alive\r\n",
}


@pytest.mark.parametrize("name", SAYS_NOTHING_AGAINST)
def test_head_that_allows_reuse(try_it, proxy, name):
    head = SAYS_NOTHING_AGAINST[name] + LENGTH_FIVE + b"\r\nhello"
    assert try_it("GET", answer(head))[1].connection == 1
    assert proxy.not_kept() == {}


DOUBTFUL = {
    "both_framings": (OK + b"Content-Length: 3\r\n" + TE, "doubtful_framing"),
    "both_framings_other_order": (OK + TE + b"Content-Length: 3\r\n", "doubtful_framing"),
    "http10_chunked": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + TE,
                       "http10_transfer_encoding"),
}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_chunked_wins_over_doubt_but_the_connection_goes(try_it, proxy, name):
    """RFC 9112 sections 6.1 and 6.3; the client gets one framing (its reader insists)."""
    head, reason = DOUBTFUL[name]
    first, second = try_it("GET", answer(head + b"\r\n" + CHUNKS + LAST_CHUNK))
    assert (first.body, first.complete) == (b"hello", True)
    assert second.connection == 2
    check_not_kept(proxy, reason)


@pytest.mark.parametrize("forbidden", [b"Content-Length: 5\r\n", TE])
def test_204_that_promises_a_body_is_doubtful(try_it, proxy, forbidden):
    first, second = try_it("GET", answer(b"HTTP/1.1 204 No Content\r\n" + forbidden + b"\r\n"))
    assert first.status == 204
    assert first.get("transfer-encoding") is None and first.get("content-length") is None
    assert second.connection == 2
    check_not_kept(proxy, "doubtful_framing")


# --- Requests that were not written whole ---


def test_response_before_the_request_was_sent_whole(origin, proxy, connect):
    def early(exchange):
        exchange.send(exchange.head_of(5) + b"hello")
        exchange.connection.reader.rest()
        exchange.connection.over = True

    origin.at[1, 1] = early
    client = connect(proxy)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nten bytes.")
    first = client.receive()
    assert (first.status, first.body) == (200, b"hello")
    client.close()
    assert connect(proxy).get().connection == 2
    check_not_kept(proxy, "request_incomplete")


@pytest.mark.parametrize("count", [2, 20])
def test_reuse_goes_on_and_on(proxy, connect, count):
    """All framings of the origin's default one after another, over several client connections."""
    for at in range(count):
        response = connect(proxy).request(["GET", "HEAD", "POST", "DELETE"][at % 4])
        assert (response.connection, response.ordinal) == (1, at + 1)
