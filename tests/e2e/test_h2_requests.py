# SPDX-License-Identifier: MIT
"""What becomes of heads and trailers between HTTP/2 and HTTP/1, and what is told of it."""

import contextlib
import threading

import pytest

import h2_frames as frames
import tls
from framing import LAST_CHUNK, chunk
from h2_client import alive
from origin import answer
from waiting import wait_until
from weir import one_upstream

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nKeep-Alive: timeout=9\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture
def client(proxy, connect_h2):
    return connect_h2(proxy)


# --- Methods ---


def test_get_post_and_head_share_a_connection_each_way(origin, client, proxy):
    for ordinal in (1, 4, 7):
        got = client.get("/a?b=c")
        assert (got.status, got.body, got.ordinal) == (200, b"GET /a?b=c\n", ordinal)
        posted = client.request("POST", "/p", body=b"hello")
        assert (posted.body, posted.connection) == (b"POST /p\n", 1)
        headed = client.request("HEAD", "/h")
        assert (headed.status, headed.body, headed.get("content-length")) == (200, b"", "8")
    assert origin.exchanges[1].content == b"hello"
    proxy.wait_idle(1)
    assert proxy.not_kept() == {}


@pytest.mark.parametrize("method, target", [
    ("OPTIONS", "*"), ("OPTIONS", "/"), ("PUT", "/a"), ("DELETE", "/a%20b"), ("PATCH", "//a"),
    ("PURGE", "/?"), ("GET", "/%E2%82%AC?x=[1]"), ("GET", "/" + "a" * 4000)])
def test_methods_and_targets_pass_as_they_came(origin, client, method, target):
    assert client.request(method, target).status == 200
    seen = origin.exchanges[0]
    assert (seen.method, seen.target, seen.version) == (method, target, "HTTP/1.1")


def test_connect_is_501_on_its_stream_alone(client, origin):
    refused = client.request(raw=[(":method", "CONNECT"), (":authority", "example.test:443")])
    assert (refused.status, refused.complete) == (501, True)
    assert refused.get("proxy-status").startswith("weir; error=")
    alive(client)
    tunnel = client.start(raw=[(":method", "CONNECT"), (":authority", "a.test:443")], end=False)
    assert tunnel.response().status == 501
    alive(client)
    assert origin.targets == ["/", "/"]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_body_that_is_none_is_not_chunked(origin, client, method):
    assert client.request(method).status == 200
    assert client.request(method, body=b"").status == 200
    told = [(e.get("content-length"), e.get("transfer-encoding")) for e in origin.exchanges]
    assert told in ([(None, None), ("0", None)], [("0", None), ("0", None)])


def test_get_without_a_body_has_no_framing(origin, client):
    client.get()
    seen = origin.exchanges[0]
    assert (seen.get("content-length"), seen.get("transfer-encoding")) == (None, None)


def test_a_length_is_kept_and_what_has_none_is_chunked(origin, client):
    client.request("POST", body=b"hello")
    client.start("POST", end=False).send(b"hello", end=True).response()
    told = [(e.get("content-length"), e.get("transfer-encoding")) for e in origin.exchanges]
    assert told == [("5", None), (None, "chunked")]
    assert [exchange.content for exchange in origin.exchanges] == [b"hello", b"hello"]


# --- Fields of requests ---


def test_what_is_added_for_the_server(origin, client):
    client.request(authority="www.example.test:8080")
    seen = origin.exchanges[0]
    assert seen.head.all("host") == ["www.example.test:8080"]
    assert seen.get("via") == "2 weir"
    assert seen.get("x-forwarded-for") == "127.0.0.1"
    assert seen.get("x-forwarded-proto") == "http"
    assert seen.get("x-forwarded-host") == "www.example.test:8080"


def test_what_came_is_continued(origin, client):
    client.get("/", ("via", "1.0 elder"), ("x-forwarded-for", "192.0.2.1"))
    assert origin.exchanges[0].get("via") == "1.0 elder, 2 weir"
    assert origin.exchanges[0].get("x-forwarded-for") == "192.0.2.1, 127.0.0.1"


def test_the_scheme_is_that_of_the_connection(edge, connect_h2_tls, origin):
    """Whatever the client says: servers believe what they are told."""
    client = connect_h2_tls(edge())
    for scheme in ("https", "http"):
        client.request(scheme=scheme)
    told = {exchange.get("x-forwarded-proto") for exchange in origin.exchanges}
    assert told == {"https"}


