# SPDX-License-Identifier: MIT
"""mirror: a second upstream gets a copy of each request, and the client notices nothing of it."""

import signal
import threading
import time

import pytest

import sockets
import tls
import websocket
from client import request
from framing import LAST_CHUNK, chunk
from h2_client import moment
from routes import Asker, answers, mirrored, upstream_of
from waiting import wait_equal, wait_until

KIB = 1024


@pytest.fixture(params=["http/1.1", "h2"])
def protocol(request):
    return request.param


@pytest.fixture
def shadow(origins, h2_origins, protocol):
    made = h2_origins() if protocol == "h2" else origins()
    made.default = answers(500, b"of no use")
    return made


@pytest.fixture
def web(origins, h2_origins, protocol):
    return h2_origins() if protocol == "h2" else origins()


@pytest.fixture
def proxy(weir, web, shadow):
    return weir(mirrored(web, shadow))


@pytest.fixture
def asker(connect, connect_h2, proxy, protocol):
    return Asker(connect, connect_h2, proxy, protocol)


def results(proxy):
    return proxy.metrics().by("weir_mirrored_requests_total", "result")


def came(origin, count):
    """Wait until so many requests have come whole; they."""
    wait_until(lambda: sum(each.complete for each in origin.exchanges) >= count, 5,
               f"{count} requests at the mirror")
    assert len(origin.exchanges) == count
    return origin.exchanges


def of(exchange, *names):
    return [exchange.get(name) for name in names]


# --- What comes ---


def test_the_same_comes_to_the_mirror(web, shadow, proxy, asker):
    response = asker.request("PUT", "/page?q=1", [
        ("Content-Type", "text/plain"), ("Cookie", "a=1"), ("X-Forwarded-For", "10.0.0.1"),
        ("Via", "1.1 other"), ("X-Own", "1"), ("X-Own", "2")], b"hello")
    assert (response.status, response.body) == (200, b"PUT /page?q=1\n")
    (copy,), (served,) = came(shadow, 1), web.exchanges
    assert (copy.method, copy.target, copy.body()) == ("PUT", "/page?q=1", b"hello")
    assert copy.get("content-length") == "5"
    names = ("host", ":authority", "content-type", "content-length", "cookie", "x-own", "via",
             "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto")
    assert of(copy, *names) == of(served, *names)
    assert copy.get("x-forwarded-for") == "10.0.0.1, 127.0.0.1"
    assert results(proxy) == {"sent": 1}
    wait_equal(lambda: proxy.metrics().by("weir_subrequests_total", "kind"), {"background": 1})
    assert len(proxy.logged(1)) == 1, "subrequests have no line"
    assert proxy.metrics().by("weir_requests_total", "code") == {"200": 1}


@pytest.mark.parametrize("method, body, length", [
    ("GET", None, None), ("HEAD", None, None), ("DELETE", None, None), ("POST", b"", "0"),
])
def test_without_a_body(shadow, asker, method, body, length):
    assert asker.request(method, "/", body=body).status == 200
    (copy,) = came(shadow, 1)
    assert (copy.method, copy.body(), copy.get("content-length")) == (method, b"", length)
    assert copy.get("transfer-encoding") is None


def test_chunks_become_one_piece(weir, connect, origins):
    web, shadow = origins(), origins()
    client = connect(weir(mirrored(web, shadow)))
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                + chunk(b"hello ") + chunk(b"world") + b"0\r\nX-Sum: 1\r\n\r\n")
    assert client.receive().status == 200
    (copy,) = came(shadow, 1)
    assert (copy.content, copy.get("content-length")) == (b"hello world", "11")
    assert of(copy, "transfer-encoding", "trailer") == [None, None]
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST_CHUNK)
    assert client.receive().status == 200
    assert came(shadow, 2)[1].get("content-length") == "0"


def test_a_body_of_http2_without_a_length(connect_h2, weir, h2_origins):
    web, shadow = h2_origins(), h2_origins()
    client = connect_h2(weir(mirrored(web, shadow)))
    stream = client.start("POST", end=False)
    stream.send(b"hello ")
    stream.send(b"world", end=True)
    assert stream.response().status == 200
    (copy,) = came(shadow, 1)
    assert (copy.body(), copy.get("content-length")) == (b"hello world", "11")


