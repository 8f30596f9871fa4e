# SPDX-License-Identifier: MIT
"""Requests that are none: an end of their stream or a refusal, never of the connection, and nothing
of them for the server to misunderstand (RFC 9113 section 8)."""

import pytest

import h2_frames as frames
import program
from h2_client import alive
from waiting import wait_until

GET = frames.request_fields("/bad")
LIMIT = 32768


@pytest.fixture
def client(proxy, connect_h2):
    return connect_h2(proxy)


def without(name):
    return [field for field in GET if field[0] != name]


def having(name, value):
    """In place of the one that it has."""
    return [(name, value) if field[0] == name else field for field in GET]


def adding(*fields):
    return [*GET, *fields]


BAD_HEADS = {
    # names and values (section 8.2.1)
    "uppercase_name": adding(("X-Upper", "1")),
    "space_in_name": adding(("x a", "1")),
    "colon_in_name": adding(("x:a", "1")),
    "empty_name": adding(("", "1")),
    "line_end_in_name": adding(("x-a: 1\r\nx-b", "1")),
    "nul_in_name": adding(("x-\0a", "1")),
    "high_byte_in_name": adding((b"x-\xff", "1")),
    "line_end_in_value": adding(("x-a", "1\r\nx-b: 2")),
    "line_feed_in_value": adding(("x-a", "1\nx-b: 2")),
    "carriage_return_in_value": adding(("x-a", "1\rx-b: 2")),
    "nul_in_value": adding(("x-a", "1\0")),
    "request_in_value": adding(("x-a", "1\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")),
    # the connection's own (section 8.2.2)
    "connection": adding(("connection", "close")),
    "connection_names": adding(("connection", "x-a"), ("x-a", "1")),
    "keep_alive": adding(("keep-alive", "timeout=5")),
    "proxy_connection": adding(("proxy-connection", "keep-alive")),
    "transfer_encoding": adding(("transfer-encoding", "chunked")),
    "upgrade": adding(("upgrade", "websocket")),
    "te_that_is_not_trailers": adding(("te", "gzip")),
    "te_with_more": adding(("te", "trailers, gzip")),
    # pseudo-fields (section 8.3)
    "no_method": without(":method"),
    "no_scheme": without(":scheme"),
    "no_path": without(":path"),
    "no_pseudo_at_all": [("x-a", "1")],
    "no_host_at_all": without(":authority"),
    "two_methods": [(":method", "GET"), *GET],
    "two_paths": [(":path", "/other"), *GET],
    "two_schemes": [(":scheme", "http"), *GET],
    "two_authorities": [(":authority", "other.test"), *GET],
    "pseudo_behind_regular": [*GET[:3], ("x-a", "1"), *GET[3:]],
    "unknown_pseudo": [(":hello", "1"), *GET],
    "status_in_a_request": [(":status", "200"), *GET],
    "protocol_without_connect": [(":protocol", "websocket"), *GET],
    # their values
    "empty_path": having(":path", ""),
    "path_without_slash": having(":path", "bad"),
    "path_with_space": having(":path", "/a b"),
    "path_with_line_end": having(":path", "/ HTTP/1.1\r\nHost: a\r\n\r\nGET /smuggled"),
    "path_with_tab": having(":path", "/\tbad"),
    "path_with_nul": having(":path", "/\0bad"),
    "path_with_fragment": having(":path", "/bad#part"),
    "whole_url_as_path": having(":path", "http://example.test/bad"),
    "asterisk_of_get": having(":path", "*"),
    "empty_method": having(":method", ""),
    "method_with_space": having(":method", "GET /smuggled HTTP/1.1\r\nX:"),
    "method_with_blank": having(":method", "G T"),
    "authority_with_space": having(":authority", "a b"),
    "authority_with_line_end": having(":authority", "a\r\nx-b: 1"),
    "authority_with_userinfo": having(":authority", "me@example.test"),
    "authority_with_path": having(":authority", "example.test/smuggled"),
    "authority_with_a_bad_port": having(":authority", "example.test:x"),
    "host_that_differs": adding(("host", "other.test")),
    "two_hosts": [*without(":authority"), ("host", "a.test"), ("host", "b.test")],
    "connect_with_path": having(":method", "CONNECT"),
    # lengths
    "two_lengths": adding(("content-length", "0"), ("content-length", "5")),
    "length_that_is_none": adding(("content-length", "five")),
    "negative_length": adding(("content-length", "-0")),
    "length_with_plus": adding(("content-length", "+0")),
    "length_list": adding(("content-length", "0, 5")),
    "length_and_no_body": adding(("content-length", "5")),
    "length_overflow": adding(("content-length", "18446744073709551616")),
}


def check_refused(stream, *codes):
    """Reset as malformed, or told so."""
    if stream.head:
        assert stream.status in (codes or (400,)), stream
        assert stream.ended
    else:
        assert stream.code == frames.PROTOCOL_ERROR, stream