def test_host_may_stand_in_for_authority(origin, client):
    head = [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "a.test")]
    assert client.request(raw=head).status == 200
    both = frames.request_fields(authority="b.test", fields=[("host", "b.test")])
    assert client.request(raw=both).status == 200
    assert [exchange.head.all("host") for exchange in origin.exchanges] == [["a.test"], ["b.test"]]


def test_cookie_crumbs_are_one_field(origin, client):
    """RFC 9113 section 8.2.3: in HTTP/1 there is one Cookie."""
    crumbs = [("cookie", f"n{number}=v{number}") for number in range(50)]
    client.get("/", ("x-before", "1"), *crumbs[:25], ("x-between", "2"), *crumbs[25:])
    seen = origin.exchanges[0]
    assert seen.head.all("cookie") == ["; ".join(value for _, value in crumbs)]
    assert (seen.get("x-before"), seen.get("x-between")) == ("1", "2")


def test_fields_pass_in_order_and_with_all_their_bytes(origin, client):
    fields = [("x-a", "1"), ("x-b", ""), ("x-a", "2"), ("accept", "a, b;q=0.1"), ("x-a", "3"),
              ("x-bytes", b"\xff\xfe caf\xe9"), ("x-tab", "a\tb")]
    client.get("/", *fields)
    names = dict(fields)
    seen = [(name.lower(), value) for name, value in origin.exchanges[0].head.fields
            if name.lower() in names]
    assert seen == [(n, v if isinstance(v, str) else v.decode("latin-1")) for n, v in fields]


def test_te_stays_here(origin, client):
    """It is between the client and weir; what it says of trailers may be told anew."""
    client.get("/", ("te", "trailers"))
    assert origin.exchanges[0].get("te") in (None, "trailers")
    assert origin.exchanges[0].head.raw.count(b"\r\n\r\n") == 1


def test_priority_is_for_the_server_too(origin, client):
    """RFC 9218 section 4: the field is end to end."""
    alive(client)
    client.send(frames.priority_update(3, b"u=7"))
    assert client.get("/", ("priority", "u=1, i")).status == 200
    client.send(frames.priority_update(1, b"u=0, i"), frames.priority_update(99, b"u=3"),
                frames.priority_update(5, b""))
    alive(client)
    assert origin.exchanges[1].get("priority") == "u=1, i"


def test_what_is_unknown_is_passed_over(client):
    """RFC 9113 section 5.5."""
    stream = client.start("POST", end=False)
    client.send(frames.frame(0xfa, 0xff, 0, b"hello"), frames.frame(0xfb, 0, stream.number, b"hi"),
                frames.frame(0xa, 0, 0, b""), frames.settings({0xfff1: 7, 0x2a: 1 << 31}))
    assert stream.send(b"hello", end=True).response().status == 200
    alive(client)


# --- Fields of responses ---


def test_what_the_client_gets(origin, client):
    origin.default = answer(
        b"HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nConnection: keep-alive, x-mine\r\n"
        b"Keep-Alive: timeout=9\r\nX-Mine: 1\r\nX-Theirs: 2\r\nSet-Cookie: a=1\r\n"
        b"Set-Cookie: b=2\r\nContent-TYPE: text/plain\r\n\r\nhello")
    response = client.get()
    assert (response.status, response.body, response.trailers) == (200, b"hello", [])
    assert response.get("content-length") == "5"
    assert response.get("via") == "1.1 weir"
    assert response.get("date") and len(response.head.all("date")) == 1
    assert response.head.all("set-cookie") == ["a=1", "b=2"]
    assert (response.get("content-type"), response.get("x-theirs")) == ("text/plain", "2")
    for name in ("connection", "keep-alive", "transfer-encoding", "x-mine"):
        assert response.get(name) is None


def test_a_date_that_came_stays(origin, client):
    told = "Thu, 01 Jan 1970 00:00:01 GMT"
    origin.default = answer(OK.replace(b"\r\n\r\n", b"\r\nDate: %s\r\n\r\n" % told.encode()))
    assert client.get().head.all("date") == [told]


@pytest.mark.parametrize("status", [204, 205, 304, 404, 500, 599])
def test_statuses_pass(origin, client, status):
    head = b"HTTP/1.1 %d Whatever\r\n" % status
    bodiless = status in (204, 304)
    origin.default = answer(head + (b"\r\n" if bodiless else b"Content-Length: 0\r\n\r\n"))
    response = client.get()
    assert (response.status, response.body, response.complete) == (status, b"", True)
    alive_after = client.get()
    assert (alive_after.status, alive_after.ordinal) == (status, 2)


