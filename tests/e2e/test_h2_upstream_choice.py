# SPDX-License-Identifier: MIT
"""Which protocol is spoken with a server: what is asked for, what ALPN chose, and falling back."""

import ssl
import threading

import pytest

import sockets
import tls
from client import Client
from h2_upstream import (Holding, accepted, check_quiet, last_error, opened, over_h2, over_tls,
                         retries)
from origin import answer
from waiting import wait_equal
from weir import one_upstream


@pytest.fixture
def before(weir, authority):
    """weir before an origin over TLS: before(origin, protocol="http2")."""
    return lambda *origins, **options: weir(over_tls(authority, *origins, **options))


def protocols(origin):
    return [connection.protocol for connection in origin.connections]


def told(proxy, count):
    return [line["upstream_protocol"] for line in proxy.logged(count)]


# --- ALPN ---


@pytest.mark.parametrize("protocol", ["auto", "http2"])
def test_alpn_chose_h2(before, h2_tls_origins, connect, protocol):
    origin = h2_tls_origins()
    proxy = before(origin, protocol=protocol)
    client = connect(proxy)
    assert [client.get().ordinal for _ in range(5)] == [1, 2, 3, 4, 5]
    assert protocols(origin) == ["h2"]
    assert {stream.get(":scheme") for stream in origin.streams} == {"https"}
    assert told(proxy, 5) == ["h2"] * 5
    peer = proxy.pools()["services"][0]["peers"][0]
    assert peer["protocol"] == {"auto": "auto", "http2": "h2"}[protocol]
    assert [c["protocol"] for c in peer["connections"]] == ["h2"]


@pytest.mark.parametrize("offered", [["http/1.1"], []], ids=["http1", "no_alpn"])
def test_auto_takes_http1_where_alpn_chose_that(before, tls_origins, origin_certificate, connect,
                                                offered):
    context = tls.server_context(origin_certificate)
    if offered:
        context.set_alpn_protocols(offered)
    origin = tls_origins()
    origin.tls = context
    proxy = before(origin)
    client = connect(proxy)
    assert [client.get().ordinal for _ in range(5)] == [1, 2, 3, 4, 5]
    assert told(proxy, 5) == ["http/1.1"] * 5
    peer = proxy.pools()["services"][0]["peers"][0]
    assert (peer["protocol"], [c["protocol"] for c in peer["connections"]]) == (
        "auto", ["http/1.1"])


def test_http1_does_not_offer_h2(before, h2_tls_origins, connect):
    origin = h2_tls_origins()
    proxy = before(origin, protocol="http1")
    assert connect(proxy).get().status == 200
    assert protocols(origin) == ["http/1.1"]


def test_auto_without_tls_is_http1(weir, origin, connect):
    proxy = weir(one_upstream(origin.address, upstream={"protocol": "auto"}))
    assert connect(proxy).get().ordinal == 1
    assert told(proxy, 1) == ["http/1.1"]


@pytest.mark.parametrize("offered", [["http/1.1"], []], ids=["http1", "no_alpn"])
def test_http2_that_a_server_does_not_speak_is_502(before, tls_origins, origin_certificate,
                                                   connect, offered):
    origin = tls_origins()
    context = tls.server_context(origin_certificate)
    if offered:
        context.set_alpn_protocols(offered)
    origin.tls = context
    proxy = before(origin, protocol="http2")
    response = connect(proxy).get()
    assert (response.status, response.error) == (502, "tls_protocol_error")
    assert last_error(proxy, 1) == "no_http2"
    assert origin.exchanges == []
    assert proxy.metrics().by("weir_upstream_connect_errors_total", "reason")["no_http2"] >= 1


def test_http2_of_an_alpn_alert_is_502(before, h2_tls_origins, connect):
    """Where its library does so, a server with nothing in common sends an alert (RFC 7301)."""
    def refuse(_sock, _name, _context):
        return ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE
    origin = h2_tls_origins()
    origin.tls.sni_callback = refuse
    response = connect(before(origin, protocol="http2")).get()
    assert (response.status, response.error) == (502, "tls_alert_received")
    assert origin.exchanges == []


