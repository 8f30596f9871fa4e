# SPDX-License-Identifier: MIT
"""Requests sent ahead are served in order, however their bytes are cut."""

import threading

import pytest

from client import request
from framing import LAST_CHUNK, chunk
from waiting import wait_until


def bodies(client, count):
    return [client.receive().body for _ in range(count)]


def test_pipelined_requests_are_answered_in_order(origin, proxy, connect):
    client = connect(proxy)
    client.send(b"".join(request(target=f"/{at}") for at in range(20)))
    assert bodies(client, 20) == [b"GET /%d\n" % at for at in range(20)]
    assert len(origin.connections) == 1


def test_a_slow_first_response_is_not_overtaken(origin, proxy, connect):
    go = threading.Event()
    origin.paths["/slow"] = lambda exchange: (exchange.hold(go), exchange.respond())
    client = connect(proxy)
    client.send(request(target="/slow") + request(target="/quick"))
    wait_until(lambda: origin.exchanges)
    assert client.leftover() == b""
    go.set()
    assert bodies(client, 2) == [b"GET /slow\n", b"GET /quick\n"]


def test_requests_behind_bodies_of_both_framings(origin, proxy, connect):
    client = connect(proxy)
    client.send(request("POST", "/1", body=b"hello")
                + b"POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                + chunk(b"world") + LAST_CHUNK + request(target="/3"))
    assert bodies(client, 3) == [b"POST /1\n", b"POST /2\n", b"GET /3\n"]
    assert [e.content for e in origin.exchanges] == [b"hello", b"world", b""]


def test_request_behind_a_head(proxy, connect):
    client = connect(proxy)
    client.send(request("HEAD", "/1") + request(target="/2"))
    assert client.receive("HEAD").status == 200
    assert client.receive().body == b"GET /2\n"


def test_nothing_is_served_behind_a_request_that_says_close(origin, proxy, connect):
    client = connect(proxy)
    client.send(request(target="/1") + request(target="/2", fields=["Connection: close"])
                + request(target="/3"))
    assert bodies(client, 2) == [b"GET /1\n", b"GET /2\n"]
    assert client.ended() in ("fin", "reset")
    assert origin.targets == ["/1", "/2"]


def test_what_came_before_a_malformed_request_is_served(origin, proxy, connect):
    client = connect(proxy)
    client.send(request(target="/1") + b"GET /2 HTTP/1.1\r\nBad Field: 1\r\n\r\n"
                + request(target="/3"))
    assert client.receive().status == 200
    assert client.receive().status == 400
    assert client.ended() in ("fin", "reset")
    assert origin.targets == ["/1"]


def test_byte_by_byte(proxy, connect):
    client = connect(proxy)
    raw = request("POST", "/1", body=b"hello") + request(target="/2")
    client.send(*(raw[at:at + 1] for at in range(len(raw))))
    assert bodies(client, 2) == [b"POST /1\n", b"GET /2\n"]


@pytest.mark.parametrize("at", [1, 15, 30, 41, 42, 43, 44, 45, 60])
def test_two_requests_cut_anywhere(proxy, connect, at):
    client = connect(proxy)
    raw = request(target="/1") + request(target="/2")
    client.send(raw[:at], raw[at:])
    assert bodies(client, 2) == [b"GET /1\n", b"GET /2\n"]


def test_an_empty_line_before_a_request_is_overlooked(proxy, connect):
    """RFC 9112 section 2.2: some old clients end a POST's body with an extra CRLF."""
    client = connect(proxy)
    client.send(request("POST", "/1", body=b"hello") + b"\r\n" + request(target="/2"))
    assert bodies(client, 2) == [b"POST /1\n", b"GET /2\n"]


def test_a_client_that_half_closes_behind_its_requests_gets_what_it_asked(proxy, connect):
    """Pipelined and then FIN, all at once: at least what was answered is well-formed, in order."""
    client = connect(proxy)
    client.send(request(target="/1") + request(target="/2"))
    assert client.receive().body == b"GET /1\n"
    assert client.receive().body == b"GET /2\n"
    client.half_close()
    assert client.ended() == "fin"