def test_a_response_without_a_length_ends_with_its_connection(origin, client):
    origin.at[1, 1] = answer(b"HTTP/1.1 200 OK\r\n\r\nhello", "fin")
    response = client.get()
    assert (response.body, response.complete, response.connection) == (b"hello", True, 1)
    assert alive(client).connection == 2


def test_an_http10_origin_is_no_matter(origin, client):
    origin.at[1, 1] = answer(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "fin")
    assert client.get().get("via") == "1.0 weir"
    alive(client)


def test_own_answers_are_whole_responses(weir, origin, connect_h2):
    proxy = weir(one_upstream(origin.address, service={
        "routes": [{"path": "/known", "upstream": "web"}]}))
    client = connect_h2(proxy)
    response = client.get("/unknown")
    assert (response.status, response.error) == (404, "destination_not_found")
    assert response.get("cache-control") == "no-store" and response.complete
    assert int(response.get("content-length")) == len(response.body)
    origin.default = answer(OK, "fin", label=False)
    assert client.get("/known").status == 200
    wait_until(lambda: proxy.metric("weir_pool_idle_connections") == 0)
    origin.stop_listening()
    refused = client.get("/known")
    assert (refused.status, refused.error) == (502, "connection_refused")


# --- Trailers ---


def test_trailers_pass_both_ways(origin, client):
    origin.default = answer(CHUNKED + b"Trailer: X-Sum\r\n\r\n" + chunk(b"hello")
                            + b"0\r\nX-Sum: 42\r\nX-Also: 1\r\n\r\n")
    stream = client.start("POST", fields=[("te", "trailers")], end=False)
    response = stream.send(b"hi", trailers=[("x-check", "1"), ("x-bytes", b"\xff")]).response()
    assert (response.body, response.trailers) == (b"hello", [("x-sum", "42"), ("x-also", "1")])
    assert origin.exchanges[0].content == b"hi"
    told = [(name.lower(), value) for name, value in origin.exchanges[0].trailers]
    assert told == [("x-check", "1"), ("x-bytes", "\xff")]
    alive(client)


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("content", [b"", b"hello"])
def test_trailers_behind_any_body(origin, proxy, client, content, at_once):
    """Also where all of the request is there before any of it was looked at."""
    origin.default = answer(CHUNKED + b"\r\n" + (chunk(content) if content else b"")
                            + b"0\r\nX-Sum: 42\r\n\r\n")
    client.barrier()
    with proxy.standing_still() if at_once else contextlib.nullcontext():
        stream = client.start("POST", end=False)
        if not at_once:
            wait_until(lambda: origin.exchanges, 5, "the head at the origin")
        stream.send(content, trailers=[("x-check", "1")])
    response = stream.response()
    assert (response.body, response.trailers) == (content, [("x-sum", "42")])
    assert (origin.exchanges[0].content, len(origin.exchanges[0].trailers)) == (content, 1)


def test_trailers_that_speak_of_the_connection_stay_here(origin, client):
    """HTTP/2 has no such fields, and a trailer is no place for framing (RFC 9110 section 6.5.1)."""
    origin.default = answer(CHUNKED + b"\r\n" + chunk(b"hello")
                            + b"0\r\nConnection: close\r\nX-Sum: 1\r\n\r\n")
    response = client.get()
    assert (response.body, response.trailers) == (b"hello", [("x-sum", "1")])


# --- 1xx ---


def test_100_continue_lets_the_body_come(origin, client):
    origin.default = lambda exchange: (exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n"),
                                       exchange.respond())
    stream = client.start("POST", fields=[("expect", "100-continue"), ("content-length", "5")],
                          end=False)
    assert stream.wait_interim().status == 100
    assert not origin.exchanges[0].complete
    stream.send(b"hello", end=True)
    assert stream.response().status == 200
    assert origin.exchanges[0].content == b"hello"
    assert origin.exchanges[0].get("expect") == "100-continue"
    assert client.get().ordinal == 2


