# SPDX-License-Identifier: MIT
"""Clients over HTTP/1 before an origin over HTTP/2: heads, bodies, trailers, and what is told."""

import pytest

import sockets
from client import request
from framing import LAST_CHUNK, chunk
from h2_upstream import (Holding, connections, floods, last_error, opened, over_h2,
                         streams_now)
from waiting import wait_until
from weir import one_upstream

LARGE = bytes(range(256)) * 4096  # 1 MiB


# --- Reuse ---


def test_a_thousand_requests_over_one_connection(h2_origin, h2_proxy, connect):
    client = connect(h2_proxy)
    for at in range(1000):
        response = client.get(f"/{at}")
        assert (response.status, response.body) == (200, b"GET /%d\n" % at)
        assert (response.connection, response.ordinal) == (1, at + 1)
    assert [stream.id for stream in h2_origin.streams] == list(range(1, 2001, 2))
    h2_proxy.wait_idle(1)
    assert h2_proxy.metrics().by("weir_upstream_requests_total", "connection") == {
        "new": 1, "reused": 999}
    assert opened(h2_proxy) == 1 and h2_proxy.not_kept() == {}


def test_clients_that_come_and_go_share_it(h2_origin, h2_proxy, connect):
    for _ in range(20):
        client = connect(h2_proxy)
        assert client.get("/", "Connection: close").connection == 1
        assert client.ended() == "fin"
    assert len(h2_origin.connections) == 1


def test_http_1_0_clients_are_served(h2_origin, h2_proxy, connect):
    h2_origin.paths["/open"] = lambda stream: (stream.body(), stream.head(), stream.send(b"hello"),
                                               stream.finish())
    for target, body in (("/", b"GET /\n"), ("/open", b"hello")):
        client = connect(h2_proxy)
        client.send(b"GET %s HTTP/1.0\r\nHost: a\r\n\r\n" % target.encode())
        response = client.receive()
        assert (response.status, response.body, response.complete) == (200, body, True)
        assert not response.get("transfer-encoding") and response.connection == 1


def test_the_url_says_h2c(weir, h2_origin, connect):
    client = connect(weir(one_upstream(f"h2c://{h2_origin.address}")))
    assert [client.get().ordinal for _ in range(3)] == [1, 2, 3]
    assert h2_origin.connections[0].protocol == "h2"


def test_over_a_unix_socket(weir, h2_origins, connect, tmp_path):
    origin = h2_origins(address=f"unix:{tmp_path}/origin.sock")
    client = connect(weir(over_h2(origin.address)))
    assert [client.get().ordinal for _ in range(3)] == [1, 2, 3]


def test_connections_kept_ready_have_said_hello(weir, h2_origin, connect):
    proxy = weir(over_h2(h2_origin.address, upstream={"min_idle": 1}))
    proxy.wait_idle(1)
    wait_until(lambda: h2_origin.connections and h2_origin.connections[0].acked)
    assert connect(proxy).get().connection == 1
    assert proxy.logged(1)[0]["connection"] in ("reused", "taken_over")


def test_health_checks_speak_it_too(weir, h2_origin):
    proxy = weir(over_h2(h2_origin.address, upstream={
        "health": {"path": "/health", "interval": "50ms"}}))
    wait_until(lambda: proxy.metric("weir_health_checks_total", result="passed") >= 2, 5,
               "checks that passed")
    assert proxy.metric("weir_health_checks_total", result="failed") == 0
    assert {stream.target for stream in h2_origin.streams} == {"/health"}


# --- Heads ---


