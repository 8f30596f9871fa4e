# SPDX-License-Identifier: MIT
"""WebSocket over a stream of HTTP/2 (RFC 8441), towards servers that speak HTTP/1.1."""

import pytest

import h2_frames as frames
import websocket
from h2_client import alive
from waiting import wait_equal

ASKS = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
        (":path", "/socket"), (":authority", "example.test"), ("sec-websocket-version", "13")]


def ask(client, **changes):
    raw = [(name, changes.get(name.strip(":"), value)) for name, value in ASKS]
    return client.start(raw=raw, end=False)


@pytest.fixture
def client(connect_h2, proxy):
    return connect_h2(proxy)


def test_the_server_says_that_it_can(client):
    client.get()
    assert client.rules.remote_settings[frames.ENABLE_CONNECT_PROTOCOL] == 1


def test_frames_go_both_ways_until_the_end(origin, proxy, client):
    origin.default = websocket.echo
    stream = ask(client)
    stream.wait_head()
    assert stream.status == 200
    assert [stream.get(name) for name in ("sec-websocket-accept", "upgrade", "connection")] == [
        None, None, None]
    sent = b""
    for content in (b"one", b"", b"x" * 125):
        stream.send(websocket.frame(content, masked=True))
        sent += websocket.frame(content)
        stream.wait_body(len(sent))
    assert bytes(stream.received) == sent
    stream.send(websocket.frame(b"", websocket.CLOSE, masked=True), end=True)
    assert stream.response().complete
    asked = origin.exchanges[0]
    assert (asked.method, asked.target, asked.get("host")) == ("GET", "/socket", "example.test")
    assert asked.get("sec-websocket-version") == "13" and len(asked.get("sec-websocket-key")) == 24
    wait_equal(proxy.not_kept, {"upgraded": 1})


def test_other_streams_go_on_beside_it(origin, client):
    origin.paths["/socket"] = websocket.echo
    stream = ask(client)
    stream.wait_head()
    alive(client)
    stream.cancel()
    alive(client)


def test_a_refusal_is_passed_on(origin, client):
    origin.paths["/socket"] = lambda exchange: exchange.respond(b"no", "403 Forbidden")
    response = ask(client).response()
    assert (response.status, response.body) == (403, b"no")
    alive(client)


def test_a_page_is_no_tunnel(client):
    """A success would say that the stream is a WebSocket now."""
    response = ask(client).response()
    assert response.status == 502
    assert "http_upgrade_failed" in response.get("proxy-status")
    alive(client)


def test_other_protocols_are_not_known(client):
    assert ask(client, protocol="connect-udp").response().status == 501
    alive(client)


def test_the_end_of_the_client_ends_the_server(origin, client):
    origin.default = websocket.echo
    stream = ask(client)
    stream.wait_head()
    stream.cancel()
    wait_equal(lambda: origin.exchanges[0].connection.ended is not None, True)
