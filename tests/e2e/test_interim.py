# SPDX-License-Identifier: MIT
"""1xx responses: 100-continue, 103, and 101 with what comes after it."""

import threading

import pytest

import websocket
from client import request
from origin import answer
from waiting import wait_equal, wait_until

EXPECTING = (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# --- 100 ---


def test_100_continue_lets_the_body_come(origin, proxy, connect):
    origin.default = lambda exchange: (exchange.send(CONTINUE), exchange.respond())
    client = connect(proxy)
    client.send(EXPECTING)
    assert client.receive_interim().start.startswith("HTTP/1.1 100 ")
    assert not origin.exchanges[0].complete
    client.send(b"hello")
    assert client.receive().status == 200
    assert origin.exchanges[0].content == b"hello"
    assert origin.exchanges[0].get("expect") == "100-continue"
    assert client.get().ordinal == 2


def test_refusal_instead_of_100_reaches_the_client_alone(origin, proxy, connect):
    refusal = b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n"

    def refuse(exchange):
        exchange.send(exchange.labelled(refusal))
        exchange.connection.over = True
        exchange.connection.reader.rest()

    origin.at[1, 1] = refuse
    client = connect(proxy)
    client.send(EXPECTING)
    response = client.receive()
    assert (response.status, response.interim) == (417, [])
    client.close()
    assert connect(proxy).get().connection == 2
    wait_equal(proxy.not_kept, {"request_incomplete": 1})


def test_a_client_that_does_not_wait_for_100(origin, proxy, connect):
    client = connect(proxy)
    client.send(EXPECTING + b"hello")
    assert client.receive().status == 200
    assert origin.exchanges[0].content == b"hello"


def test_100_that_nobody_expected_changes_nothing(origin, proxy, connect):
    origin.at[1, 1] = answer(CONTINUE + OK, label=False)
    client = connect(proxy)
    assert client.get().body == b"hello"
    assert client.get().connection == 1


# --- 103 ---


@pytest.mark.parametrize("count", [1, 2, 5])
def test_103_passes_before_the_final_response(origin, proxy, connect, count):
    go = threading.Event()
    origin.default = lambda exchange: (exchange.body(), exchange.send(HINTS * count),
                                       exchange.hold(go), exchange.respond())
    client = connect(proxy)
    client.send(request())
    for _ in range(count):
        assert client.receive_interim().get("link") == "</a.css>"
    go.set()
    assert client.receive().status == 200
    assert client.get().ordinal == 2


def test_103_in_one_piece_with_the_final_response(origin, proxy, connect):
    origin.at[1, 1] = answer(HINTS + HINTS + OK, label=False)
    client = connect(proxy)
    response = client.get()
    assert ([r.status for r in response.interim], response.body) == ([103, 103], b"hello")
    assert client.get().connection == 1


def test_103_before_the_answer_to_head(origin, proxy, connect):
    origin.at[1, 1] = answer(HINTS + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", label=False)
    client = connect(proxy)
    assert [r.status for r in client.request("HEAD").interim] == [103]
    assert client.get().connection == 1


def test_103_that_speaks_of_a_body_does_not_say_so_to_the_client(origin, proxy, connect):
    """RFC 9110 section 8.6: a 1xx has no Content-Length; a client that believes it takes the final
    response for the body."""
    lying = b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n"
    origin.at[1, 1] = answer(lying + OK, label=False)
    response = connect(proxy).get()
    assert [r.get("content-length") for r in response.interim] == [None]
    assert response.body == b"hello"


def test_http10_clients_get_no_interim_response(origin, proxy, connect):
    origin.default = answer(HINTS + OK, label=False)
    client = connect(proxy)
    client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    response = client.receive()
    assert (response.interim, response.body) == ([], b"hello")


def test_server_that_dies_behind_103_is_502_and_not_replayed(origin, proxy, connect):
    """A 103 is bytes of a response: even on a reused connection the request is not sent again."""
    origin.at[1, 2] = answer(HINTS, "fin", label=False)
    client = connect(proxy)
    client.get()
    response = client.get()
    assert ([r.status for r in response.interim], response.status) == ([103], 502)
    assert response.error
    assert len(origin.exchanges) == 2


# --- 101 ---


def test_websocket_end_to_end(origin, proxy, connect):
    origin.default = websocket.echo
    client = connect(proxy)
    client.send(websocket.UPGRADE)
    response = client.receive()
    assert response.status == 101
    assert response.get("sec-websocket-accept") == websocket.accept_key(websocket.KEY)
    assert response.head.tokens("upgrade") == ["websocket"]
    assert "upgrade" in response.head.tokens("connection")
    for content in (b"one", b"", b"x" * 125):
        client.send(websocket.frame(content, masked=True))
        assert websocket.read_frame(client.reader) == (websocket.TEXT, content)
    client.send(websocket.frame(b"", websocket.CLOSE, masked=True))
    assert websocket.read_frame(client.reader)[0] == websocket.CLOSE
    assert client.ended() == "fin"
    client.close()
    wait_equal(proxy.not_kept, {"upgraded": 1})


def test_frames_in_one_piece_with_101_and_with_the_request(origin, proxy, connect):
    early = websocket.frame(b"early", masked=True)

    def behave(exchange):
        websocket.switch(exchange, first=websocket.frame(b"welcome"))
        assert websocket.read_frame(exchange.connection.reader)[1] == b"early"
        exchange.send(websocket.frame(b"got it"))
        exchange.fin()

    origin.default = behave
    client = connect(proxy)
    client.send(websocket.UPGRADE + early)
    assert client.receive().status == 101
    assert [websocket.read_frame(client.reader)[1] for _ in "12"] == [b"welcome", b"got it"]


def test_tunnel_ends_when_the_client_goes(origin, proxy, connect):
    origin.default = lambda exchange: (websocket.switch(exchange),
                                       exchange.connection.reader.rest(), exchange.fin())
    client = connect(proxy)
    client.send(websocket.UPGRADE)
    client.receive()
    client.close()
    wait_until(lambda: origin.connections[0].ended, 5, "the upstream side closed")
    proxy.wait_metric(0, "weir_pool_in_use_connections")


def test_tunnel_ends_when_the_server_goes(origin, proxy, connect):
    go = threading.Event()
    origin.default = lambda exchange: (websocket.switch(exchange), exchange.hold(go),
                                       exchange.close())
    client = connect(proxy)
    client.send(websocket.UPGRADE)
    client.receive()
    go.set()
    assert client.ended() in ("fin", "reset")


def test_refused_upgrade_is_an_ordinary_response(origin, proxy, connect):
    client = connect(proxy)
    client.send(websocket.UPGRADE)
    assert client.receive().status == 200
    assert client.get().ordinal == 2
    assert proxy.not_kept() == {}


def test_upgrade_to_anything_but_websocket_stays_here(origin, proxy, connect):
    """h2c through a proxy would carry requests past its rules."""
    client = connect(proxy)
    client.get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA")
    assert origin.exchanges[0].get("upgrade") is None
    assert origin.exchanges[0].get("http2-settings") is None


@pytest.mark.parametrize("more", ["Upgrade: h2c", "upgrade: websocket, h2c"])
def test_websocket_is_no_cover_for_another_protocol(origin, proxy, connect, more):
    client = connect(proxy)
    client.get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: websocket", more)
    assert not any("h2c" in value for value in origin.exchanges[0].head.all("upgrade"))


def test_101_has_no_content_length(origin, proxy, connect):
    origin.default = answer(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                            b"Upgrade: websocket\r\nContent-Length: 5\r\n\r\n")
    client = connect(proxy)
    client.send(websocket.UPGRADE)
    assert client.receive().get("content-length") is None


def test_unasked_101_is_502(origin, proxy, connect):
    origin.at[1, 1] = answer(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                             b"Upgrade: websocket\r\n\r\nPOISON")
    assert connect(proxy).get().status == 502
    assert connect(proxy).get().connection == 2


def test_pipelined_bytes_behind_an_upgrade_request_are_no_request(origin, proxy, connect):
    """They belong to the tunnel if it opens, and are a request of their own if it does not."""
    client = connect(proxy)
    client.send(websocket.UPGRADE + request(target="/next"))
    assert client.receive().status == 200
    assert client.receive().body == b"GET /next\n"