def test_a_requests_head_becomes_one_of_http2(h2_origin, h2_proxy, connect):
    client = connect(h2_proxy)
    client.send(b"GET /a?b=c HTTP/1.1\r\nHost: Example.test:8080\r\nX-Mixed-Case: Value\r\n"
                b"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
                b"Proxy-Connection: keep-alive\r\nX-Empty:\r\nX-Two: 1\r\nX-Two: 2\r\n\r\n")
    response = client.receive()
    (stream,) = h2_origin.streams
    pseudo = dict(stream.fields[:4])
    assert pseudo == {":method": "GET", ":path": "/a?b=c", ":scheme": "http",
                      ":authority": "Example.test:8080"}
    names = [name for name, _ in stream.fields[4:]]
    assert not {"host", "connection", "keep-alive", "proxy-connection", "x-hop",
                "transfer-encoding", "upgrade"} & set(names)
    assert stream.get("x-mixed-case") == "Value" and stream.get("x-empty") == ""
    assert stream.all("x-two") in (["1", "2"], ["1, 2"])
    assert stream.get("via") == "1.1 weir", "it came over HTTP/1.1"
    assert stream.get("content-length") is None and stream.content == b""
    assert response.get("via") == "2 weir", "it came over HTTP/2"


def test_cookies_arrive_whole(h2_origin, h2_proxy, connect):
    """They may come in several fields over HTTP/2 (RFC 9113 section 8.2.3)."""
    connect(h2_proxy).get("/", "Cookie: a=1; b=2; c=3")
    assert "; ".join(h2_origin.streams[0].all("cookie")) == "a=1; b=2; c=3"


def test_te_is_trailers_or_nothing(h2_origin, h2_proxy, connect):
    client = connect(h2_proxy)
    client.get("/", "TE: trailers, gzip;q=0.5", "Connection: TE")
    client.get("/", "TE: gzip", "Connection: TE")
    assert [stream.get("te") for stream in h2_origin.streams] == ["trailers", None]


@pytest.mark.parametrize("start, path", [
    ("OPTIONS *", "*"), ("OPTIONS /a", "/a"), ("GET http://a/b?c", "/b?c"), ("BREW /pot", "/pot")])