# --- Requests that come together while nobody knows yet ---


def test_auto_shares_the_first_dial_where_the_server_speaks_h2(before, h2_tls_origins, crowd):
    origin = h2_tls_origins()
    proxy = before(origin)
    held = Holding(origin, crowd, proxy)
    held.come(50, together=True)
    assert len(origin.connections) == 1 and opened(proxy) == 1
    held.finish()


def test_auto_hands_out_the_first_dial_where_the_server_speaks_http1(before, h2_tls_origins,
                                                                     crowd):
    """One gets it and the others dial for themselves: nobody waits for the first one's response."""
    origin = h2_tls_origins(protocols=["http/1.1"])
    proxy = before(origin)
    held = Holding(origin, crowd, proxy)
    held.come(20, together=True)
    assert protocols(origin) == ["http/1.1"] * 20
    responses = held.finish()
    assert sorted(response.connection for response in responses) == list(range(1, 21))
    proxy.wait_idle(20)


# --- Falling back ---


def require_http1(origin):
    """Its streams are refused with HTTP_1_1_REQUIRED; over HTTP/1 it answers."""
    def behave(exchange):
        exchange.body()
        if exchange.connection.protocol == "h2":
            exchange.reset("HTTP_1_1_REQUIRED")
        else:
            exchange.respond()
    origin.default = behave


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_http_1_1_required_is_followed_and_remembered(before, h2_tls_origins, connect, method):
    origin = h2_tls_origins()
    require_http1(origin)
    proxy = before(origin)
    body = b"hello" if method == "POST" else None
    client = connect(proxy)
    assert [client.request(method, body=body).status for _ in range(5)] == [200] * 5
    assert protocols(origin) == ["h2", "http/1.1"]
    assert [each.connection.protocol for each in origin.exchanges] == ["h2"] + ["http/1.1"] * 5
    lines = proxy.logged(5)
    assert [line["upstream_protocol"] for line in lines] == ["http/1.1"] * 5
    assert [(line["attempts"], line["retried"]) for line in lines] == [
        (2, "http_1_1_required")] + [(1, None)] * 4
    assert retries(proxy) == 1
    assert {connect(proxy).get().status for _ in range(3)} == {200}
    assert protocols(origin) == ["h2", "http/1.1"]


def test_http_1_1_required_under_many_requests(before, h2_tls_origins, crowd):
    origin = h2_tls_origins()
    require_http1(origin)
    proxy = before(origin)
    clients = crowd(proxy)
    with proxy.standing_still():
        for number in range(20):
            clients.come(f"/{number}", "POST", b"number %d;" % number)
    assert [client.receive().status for client in clients.clients] == [200] * 20
    processed = [each.target for each in origin.exchanges if each.connection.protocol != "h2"]
    assert sorted(processed) == sorted(f"/{number}" for number in range(20))
    wait_equal(lambda: proxy.metric("weir_pool_streams"), 0)


def test_http_1_1_required_leaves_streams_that_run(before, h2_tls_origins, connect, crowd):
    origin = h2_tls_origins()
    proxy = before(origin)
    held = Holding(origin, crowd, proxy)
    held.come(2)
    origin.paths["/old"] = lambda exchange: (
        exchange.reset("HTTP_1_1_REQUIRED") if exchange.connection.protocol == "h2"
        else exchange.respond())
    assert connect(proxy).get("/old").status == 200
    assert [response.connection for response in held.finish()] == [1, 1]
    assert connect(proxy).get().connection == 2, "HTTP/1 is preferred now"