@pytest.mark.parametrize("size, sent", [(64 * KIB, True), (64 * KIB + 1, False)])
def test_the_limit(web, shadow, proxy, asker, size, sent):
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    web.default = lambda exchange: exchange.respond(b"%d" % len(exchange.body()))
    assert asker.request("POST", body=content).body == b"%d" % size
    wait_equal(lambda: results(proxy), {"sent" if sent else "too_large": 1})
    if sent:
        assert came(shadow, 1)[0].body() == content
    else:
        assert asker.get().status == 200
        assert came(shadow, 1)[0].method == "GET"


def test_a_body_that_is_not_whole_is_not_sent(weir, connect, origins):
    web, shadow = origins(), origins()
    proxy = weir(mirrored(web, shadow))
    client = connect(proxy)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhello")
    wait_until(lambda: b"hello" in web.received)
    client.close()
    wait_equal(lambda: results(proxy), {"incomplete": 1})
    assert connect(proxy).get("/next").status == 200
    assert came(shadow, 1)[0].target == "/next"


def test_a_server_that_answers_early(weir, connect, origins):
    """It has not seen all of the body: neither does the mirror."""
    web, shadow = origins(), origins()
    web.default = lambda exchange: (
        exchange.send(exchange.labelled(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")),
        exchange.fin())
    proxy = weir(mirrored(web, shadow))
    client = connect(proxy)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhello")
    assert client.receive().status == 413
    wait_equal(lambda: results(proxy), {"incomplete": 1})
    assert shadow.exchanges == []


def test_a_request_that_is_tried_again_is_mirrored_once(weir, connect, origins):
    web, shadow = origins(), origins()
    web.at[1, 2] = lambda exchange: (exchange.body(), exchange.reset())
    proxy = weir(mirrored(web, shadow))
    client = connect(proxy)
    assert client.get("/first").status == 200
    assert client.request("PUT", "/again", body=b"hello").status == 200
    assert web.targets == ["/first", "/again", "/again"]
    assert [each.target for each in came(shadow, 2)] == ["/first", "/again"]
    assert shadow.exchanges[1].content == b"hello"
    assert results(proxy) == {"sent": 2}


def test_what_no_route_takes_or_nobody_lets_in_is_not_mirrored(weir, connect, origins):
    web, shadow = origins(), origins()
    config = mirrored(web, shadow)
    (route,) = config["services"][0]["routes"]
    route.update(path="/in", auth_request={"upstream": "web", "path": "/verify"})
    web.paths["/verify"] = answers(403)
    proxy = weir(config)
    client = connect(proxy)
    assert client.get("/in").status == 403
    assert client.get("/out").status == 404
    web.paths["/verify"] = answers()
    assert client.get("/in/side").status == 200
    assert [each.target for each in came(shadow, 1)] == ["/in/side"]
    assert results(proxy) == {"sent": 1}


def test_expect_and_upgrade(weir, connect, origins):
    web, shadow = origins(), origins()
    web.paths["/socket"] = websocket.echo
    proxy = weir(mirrored(web, shadow))
    client = connect(proxy)
    client.send(request("POST", "/", ["Expect: 100-continue", "Content-Length: 5"]), b"hello")
    assert client.receive().status == 200
    assert of(came(shadow, 1)[0], "expect", "content-length") == [None, "5"]
    client.send(websocket.UPGRADE)
    assert client.receive().status == 101
    client.send(websocket.frame(b"", websocket.CLOSE, masked=True))
    proxy.logged(2)
    assert results(proxy) == {"sent": 1}


def test_from_a_client_over_tls_to_a_mirror_that_is_told_of_it(
        weir, connect_tls, origins, edge_certificate):
    """The copy is sent when the client's connection may be gone, and tells of it all the same."""
    web, shadow = origins(), origins(preface=True)
    config = mirrored(web, shadow, {"web": upstream_of(web), "shadow": upstream_of(
        shadow, proxy_protocol="v2")})
    config["services"][0]["listen"] = [tls.listener(edge_certificate)]
    client = connect_tls(weir(config))
    port = client.sock.getsockname()[1]
    assert client.get("/", "Connection: close").status == 200
    (copy,) = came(shadow, 1)
    assert copy.get("x-forwarded-proto") == web.exchanges[0].get("x-forwarded-proto") == "https"
    assert copy.connection.preface.source == ("127.0.0.1", port)


# --- The client notices nothing ---


def test_a_mirror_that_is_slow(shadow, proxy, asker):
    go = threading.Event()
    shadow.default = lambda exchange: (exchange.hold(go), exchange.respond())
    for at in range(20):
        assert asker.get(f"/{at}").status == 200
    wait_until(lambda: len(shadow.exchanges) == 20, 5, "all at the mirror")
    assert proxy.metric("weir_subrequests_total", kind="background") == 0
    go.set()
    wait_equal(lambda: proxy.metric("weir_subrequests_total", result="answered"), 20)


def test_a_mirror_that_is_not_there(weir, connect, connect_h2, web, protocol):
    proxy = weir(mirrored(web, sockets.free_address()))
    asker = Asker(connect, connect_h2, proxy, protocol)
    assert [asker.get().status for _ in range(5)] == [200] * 5
    wait_equal(lambda: proxy.metric("weir_subrequests_total", kind="background"), 5)
    assert proxy.metrics().by("weir_requests_total", "code") == {"200": 5}


def test_a_mirror_that_never_answers_is_given_up(weir, connect, connect_h2, web, shadow, protocol):
    go = threading.Event()
    shadow.default = lambda exchange: exchange.hold(go)
    proxy = weir(mirrored(web, shadow, {
        "web": upstream_of(web), "shadow": upstream_of(shadow, read_timeout=moment(0.2))}))
    asker = Asker(connect, connect_h2, proxy, protocol)
    assert asker.get().status == 200
    wait_equal(lambda: proxy.metric("weir_subrequests_total", kind="background"), 1)
    assert [line["status"] for line in proxy.logged(1)] == [200]
    go.set()


def test_a_large_response_of_the_mirror_is_dropped(shadow, proxy, asker):
    shadow.default = answers(200, bytes(4 << 20))
    assert asker.get().status == 200
    wait_equal(lambda: proxy.metric("weir_subrequests_total", kind="background",
                                    result="answered"), 1)
    assert asker.get().status == 200
    wait_equal(lambda: len(shadow.connections), 1)


def test_the_client_may_go_before_the_mirror_answers(weir, connect, origins):
    web, shadow = origins(), origins()
    go = threading.Event()
    shadow.default = lambda exchange: (exchange.hold(go), exchange.respond())
    proxy = weir(mirrored(web, shadow))
    client = connect(proxy)
    assert client.get().status == 200
    client.close()
    proxy.wait_metric(0, "weir_downstream_connections")
    go.set()
    wait_equal(lambda: proxy.metric("weir_subrequests_total", result="answered"), 1)


def test_so_many_at_once_and_no_more(weir, connect, origins):
    """1024 for each worker; the others are counted, and nobody waits. SIGINT ends them all."""
    web, shadow = origins(), origins()
    go = threading.Event()
    shadow.default = lambda exchange: exchange.hold(go)
    proxy = weir(mirrored(web, shadow, {"web": upstream_of(web), "shadow": upstream_of(
        shadow, max_connections=1, queue={"size": 5000, "timeout": "60s"})}))
    client = connect(proxy)
    assert all(client.get().status == 200 for _ in range(1030))
    assert results(proxy) == {"sent": 1024, "refused": 6}
    proxy.signal(signal.SIGINT)
    assert proxy.wait() == 0
    go.set()


# --- The end ---


def test_weir_waits_for_mirrors_when_it_stops(weir, connect, origins):
    web, shadow = origins(), origins()
    go = threading.Event()
    shadow.default = lambda exchange: (exchange.hold(go), exchange.respond())
    config = mirrored(web, shadow)
    config["grace_period_seconds"] = 20
    proxy = weir(config)
    connect(proxy).get()
    wait_until(lambda: shadow.exchanges)
    proxy.signal(signal.SIGTERM)
    wait_until(lambda: not sockets.accepts(proxy.address), 5, "the listener closed")
    assert proxy.process.poll() is None
    go.set()
    assert proxy.wait(5) == 0
    assert shadow.exchanges[0].complete and shadow.connections[0].ended == "fin"


def test_after_the_grace_period_they_are_canceled(weir, connect, origins):
    """And what is canceled then is not mirrored."""
    web, shadow = origins(), origins()
    go = threading.Event()
    shadow.default = lambda exchange: exchange.hold(go)
    web.paths["/slow"] = lambda exchange: exchange.hold(go)
    config = mirrored(web, shadow)
    config.update(grace_period_seconds=1, graceful_shutdown_timeout_seconds=5)
    proxy = weir(config)
    connect(proxy).get()
    connect(proxy).send(request(target="/slow"))
    wait_until(lambda: shadow.exchanges and "/slow" in web.targets)
    began = time.monotonic()
    proxy.signal(signal.SIGTERM)
    assert proxy.wait(5) == 0
    assert time.monotonic() - began < 4, "it has not waited for what nobody cancels"
    assert len(shadow.exchanges) == 1
    go.set()