def test_targets_and_methods(h2_origin, h2_proxy, connect, start, path):
    client = connect(h2_proxy)
    client.send(f"{start} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert client.receive().status == 200
    (stream,) = h2_origin.streams
    assert (stream.method, stream.target) == (start.split(" ")[0], path)
    assert stream.get(":authority") == "a"


def test_large_heads_pass_both_ways(h2_origin, h2_proxy, connect):
    """More than a frame holds: CONTINUATION."""
    value = "".join(chr(33 + at % 90) for at in range(20_000))
    h2_origin.default = lambda stream: stream.respond(fields=[("x-large", value)])
    response = connect(h2_proxy).get("/", f"X-Large: {value}")
    assert response.get("x-large") == h2_origin.streams[0].get("x-large") == value
    assert h2_origin.connections[0].of("CONTINUATION")


def test_a_head_that_is_too_large_is_502_on_its_stream_alone(h2_origin, h2_proxy, connect):
    fields = [(f"x-{at}", "a" * 4000) for at in range(10)]
    h2_origin.at[1, 1] = lambda stream: stream.respond(fields=fields)
    response = connect(h2_proxy).get()
    assert (response.status, response.error) == (502, "http_response_header_section_size")
    assert last_error(h2_proxy, 1) == "http_response_header_section_size"
    again = connect(h2_proxy).get()
    assert (again.status, again.connection) == (200, 1)


def test_a_head_without_measure_is_502_and_the_end_of_its_connection(h2_origin, h2_proxy, connect):
    fields = [(f"x-{at}", "a" * 4000) for at in range(100)]
    h2_origin.at[1, 1] = lambda stream: stream.respond(fields=fields)
    assert connect(h2_proxy).get().status == 502
    assert floods(h2_proxy) == {"continuation": 1}
    assert connect(h2_proxy).get().connection == 2


MALFORMED = {
    "no_status": [("x-a", "1")],
    "two_statuses": [(":status", "200"), (":status", "200")],
    "status_that_is_no_number": [(":status", "2x0")],
    "pseudo_behind_regular": [("x-a", "1"), (":status", "200")],
    "unknown_pseudo": [(":status", "200"), (":other", "1")],
    "requests_pseudo": [(":status", "200"), (":path", "/")],
    "upper_case": [(":status", "200"), ("X-A", "1")],
    "connection": [(":status", "200"), ("connection", "close")],
    "transfer_encoding": [(":status", "200"), ("transfer-encoding", "chunked")],
    "two_lengths": [(":status", "200"), ("content-length", "1"), ("content-length", "2")],
    "length_that_is_no_number": [(":status", "200"), ("content-length", "1x")],
    "line_break_in_value": [(":status", "200"), ("x-a", "1\r\nx-injected: 1")],
    "line_break_in_name": [(":status", "200"), ("x-a\r\nx-injected", "1")],
    "nul_in_value": [(":status", "200"), ("x-a", "1\0")],
    "101": [(":status", "101")],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_head_is_502_on_its_stream_alone(h2_origin, h2_proxy, connect, name):
    """RFC 9113 section 8.1.1. What would be a line of its own in HTTP/1 never is one."""
    h2_origin.at[1, 1] = lambda stream: (stream.body(),
                                         stream.raw_head(MALFORMED[name], end=name != "101"))
    response = connect(h2_proxy).get()
    assert (response.status, response.error) == (502, "http_protocol_error")
    assert b"injected" not in response.head.raw
    again = connect(h2_proxy).get()
    assert (again.status, again.connection, again.ordinal) == (200, 1, 2)


# --- Bodies ---


@pytest.mark.parametrize("size", [0, 1, 16384, 16385, 65535, 65536, len(LARGE)])
def test_bodies_pass_whole_both_ways(h2_origin, h2_proxy, connect, size):
    h2_origin.default = lambda stream: stream.respond(stream.body())
    response = connect(h2_proxy).request("POST", body=LARGE[:size])
    assert (response.body, response.framing, response.complete) == (LARGE[:size], "length", True)
    (stream,) = h2_origin.streams
    assert stream.content == LARGE[:size] and stream.get("content-length") == str(size)


def test_chunked_bodies_lose_their_chunks_and_get_them_back(h2_origin, h2_proxy, connect):
    def echo(stream):
        stream.head()
        stream.send(stream.body())
        stream.finish()
    h2_origin.default = echo
    client = connect(h2_proxy)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                *(chunk(LARGE[at:at + 7777]) for at in range(0, 777_700, 7777)), LAST_CHUNK)
    response = client.receive()
    assert response.framing == "chunked" and response.body == LARGE[:777_700]
    (stream,) = h2_origin.streams
    assert stream.get("content-length") is None and stream.content == LARGE[:777_700]
    assert client.get().ordinal == 2


def test_pieces_are_passed_on_as_they_come(h2_origin, h2_proxy, connect):
    """Both ways in turn, a byte and its answer: nothing waits for more."""
    def answer_each(stream):
        stream.head()
        for count in range(1, 6):
            stream.send(stream.some(count)[-1:])
        stream.body()
        stream.finish()
    h2_origin.default = answer_each
    client = connect(h2_proxy)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    for letter in (b"a", b"b", b"c", b"d", b"e"):
        client.send(chunk(letter))
        while chunk(letter) not in client.reader.buffer:
            assert client.reader.fill()
    client.send(LAST_CHUNK)
    assert client.receive().body == b"abcde"


def test_empty_frames_and_padding_change_nothing(h2_origin, h2_proxy, connect):
    def behave(stream):
        stream.body()
        stream.head(fields=[("content-length", "100000")])
        for at in range(0, 100_000, 1000):
            stream.send(LARGE[at:at + 1000], padding=at % 255)
        with stream.connection.acting(stream) as codec:
            codec.send_data(stream.id, b"")
        stream.finish()
    h2_origin.default = behave
    client = connect(h2_proxy)
    for _ in range(3):
        assert client.get().body == LARGE[:100_000]


@pytest.mark.parametrize("status, fields", [
    (200, [("content-length", "12345")]), (204, []), (304, [("content-length", "12345")]),
    (304, [])])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_responses_without_a_body(h2_origin, h2_proxy, connect, method, status, fields):
    if (method, status) == ("GET", 200):
        fields = [("content-length", "0")]
    h2_origin.default = lambda stream: (stream.body(), stream.head(status, fields, end=True))
    client = connect(h2_proxy)
    for ordinal in (1, 2):
        response = client.request(method)
        assert (response.status, response.body, response.ordinal) == (status, b"", ordinal)
        if fields:
            assert response.get("content-length") == fields[0][1]
    assert len(h2_origin.connections) == 1


def test_an_empty_body_may_end_in_a_frame_of_its_own(h2_origin, h2_proxy, connect):
    h2_origin.default = lambda stream: (stream.body(), stream.head(204), stream.finish())
    client = connect(h2_proxy)
    assert [client.get().status for _ in range(3)] == [204] * 3


@pytest.mark.parametrize("told, sent", [(10, 5), (5, 10), (0, 5), (5, 0)])
def test_a_body_of_another_length_than_told_is_an_error(h2_origin, h2_proxy, connect, told, sent):
    """Of that stream alone (RFC 9113 section 8.1.1)."""
    def lie(stream):
        stream.body()
        stream.head(fields=[("content-length", str(told))])
        stream.send(b"x" * sent, end=True) if sent else stream.finish()
    h2_origin.at[1, 1] = lie
    client = connect(h2_proxy)
    client.send(request())
    response = client.receive()
    assert response.status == 502 or not response.complete or (told == 0 and not response.body)
    assert last_error(h2_proxy, 1)
    assert connect(h2_proxy).get().ordinal == 2


# --- Trailers and interim responses ---


def test_trailers_pass_both_ways(h2_origin, h2_proxy, connect):
    h2_origin.default = lambda stream: (
        stream.body(), stream.head(fields=[("trailer", "x-sum")]), stream.send(b"hello"),
        stream.finish([("x-sum", "42")]))
    client = connect(h2_proxy)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n"
                b"Trailer: X-Check\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"world")
                + b"0\r\nX-Check: 1\r\n\r\n")
    response = client.receive()
    assert (response.body, response.framing) == (b"hello", "chunked")
    assert [(name.lower(), value) for name, value in response.trailers] == [("x-sum", "42")]
    (stream,) = h2_origin.streams
    assert (stream.content, stream.trailers) == (b"world", [("x-check", "1")])
    assert client.get().ordinal == 2