@pytest.mark.parametrize("name", BAD_HEADS)
def test_a_malformed_head_is_refused_on_its_stream(origin, client, name):
    alive(client, "/before")
    check_refused(client.request(raw=BAD_HEADS[name]), 400, 501)
    alive(client, "/after")
    assert origin.targets == ["/before", "/after"]
    assert b"smuggled" not in origin.received


@pytest.mark.parametrize("value", [" leading", "trailing ", "\ttab", " "])
def test_white_space_around_a_value(origin, client, value):
    """Malformed as well, and harmless: what is not refused must have none of it at the server."""
    response = client.request(raw=adding(("x-a", value)))
    if response.status == 200:
        assert (origin.exchanges[0].get("x-a") or "") == value.strip(" \t")
        assert b"x-a: " + value.encode() not in origin.received.lower()
    else:
        check_refused(response)
    alive(client)


def test_many_malformed_ones_among_good_ones(origin, client):
    """Each end of a stream leaves HPACK's table and the windows whole."""
    for number in range(40):
        bad = client.start(raw=adding((f"x-{number}", "a" * 50), ("X-Upper", "1")), end=False)
        good = client.start(path=f"/{number}", fields=[(f"x-{number}", "a" * 50)])
        check_refused(bad.response())
        assert good.response().status == 200
    assert origin.targets == [f"/{number}" for number in range(40)]
    assert origin.exchanges[-1].get("x-39") == "a" * 50


# --- Bodies and trailers ---


@pytest.mark.parametrize("content", [b"", b"hel", b"hello!"], ids=["none", "less", "more"])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_body_that_is_not_as_long_as_told(origin, client, content, at_once):
    """Whatever the server has seen of it, it is no whole request (section 8.1.1)."""
    stream = client.start("POST", "/bad", [("content-length", "5")], end=False)
    if not at_once:
        wait_until(lambda: origin.exchanges, 5, "the head at the origin")
    stream.send(content, end=True)
    check_refused(stream.response())
    alive(client)
    wait_until(lambda: all(each.connection.ended for each in origin.exchanges
                           if each.target == "/bad"), 5, "the upstream connection closed")
    assert not any(each.complete for each in origin.exchanges if each.target == "/bad")


@pytest.mark.parametrize("trailers", [
    [(":path", "/smuggled")], [("X-Upper", "1")], [("connection", "close")],
    [("x-a", "1\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")], [("x a", "1")]],
    ids=["pseudo", "uppercase", "connection", "line_end", "space"])
def test_malformed_trailers(origin, client, trailers):
    stream = client.start("POST", "/bad", end=False)
    wait_until(lambda: origin.exchanges, 5, "the head at the origin")
    stream.send(b"hello", trailers=trailers)
    check_refused(stream.response())
    alive(client)
    wait_until(lambda: origin.exchanges[0].connection.ended, 5, "the upstream connection closed")
    assert not origin.exchanges[0].complete
    assert b"smuggled" not in origin.received


def test_trailers_of_framing_are_not_believed(origin, client):
    """They pass or they do not; the body is what it was."""
    stream = client.start("POST", end=False)
    response = stream.send(b"hello", trailers=[("content-length", "99"), ("x-a", "1")]).response()
    if response.head and response.status == 200:
        assert origin.exchanges[0].content == b"hello"
        told = [name.lower() for name, _ in origin.exchanges[0].trailers]
        assert "content-length" not in told
    else:
        check_refused(response)
    alive(client)


def test_trailers_that_do_not_end_the_stream(origin, proxy, wire):
    """Section 8.1: a second head without END_STREAM is malformed."""
    client = wire(proxy)
    client.send(frames.headers(1, end_stream=False), frames.body(1, b"hello"),
                frames.headers(1, [("x-a", "1")], end_stream=False), frames.headers(3))
    client.wait(lambda: frames.reset_of(client, 1) == frames.PROTOCOL_ERROR
                or client.of(frames.HEADERS, 1))
    client.wait_for(frames.HEADERS, 3)
    client.barrier()
    assert not any(exchange.complete and exchange.method == "GET" and exchange.content
                   for exchange in origin.exchanges)


# --- Too large ---


def check_too_large(stream, status):
    assert (stream.response().status, stream.ended) == (status, True), stream
    assert stream.get("proxy-status").startswith("weir; error=")


def test_a_head_over_the_limit_is_431(origin, client, proxy):
    alive(client)
    fields = [(f"x-{number}", "a" * 1000) for number in range(40)]
    check_too_large(client.start(fields=fields), 431)
    check_too_large(client.start("POST", fields=fields, end=False), 431)
    check_too_large(client.start(fields=[("x-one", "b" * LIMIT)]), 431)
    check_too_large(client.start(fields=[(f"x-{number}", "") for number in range(2000)]), 431)
    alive(client)
    assert origin.targets == ["/", "/"]
    assert proxy.metric("weir_requests_total", code="431") == 4


