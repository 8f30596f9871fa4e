# SPDX-License-Identifier: MIT
"""auth_request: another server decides on a request before its own server is asked."""

import threading

import pytest

import sockets
import websocket
from client import request
from h2_client import moment
from routes import Asker, answers, guarded, upstream_of
from waiting import wait_equal, wait_until
from weir import one_upstream

COPIED = ("X-User", "X-Groups")


@pytest.fixture(params=["http/1.1", "h2"])
def protocol(request):
    return request.param


@pytest.fixture
def auth(origins, h2_origins, protocol):
    """Who decides; everything may pass."""
    made = h2_origins() if protocol == "h2" else origins()
    made.default = answers()
    return made


@pytest.fixture
def web(origins, h2_origins, protocol):
    return h2_origins() if protocol == "h2" else origins()


@pytest.fixture
def proxy(weir, web, auth):
    return weir(guarded(web, auth, COPIED))


@pytest.fixture
def asker(connect, connect_h2, proxy, protocol):
    return Asker(connect, connect_h2, proxy, protocol)


def verdicts(proxy):
    return proxy.metrics().by("weir_auth_requests_total", "result")


# --- It passes ---


def test_what_passes_gets_what_was_said_of_it(web, auth, proxy, asker):
    auth.default = answers(204, fields=[("X-User", "alice"), ("X-Groups", "a"), ("X-Groups", "b"),
                                        ("X-Other", "no")])
    response = asker.request("POST", "/page?q=1", [("X-User", "root"), ("x-groups", "wheel"),
                                                   ("X-Own", "1")], b"hello")
    assert (response.status, response.body) == (200, b"POST /page?q=1\n")
    (asked,), (served,) = auth.exchanges, web.exchanges
    assert (asked.method, asked.target) == ("GET", "/verify")
    assert (asked.get("x-original-method"), asked.get("x-original-uri")) == ("POST", "/page?q=1")
    assert (served.get("x-user"), served.get("x-groups")) == ("alice", "a, b")
    assert (served.get("x-own"), served.get("x-other")) == ("1", None)
    assert served.body() == b"hello"
    assert verdicts(proxy) == {"allowed": 1}
    assert proxy.metrics().by("weir_subrequests_total", "result") == {"answered": 1}


def test_what_the_client_says_of_itself_never_passes(web, auth, asker):
    """Neither where the answer has the field, nor where it has not."""
    assert asker.get("/", ("X-User", "root"), ("x-user", "toor")).status == 200
    assert web.exchanges[0].get("x-user") is None


def test_the_question_has_the_requests_fields_and_weirs_own_word(web, auth, asker):
    asker.request("PUT", "/", [
        ("Cookie", "a=1"), ("Authorization", "Bearer x"), ("Content-Type", "text/plain"),
        ("X-Original-URI", "/open"), ("X-Original-Method", "GET"), ("If-None-Match", '"1"'),
        ("Range", "bytes=0-1")], b"hello")
    (asked,), (served,) = auth.exchanges, web.exchanges
    assert (asked.get("cookie"), asked.get("authorization")) == ("a=1", "Bearer x")
    assert (asked.get("x-original-uri"), asked.get("x-original-method")) == ("/", "PUT")
    assert (asked.get("x-forwarded-for"), asked.get("x-forwarded-host")) == ("127.0.0.1",
                                                                            "example.test")
    for gone in ("content-type", "content-length", "transfer-encoding", "if-none-match", "range"):
        assert asked.get(gone) is None, gone
    assert asked.body() == b""
    assert (served.get("if-none-match"), served.get("range")) == ('"1"', "bytes=0-1")
    assert (served.get("x-forwarded-for"), served.get("content-type")) == ("127.0.0.1",
                                                                          "text/plain")


def test_large_and_chunked_bodies_pass_whole(web, auth, asker):
    content = bytes(range(256)) * 4096
    web.default = lambda exchange: exchange.respond(b"%d" % len(exchange.body()))
    assert asker.request("POST", body=content).body == b"%d" % len(content)
    assert auth.exchanges[0].body() == b""


def test_head(web, auth, asker):
    assert asker.request("HEAD", "/").status == 200
    assert (auth.exchanges[0].method, web.exchanges[0].method) == ("GET", "HEAD")
    auth.default = answers(403, b"not you")
    response = asker.request("HEAD", "/")
    assert (response.status, response.body, response.get("content-length")) == (403, b"", "7")
    assert asker.get().status == 403