def test_trailers_behind_a_told_length_leave_the_response_whole(h2_origin, h2_proxy, connect):
    """HTTP/1 has no place for them there; a reader must not be confused."""
    h2_origin.default = lambda stream: stream.respond(b"hello", trailers=[("x-sum", "1")])
    client = connect(h2_proxy)
    for ordinal in (1, 2):
        response = client.get()
        assert (response.body, response.complete, response.ordinal) == (b"hello", True, ordinal)


def test_trailers_without_a_body(h2_origin, h2_proxy, connect):
    h2_origin.default = lambda stream: (stream.body(), stream.head(),
                                        stream.finish([("x-sum", "1")]))
    client = connect(h2_proxy)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"0\r\nX-Check: 1\r\n\r\n")
    response = client.receive()
    assert (response.status, response.body) == (200, b"")
    assert (h2_origin.streams[0].content, h2_origin.streams[0].trailers) == (
        b"", [("x-check", "1")])


def test_what_has_no_place_in_trailers_does_not_pass(h2_origin, h2_proxy, connect):
    h2_origin.default = lambda stream: (
        stream.body(), stream.head(), stream.send(b"hello"),
        stream.finish([("set-cookie", "a=1"), ("via", "1.1 a"), ("x-sum", "1")]))
    response = connect(h2_proxy).get()
    assert response.body == b"hello"
    assert [(name.lower(), value) for name, value in response.trailers] == [("x-sum", "1")]