def test_http_1_1_required_where_only_http2_will_do_is_502(before, h2_tls_origins, connect):
    origin = h2_tls_origins()
    require_http1(origin)
    proxy = before(origin, protocol="http2")
    response = connect(proxy).get()
    assert (response.status, response.error) == (502, "http_protocol_error")
    assert last_error(proxy, 1) == "http_1_1_required"
    assert len(origin.exchanges) == 1 and protocols(origin) == ["h2"]


def test_a_body_that_cannot_be_sent_again_is_502_and_still_a_lesson(before, h2_tls_origins,
                                                                    connect):
    origin = h2_tls_origins()
    require_http1(origin)
    proxy = before(origin)
    assert connect(proxy).request("POST", body=bytes(1 << 18)).status == 502
    assert connect(proxy).request("POST", body=bytes(1 << 18)).status == 200
    assert [each.connection.protocol for each in origin.exchanges] == ["h2", "http/1.1"]


BROKEN = {
    "http1": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "no_settings": b"\0\0\x08\x06\0\0\0\0\0" + b"12345678",
    "a_frame_too_large": b"\xff\xff\xff\0\0\0\0\0\1" + bytes(100),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_http2_makes_auto_prefer_http1(before, h2_tls_origins, connect, kind):
    """A server whose ALPN promises what it cannot do."""
    origin = h2_tls_origins(says=BROKEN[kind])
    client = connect(before(origin))
    assert client.get().status in (200, 502)
    assert [client.get().status for _ in range(3)] == [200] * 3
    assert protocols(origin) == ["h2", "http/1.1"]


# --- Prior knowledge, and a server that does not have it ---


@pytest.fixture
def elder(origin):
    """An HTTP/1 server that is told PRI * HTTP/2.0."""
    origin.default = answer(b"HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: 0\r\n\r\n",
                            "fin")
    return origin


def test_h2c_against_a_server_of_http1_is_502(weir, elder, connect):
    proxy = weir(over_h2(elder.address))
    client = connect(proxy)
    for _ in range(2):
        response = client.get()
        assert response.status == 502 and response.error
    assert last_error(proxy, 2)
    assert all(exchange.method == "PRI" for exchange in elder.exchanges)
    check_quiet(proxy)


@pytest.mark.parametrize("name", ["nginx", "node"])
def test_h2c_against_real_servers_of_http1_is_502(weir, server, connect, name):
    proxy = weir(over_h2(server(name).address))
    assert connect(proxy).get("/hello.txt").status == 502
    check_quiet(proxy)


@pytest.mark.parametrize("count", [1, 10])
def test_a_server_that_never_says_settings_is_no_hang(weir, h2_origins, crowd, count):
    origin = h2_origins(says=b"")
    proxy = weir(over_h2(origin.address, upstream={
        "connection_timeout": "300ms", "total_connection_timeout": "300ms",
        "read_timeout": "300ms", "retry": {"attempts": 0}}))
    clients = crowd(proxy)
    with proxy.standing_still():
        for _ in range(count):
            clients.come("/")
    assert {client.receive().status for client in clients.clients} <= {502, 504}
    check_quiet(proxy)


def test_a_server_that_ends_at_once_is_502(weir, connect):
    listener, address = sockets.listen()
    ending = threading.Event()

    def serve():
        while not ending.is_set():
            try:
                listener.accept()[0].close()
            except OSError:
                return
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    proxy = weir(over_h2(address))
    for _ in range(3):
        response = connect(proxy).request("POST", body=b"x")
        assert (response.status, response.error) == (502, "connection_terminated")
    ending.set()
    listener.shutdown(2)
    listener.close()
    thread.join()


def test_another_server_is_tried_where_one_has_no_http2(before, tls_origins, h2_tls_origins):
    old, new = tls_origins(), h2_tls_origins()
    proxy = before(old, new, protocol="http2", upstream={"retry": {"budget": "100%"}})
    client = Client(proxy)
    assert [client.request("POST", body=b"x").status for _ in range(6)] == [200] * 6
    client.close()
    assert accepted(new, 6) and old.exchanges == []