# --- It does not ---


@pytest.mark.parametrize("status, fields", [
    (401, [("WWW-Authenticate", 'Basic realm="x"')]),
    (403, [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Content-Type", "text/html")]),
    (302, [("Location", "http://login.test/"), ("Set-Cookie", "next=1")]),
    (429, [("Retry-After", "5")]),
])
def test_the_answer_is_the_clients(web, auth, proxy, asker, status, fields):
    auth.default = answers(status, b"<why>", fields)
    response = asker.request("POST", "/x", body=b"hello")
    assert (response.status, response.body) == (status, b"<why>")
    for name, value in fields:
        assert value in response.head.all(name)
    assert asker.get().status == status, "the connection goes on"
    assert web.exchanges == []
    assert verdicts(proxy) == {"denied": 2}
    line = proxy.logged(2)[0]
    assert (line["status"], line["upstream"], line["peer"], line["attempts"], line["error"],
            line["connection"]) == (status, None, None, 0, None, None)
    assert len(proxy.log()) == 2, "subrequests have no line"


def undecided(proxy, asker, web, count=1):
    response = asker.request("POST", body=b"hello")
    assert (response.status, response.error) == (503, "destination_unavailable")
    assert web.exchanges == []
    line = proxy.logged(count)[count - 1]
    assert (line["status"], line["error"], line["upstream"]) == (503, "auth_undecided", None)
    assert verdicts(proxy) == {"undecided": count}


@pytest.mark.parametrize("behave", [
    answers(500, fields=[("X-User", "alice")]), answers(503), answers(304),
    answers(200, bytes(64 * 1024 + 1)),
    lambda exchange: exchange.reset(),
], ids=["500", "503", "304", "too large", "reset"])
def test_no_decision_is_no_pass(web, auth, proxy, asker, behave):
    auth.default = behave
    undecided(proxy, asker, web)
    auth.default = answers(200, bytes(64 * 1024))
    assert asker.get().status == 200


def test_nobody_there_to_decide(weir, connect, connect_h2, web, protocol):
    proxy = weir(guarded(web, sockets.free_address(), COPIED))
    undecided(proxy, Asker(connect, connect_h2, proxy, protocol), web)
    assert "auth_request /verify: no decision: status 502, the server refused" in proxy.stderr


def test_who_decides_is_silent(weir, connect, connect_h2, web, auth, gated, protocol):
    go = threading.Event()
    auth.default = lambda exchange: exchange.hold(go)
    upstreams = {"web": upstream_of(web), "auth": upstream_of(auth, read_timeout=moment(0.2))}
    proxy = weir(guarded(web, auth, upstreams=upstreams))
    undecided(proxy, Asker(connect, connect_h2, proxy, protocol), web)
    go.set()


# --- Clients that play tricks, wait or go ---


def test_connection_cannot_take_out_what_was_said(weir, connect, origins):
    """`Connection: X-User` would have the server see a request without one."""
    auth, web = origins(), origins()
    auth.default = answers(fields=[("X-User", "alice")])
    client = connect(weir(guarded(web, auth, COPIED)))
    assert client.get("/", "Connection: keep-alive, x-USER").status == 400
    assert web.exchanges == []
    assert client.get("/", "Connection: X-Forwarded-For, X-Mine", "X-Mine: 1").status == 200
    assert (web.exchanges[0].get("x-user"), web.exchanges[0].get("x-mine")) == ("alice", None)


def test_connection_cannot_take_out_of_the_question(weir, connect, origins):
    auth, web = origins(), origins()
    client = connect(weir(guarded(web, auth)))
    client.get("/", "Connection: X-Original-URI, X-Original-Method, Cookie", "Cookie: a=1")
    (asked,) = auth.exchanges
    assert (asked.get("x-original-uri"), asked.get("x-original-method")) == ("/", "GET")


def test_a_body_is_invited_by_the_server_and_not_before(weir, connect, origins):
    auth, web = origins(), origins()
    web.default = lambda exchange: (exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n"),
                                    exchange.respond())
    client = connect(weir(guarded(web, auth)))
    head = request("POST", "/", ["Expect: 100-continue", "Content-Length: 5"])
    client.send(head)
    client.receive_interim()
    assert auth.exchanges[0].get("expect") is None
    client.send(b"hello")
    assert client.receive().status == 200
    assert web.exchanges[0].content == b"hello"
    auth.default = answers(403)
    client.send(head)
    response = client.receive()
    assert (response.status, response.interim) == (403, [])
    assert len(web.exchanges) == 1


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_goes_takes_the_question_along(web, auth, proxy, asker, how):
    go = threading.Event()
    auth.default = lambda exchange: (exchange.hold(go), exchange.respond())
    asker.start()
    wait_until(lambda: auth.exchanges)
    getattr(asker.client, how)()
    proxy.wait_metric(0, "weir_pool_in_use_connections")
    assert proxy.logged(1)[0]["status"] == 0
    assert verdicts(proxy) == {}
    go.set()
    assert web.exchanges == []


def test_a_stream_that_is_canceled_takes_the_question_along(web, auth, proxy, connect_h2):
    go = threading.Event()
    auth.default = lambda exchange: (exchange.hold(go), exchange.respond())
    client = connect_h2(proxy)
    stream = client.start()
    wait_until(lambda: auth.exchanges)
    stream.cancel()
    wait_equal(lambda: proxy.logged(1)[0]["error"], "client_gone")
    go.set()
    assert web.exchanges == []
    assert client.get().status == 200


def test_websocket(weir, connect, origins):
    auth, web = origins(), origins()
    auth.default = answers(fields=[("X-User", "alice")])
    web.default = websocket.echo
    client = connect(weir(guarded(web, auth, COPIED)))
    client.send(websocket.UPGRADE)
    assert client.receive().status == 101
    client.send(websocket.frame(b"hello", masked=True))
    assert websocket.read_frame(client.reader) == (websocket.TEXT, b"hello")
    assert auth.exchanges[0].get("upgrade") is None
    assert web.exchanges[0].get("x-user") == "alice"
    auth.default = answers(401)
    refused = connect(client_address(client))
    refused.send(websocket.UPGRADE)
    assert refused.receive().status == 401


def client_address(client):
    return "%s:%d" % client.sock.getpeername()


def test_websocket_over_http2(weir, connect_h2, origins):
    auth, web = origins(), origins()
    web.paths["/socket"] = websocket.echo
    client = connect_h2(weir(guarded(web, auth)))
    client.get("/")
    stream = client.start(raw=[
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
        (":path", "/socket"), (":authority", "example.test"), ("sec-websocket-version", "13")],
        end=False)
    assert stream.wait_head().status == 200
    stream.send(websocket.frame(b"", websocket.CLOSE, masked=True), end=True)
    assert stream.response().complete
    assert (auth.exchanges[1].method, auth.exchanges[1].get("x-original-uri")) == ("GET", "/socket")


# --- Its connections ---


def test_one_connection_for_the_question_and_the_request(weir, connect, connect_h2, web, protocol):
    """Both upstreams are the same server, and agree in all that makes a connection: they share."""
    web.paths["/verify"] = answers()
    proxy = weir(guarded(web, web))
    asker = Asker(connect, connect_h2, proxy, protocol)
    assert [asker.get().status for _ in range(20)] == [200] * 20
    assert proxy.metric("weir_upstream_connections_opened_total") == 1
    assert len(web.connections) == 1 and len(web.exchanges) == 40


def test_one_upstream_for_both(weir, connect, origin):
    origin.paths["/verify"] = answers()
    proxy = weir(one_upstream(origin.address, service={
        "routes": [{"upstream": "web", "auth_request": {"upstream": "web", "path": "/verify"}}]}))
    client = connect(proxy)
    assert [client.get().status for _ in range(20)] == [200] * 20
    assert len(origin.connections) == 1


def test_a_stale_connection_to_who_decides_is_no_denial(weir, connect, origins):
    auth, web = origins(), origins()
    auth.default = lambda exchange: exchange.reset() if exchange.ordinal > 1 else exchange.respond()
    proxy = weir(guarded(web, auth))
    client = connect(proxy)
    assert [client.get().status for _ in range(20)] == [200] * 20
    assert len(auth.connections) == 20
    assert proxy.metric("weir_retries_total", upstream="auth", result="replayed") == 19