def test_interim_responses_pass(h2_origin, h2_proxy, connect):
    def behave(stream):
        stream.interim(103, [("link", "</a.css>")])
        stream.interim(103, [("link", "</b.css>")])
        stream.respond(b"hello")
    h2_origin.default = behave
    client = connect(h2_proxy)
    for ordinal in (1, 2):
        response = client.get()
        assert (response.body, response.ordinal) == (b"hello", ordinal)
        assert [(each.status, each.get("link")) for each in response.interim] == [
            (103, "</a.css>"), (103, "</b.css>")]


def test_100_continue_lets_the_body_come(h2_origin, h2_proxy, connect):
    h2_origin.default = lambda stream: (stream.interim(100), stream.respond())
    client = connect(h2_proxy)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert client.receive_interim().start.startswith("HTTP/1.1 100 ")
    (stream,) = h2_origin.streams
    assert stream.get("expect") == "100-continue" and not stream.complete
    client.send(b"hello")
    assert client.receive().status == 200 and stream.content == b"hello"


def test_a_refusal_instead_of_100(h2_origin, h2_proxy, connect):
    """The rest of the request is not wanted; the connection stays."""
    h2_origin.at[1, 1] = lambda stream: (stream.head(417, [("content-length", "0")], end=True),
                                         stream.reset("NO_ERROR"))
    client = connect(h2_proxy)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    response = client.receive()
    assert (response.status, response.interim) == (417, [])
    client.close()
    assert (connect(h2_proxy).get().connection, len(h2_origin.connections)) == (1, 1)


# --- What is told ---


def test_metrics_pages_and_log_tell_of_streams_and_protocol(h2_origin, h2_proxy, crowd):
    holding = Holding(h2_origin, crowd, h2_proxy)
    holding.come(3, together=True)
    web = {"service": "edge", "upstream": "web"}
    metrics = h2_proxy.metrics()
    assert metrics.value("weir_pool_streams", **web) == 3
    assert metrics.value("weir_pool_in_use_connections", protocol="h2", **web) == 1
    assert metrics.value("weir_pool_in_use_connections", protocol="http/1.1", **web) == 0
    (peer,) = h2_proxy.pools()["services"][0]["peers"]
    assert (peer["protocol"], peer["streams"], peer["in_use"], peer["idle"]) == ("h2", 3, 1, 0)
    (connection,) = peer["connections"]
    assert (connection["protocol"], connection["streams"]) == ("h2", 3)
    assert connection["state"] != "idle"
    holding.finish()
    h2_proxy.wait_idle(1)
    assert h2_proxy.metric("weir_pool_idle_connections", protocol="h2", **web) == 1
    assert streams_now(h2_proxy) == 0
    (connection,) = connections(h2_proxy)
    assert (connection["state"], connection["streams"], connection["requests"]) == ("idle", 0, 3)
    for line in h2_proxy.logged(3):
        assert (line["protocol"], line["upstream_protocol"]) == ("HTTP/1.1", "h2")
        assert line["connection_id"] == connection["id"]


def test_a_connection_over_http1_has_no_streams_to_tell_of(proxy, connect):
    connect(proxy).get()
    proxy.wait_idle(1)
    (peer,) = proxy.pools()["services"][0]["peers"]
    assert (peer["protocol"], peer["streams"]) == ("http/1.1", 0)
    (connection,) = peer["connections"]
    assert (connection["protocol"], connection["streams"]) == ("http/1.1", None)
    assert proxy.metric("weir_pool_idle_connections", protocol="http/1.1") == 1
    assert proxy.metric("weir_pool_idle_connections", protocol="h2") == 0
    assert proxy.logged(1)[0]["upstream_protocol"] == "http/1.1"


def test_without_a_connection_there_is_no_protocol_to_tell(weir, connect):
    proxy = weir(over_h2(sockets.free_address()))
    assert connect(proxy).get().status == 502
    line = proxy.logged(1)[0]
    assert (line["error"], line["upstream_protocol"]) == ("connection_refused", None)