def test_a_head_below_the_limit_passes(origin, client):
    fields = [(f"x-{number:02}", "a" * 900) for number in range(30)]
    assert client.get("/", *fields).status == 200
    assert [origin.exchanges[0].get(name) for name, _ in fields] == ["a" * 900] * 30


def test_a_path_over_the_limit_is_414(origin, client):
    check_too_large(client.start(path="/" + "a" * LIMIT), 414)
    alive(client)
    assert origin.targets == ["/"]


def test_trailers_over_the_limit(origin, client):
    stream = client.start("POST", "/bad", end=False).send(b"hello")
    wait_until(lambda: origin.exchanges, 5, "the head at the origin")
    stream.send(trailers=[(f"x-{number}", "a" * 1000) for number in range(40)])
    check_refused(stream.response(), 400, 431)
    alive(client)
    assert not any(each.complete for each in origin.exchanges if each.target == "/bad")


def resident(proxy):
    with open(f"/proc/{proxy.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) * 1024


def test_hpack_bombs_are_counted_as_what_they_unpack_to(origin, proxy, wire):
    """One field of 4000 bytes laid into the table, then named 12,000 times with a byte for each."""
    client = wire(proxy)
    client.send(frames.headers(1))
    client.wait_for(frames.DATA, 1)
    before = resident(proxy)
    bomb = (frames.block(frames.request_fields("/bomb"))
            + frames.literal(b"x-bomb", b"b" * 4000, indexed=True) + b"\xbe" * 12_000)
    for number in range(40):
        client.send(frames.headers(3 + 2 * number, raw=bomb))
        client.wait_for(frames.HEADERS, 3 + 2 * number)
    client.send(frames.headers(1001))
    client.wait_for(frames.DATA, 1001)
    assert origin.targets == ["/", "/"] and client.goaways == []
    assert proxy.metric("weir_requests_total", code="431") == 40
    if not program.is_sanitized():
        assert resident(proxy) - before < 4 << 20


@pytest.mark.parametrize("raw", [b"\x80", b"\xff\xff\xff\xff\xff\x0f", b"\x3f\xe1\xff\xff\x7f",
                                 b"\0\x85\xff\xff\xff\xff\xff\x011"],
                         ids=["index_0", "no_such_index", "table_too_large", "end_in_huffman"])
def test_a_head_that_cannot_be_unpacked_ends_the_connection(proxy, wire, connect_h2, origin, raw):
    """The table's state is lost (section 4.3)."""
    client = wire(proxy)
    client.send(frames.headers(1, raw=raw))
    client.ended_as(frames.COMPRESSION_ERROR)
    assert origin.exchanges == []
    alive(connect_h2(proxy))


CONNECTION_ERRORS = {
    "frame_too_large": (frames.frame(frames.DATA, 0, 1, bytes(16385)), frames.FRAME_SIZE_ERROR),
    "body_before_a_head": (frames.body(1, b"hello"), frames.PROTOCOL_ERROR),
    "even_stream": (frames.headers(2), frames.PROTOCOL_ERROR),
    "stream_0": (frames.headers(0), frames.PROTOCOL_ERROR),
    "push_promise": (frames.frame(frames.PUSH_PROMISE, 4, 1, b"\0\0\0\2"), frames.PROTOCOL_ERROR),
    "no_continuation": (frames.headers(1, end_headers=False) + frames.ping(),
                        frames.PROTOCOL_ERROR),
    "window_of_0": (frames.window_update(0, 0), frames.PROTOCOL_ERROR),
    "window_too_large": (frames.window_update(0, frames.LARGEST), frames.FLOW_CONTROL_ERROR),
    "window_setting_too_large": (frames.settings({frames.INITIAL_WINDOW_SIZE: 1 << 31}),
                                 frames.FLOW_CONTROL_ERROR),
    "padding_longer_than_the_frame": (
        frames.headers(1, end_stream=False) + frames.frame(frames.DATA, frames.PADDED, 1, b"\x05"),
        frames.PROTOCOL_ERROR),
}


@pytest.mark.parametrize("name", CONNECTION_ERRORS)
def test_what_breaks_the_connection_is_told(proxy, wire, connect_h2, name):
    raw, code = CONNECTION_ERRORS[name]
    client = wire(proxy)
    client.send(raw)
    client.ended_as(code)
    proxy.wait_metric(0, "weir_downstream_connections")
    proxy.wait_metric(0, "weir_pool_in_use_connections")
    alive(connect_h2(proxy))


def test_more_than_the_window_is_not_taken(origin, proxy, wire):
    """Nobody takes any of it further, so the window stays as it is, but for what a replay needs."""
    client = wire(proxy)
    origin.close_door()
    client.send(frames.headers(1, frames.request_fields(method="POST"), end_stream=False),
                *[frames.body(1, bytes(16384)) for _ in range(10)])
    client.wait(lambda: client.goaways or frames.reset_of(client, 1) is not None)
    code = client.goaways[-1].code if client.goaways else frames.reset_of(client, 1)
    assert code == frames.FLOW_CONTROL_ERROR