def test_a_refusal_in_place_of_100(origin, client, proxy):
    def refuse(exchange):
        exchange.send(exchange.labelled(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"))
        exchange.connection.over = True
        exchange.connection.reader.rest()

    origin.at[1, 1] = refuse
    stream = client.start("POST", fields=[("expect", "100-continue"), ("content-length", "5")],
                          end=False)
    response = stream.response()
    assert (response.status, response.interim, response.ended) == (417, [], True)
    assert alive(client).connection == 2


@pytest.mark.parametrize("count", [1, 5])
def test_103_passes_before_the_final_response(origin, client, count):
    go = threading.Event()
    origin.default = lambda exchange: (exchange.send(HINTS * count), exchange.hold(go),
                                       exchange.respond())
    stream = client.start()
    hints = stream.wait_interim(count)
    assert (hints.status, hints.get("link"), hints.get("keep-alive")) == (103, "</a.css>", None)
    assert stream.head is None
    go.set()
    assert [each.status for each in stream.response().interim] == [103] * count
    assert stream.status == 200


def test_103_in_one_piece_with_the_final_response(origin, client):
    origin.default = answer(HINTS + HINTS + OK, label=False)
    response = client.get()
    assert ([each.status for each in response.interim], response.body) == ([103, 103], b"hello")


def test_101_is_nothing_for_http2(origin, client):
    """RFC 9113 section 8.6."""
    origin.at[1, 1] = answer(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                             b"Upgrade: websocket\r\n\r\nPOISON")
    assert client.get().status == 502
    assert alive(client).connection == 2


# --- What is told of it ---


def test_the_access_log_tells_each_stream(origin, client, proxy):
    client.get("/one")
    client.request("POST", "/two", body=b"hello", authority="www.test")
    first, second = proxy.logged(2)
    assert [line["protocol"] for line in (first, second)] == ["HTTP/2"] * 2
    assert [line["upstream_protocol"] for line in (first, second)] == ["http/1.1"] * 2
    assert (first["method"], first["path"], first["status"]) == ("GET", "/one", 200)
    assert (second["method"], second["host"], second["path"]) == ("POST", "www.test", "/two")
    assert second["request_bytes"] == 5 and second["response_bytes"] > len(b"POST /two\n")
    assert (first["connection"], second["connection"]) == ("new", "reused")
    assert first["client"] == "127.0.0.1" and first["error"] is None
    assert first["duration_us"] > 0


def test_what_never_had_a_connection_has_no_upstream_protocol(weir, origin, connect_h2):
    proxy = weir(one_upstream(origin.address, service={
        "routes": [{"path": "/known", "upstream": "web"}]}))
    connect_h2(proxy).get("/unknown")
    line = proxy.logged(1)[0]
    assert (line["status"], line["protocol"], line["upstream_protocol"]) == (404, "HTTP/2", None)


def test_requests_are_counted_by_protocol(proxy, connect, connect_h2):
    first, second = connect_h2(proxy), connect_h2(proxy)
    for client in (first, second, first):
        client.get()
    connect(proxy).get()
    metrics = proxy.metrics()
    assert metrics.by("weir_downstream_requests_total", "protocol") == {"h2": 3, "http/1.1": 1}
    assert metrics.value("weir_requests_total", service="edge", code="200") == 4
    assert metrics.value("weir_downstream_connections") == 3
    assert metrics.value("weir_request_duration_seconds_count") == 4
    assert metrics.by("weir_downstream_h2_floods_total", "kind") == {}
    second.close()
    proxy.wait_metric(2, "weir_downstream_connections")


def test_a_connection_of_http2_counts_as_one_for_its_worker(weir, origin, connect_h2):
    """Streams run side by side, and each of them finds an upstream connection of its own."""
    proxy = weir(one_upstream(origin.address))
    client, go = connect_h2(proxy), threading.Event()
    origin.paths["/hold"] = lambda exchange: (exchange.hold(go), exchange.respond())
    held = [client.start(path="/hold") for _ in range(10)]
    wait_until(lambda: len(origin.exchanges) == 10)
    assert proxy.metric("weir_downstream_connections") == 1
    assert proxy.metric("weir_pool_in_use_connections") == 10
    assert client.get("/other").connection == 11
    go.set()
    assert {stream.response().body for stream in held} == {b"GET /hold\n"}
    proxy.wait_idle(11)


def test_names_of_tls_are_logged(edge, connect_h2_tls):
    proxy = edge()
    alive(connect_h2_tls(proxy, "TLSv1.3"))
    line = proxy.logged(1)[0]
    assert (line["client_tls"], line["client_sni"]) == ("TLSv1.3", tls.EDGE)
    assert line["protocol"] == "HTTP/2"


def test_last_chunk_without_more_ends_the_stream(origin, client):
    """An empty chunked body is an empty body, not a wait."""
    origin.default = answer(CHUNKED + b"\r\n" + LAST_CHUNK)
    response = client.get()
    assert (response.body, response.complete, response.get("content-length")) == (b"", True, None)
