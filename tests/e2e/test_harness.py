# SPDX-License-Identifier: MIT
"""The tools themselves, client and origin face to face: a blunt tool proves nothing."""

import threading

import pytest

import sockets
import websocket
from client import get_once
from framing import LAST_CHUNK, chunk
from metrics import Metrics
from origin import Origin, answer
from servers import HELLO, LARGE
from waiting import settled, wait_until


def test_origin_numbers_connections_and_requests(origin, connect):
    first, second = connect(origin), connect(origin)
    assert [(r.connection, r.ordinal) for r in (first.get(), first.get())] == [(1, 1), (1, 2)]
    assert second.get().connection == 2


def test_client_tells_a_cut_response_from_a_whole_one(origin, connect):
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"
    origin.at[1, 1] = answer(cut, "fin")
    origin.at[2, 1] = answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
                             "fin")
    origin.at[3, 1] = answer(b"HTTP/1.1 200 OK\r\n\r\nhello", "fin")
    assert (lambda r: (r.body, r.complete))(connect(origin).get()) == (b"hello", False)
    assert (lambda r: (r.body, r.complete))(connect(origin).get()) == (b"hel", False)
    assert (lambda r: (r.body, r.framing, r.complete))(connect(origin).get()) == (
        b"hello", "close", True)


def test_client_reads_trailers_and_interim_responses(origin, connect):
    origin.default = answer(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n"
                            b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"hello")
                            + b"0\r\nX-Sum: 1\r\n\r\n")
    response = connect(origin).get()
    assert [r.status for r in response.interim] == [103]
    assert (response.body, response.trailers) == (b"hello", [("X-Sum", "1")])


def test_origin_ends_with_fin_or_reset(origin, connect):
    origin.paths["/fin"] = lambda exchange: exchange.fin()
    origin.paths["/reset"] = lambda exchange: exchange.reset()
    for path in ("fin", "reset"):
        client = connect(origin)
        client.send(b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
        assert client.ended() == path


def test_origin_sees_how_the_client_ended(origin, connect):
    first, second = connect(origin), connect(origin)
    first.get(), second.get()
    first.close(), second.reset()
    wait_until(lambda: all(c.ended for c in origin.connections))
    assert [c.ended for c in origin.connections] == ["fin", "reset"]


def test_origin_reads_both_framings_and_records_every_byte(origin, connect):
    client = connect(origin)
    client.request("POST", "/a", body=b"hello")
    raw = (b"POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"wor")
           + chunk(b"ld") + LAST_CHUNK)
    client.send(raw)
    client.receive()
    assert [e.content for e in origin.exchanges] == [b"hello", b"world"]
    assert origin.received.endswith(raw)


def test_origin_holds_until_released(origin, connect):
    go = threading.Event()
    origin.default = lambda exchange: (exchange.hold(go), exchange.respond())
    client = connect(origin)
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    wait_until(lambda: origin.exchanges)
    assert client.leftover() == b""
    go.set()
    assert client.receive().status == 200


def test_origin_over_a_unix_socket(origins, connect, tmp_path):
    origin = origins(f"unix:{tmp_path}/origin.sock")
    assert connect(origin).get().connection == 1


def test_origin_complains_about_requests_that_are_not_http(connect):
    origin = Origin()
    connect(origin).send(b"GET / HTTP/1.1\r\nBad Name: 1\r\n\r\n")
    wait_until(lambda: origin.errors)
    origin.close()


def test_a_stalled_reader_bounds_what_an_origin_can_send(origins, connect):
    origin = origins(send_buffer=1 << 16)
    origin.default = lambda exchange: exchange.send(exchange.head_of(1 << 26), bytes(1 << 26))
    client = connect(origin, receive_buffer=1 << 16)
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    wait_until(lambda: origin.connections and origin.connections[0].sent)
    assert settled(lambda: origin.connections[0].sent) < 1 << 20
    client.close()


def test_websocket_echo(origin, connect):
    origin.default = websocket.echo
    client = connect(origin)
    client.send(websocket.UPGRADE)
    assert client.receive().get("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    client.send(websocket.frame(b"hello", masked=True))
    assert websocket.read_frame(client.reader) == (websocket.TEXT, b"hello")


def test_connecting_to_a_black_hole_takes_for_ever():
    hole = sockets.BlackHole()
    with pytest.raises(TimeoutError):
        sockets.connect(hole.address, timeout=0.3)
    hole.close()


def test_nobody_gets_in_at_a_closed_door(origin):
    origin.close_door()
    with pytest.raises(TimeoutError):
        sockets.connect(origin.address, timeout=0.3)
    origin.open_door()
    assert get_once(origin.address).connection == 1


def test_metrics_are_read_strictly():
    metrics = Metrics('# TYPE a counter\na{x="1",y="q\\"uo"} 2\na{x="2",y=""} 3\n')
    assert metrics.value("a") == 5 and metrics.value("a", x="1") == 2
    assert metrics.by("a", "x") == {"1": 2, "2": 3}
    for bad in ("a 1\n", "# TYPE a counter\na{x=1} 2\n", "# TYPE a counter\na 1\na 1\n"):
        with pytest.raises(AssertionError):
            Metrics(bad)


@pytest.mark.parametrize("name", ["nginx", "caddy", "node"])
def test_real_servers_serve_what_the_tests_ask_of_them(server, name):
    address = server(name).address
    assert get_once(address, "/hello.txt").body == HELLO
    large = get_once(address, "/large.txt", "Accept-Encoding: gzip")
    assert large.framing == "chunked" and large.get("content-encoding") == "gzip"
    assert get_once(address, "/large.txt").body == LARGE
