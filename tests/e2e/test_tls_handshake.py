# SPDX-License-Identifier: MIT
"""Handshakes that do not come to their end, or that never begin."""

import os
import re
import socket
import threading
import time

import pytest

import sockets
import tls
from client import Client
from framing import Reader
from hello import ClientHello
from waiting import PATIENCE, wait_until

LIMIT_MS = 400
COUNTER = "weir_downstream_tls_handshakes_total"


@pytest.fixture
def strict(edge):
    """weir that gives a handshake so long."""
    return edge(tls={"handshake_timeout": f"{LIMIT_MS}ms"})


def raw(proxy):
    sock = sockets.connect(proxy.address)
    return sock, Reader(sock)


def ended(reader):
    """How the connection ended. An alert may come before, and nothing else."""
    rest = reader.rest()
    assert rest[:1] in (b"", b"\x15") and b"HTTP" not in rest, rest
    return reader.end


def check_in_time(began):
    took = time.monotonic() - began
    assert 0.9 * LIMIT_MS / 1000 < took < LIMIT_MS / 1000 + 3 * PATIENCE


# --- Too slow ---


@pytest.mark.parametrize("sent", ["nothing", "one_byte", "half_a_hello"])
def test_a_handshake_that_does_not_go_on_is_ended(strict, origin, sent):
    first = {"nothing": b"", "one_byte": b"\x16", "half_a_hello": ClientHello().half()}[sent]
    began = time.monotonic()
    sock, reader = raw(strict)
    sock.sendall(first)
    assert ended(reader) == "fin"
    check_in_time(began)
    strict.wait_metric(1, COUNTER, result="timeout")
    strict.wait_metric(0, "weir_downstream_connections")
    assert origin.connections == []
    sock.close()


def test_a_handshake_that_stops_behind_the_hello_is_ended(strict):
    began = time.monotonic()
    sock, reader = raw(strict)
    sock.sendall(ClientHello().wire())
    assert reader.exactly(1) == b"\x16", "weir's part of the handshake"
    reader.rest()
    assert reader.end == "fin"
    check_in_time(began)
    strict.wait_metric(1, COUNTER, result="timeout")
    sock.close()


def test_each_byte_does_not_give_a_handshake_more_time(strict):
    began = time.monotonic()
    sock, reader = raw(strict)
    over = threading.Event()

    def drip():
        try:
            for byte in ClientHello(name="a" * 200 + ".test").wire():
                if over.wait(0.02):
                    return
                sock.sendall(bytes([byte]))
        except OSError:
            pass

    thread = threading.Thread(target=drip)
    thread.start()
    assert ended(reader) in ("fin", "reset")
    check_in_time(began)
    over.set()
    thread.join()
    strict.wait_metric(1, COUNTER, result="timeout")
    sock.close()


def test_slow_handshakes_do_not_hold_others_up(strict, connect_tls):
    slow = [raw(strict) for _ in range(20)]
    for sock, _ in slow:
        sock.sendall(ClientHello().half())
    assert connect_tls(strict).get().status == 200
    for sock, reader in slow:
        assert ended(reader) == "fin"
        sock.close()
    strict.wait_metric(20, COUNTER, result="timeout")


def test_the_time_of_a_handshake_is_over_with_it(strict, connect_tls):
    client = connect_tls(strict)
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 1.5 * LIMIT_MS / 1000)
    assert client.get().status == 200
    assert strict.metric(COUNTER, result="timeout") == 0


def test_a_client_that_goes_within_the_handshake_is_let_go(edge):
    proxy = edge()
    for close in (lambda sock: sock.close(), sockets.close_with_reset):
        sock = sockets.connect(proxy.address)
        sock.sendall(ClientHello().half())
        proxy.wait_metric(1, "weir_downstream_connections")
        close(sock)
        proxy.wait_metric(0, "weir_downstream_connections")
    proxy.wait_metric(2, COUNTER, result="failed")
    proxy.wait_metric(0, "weir_downstream_connections")


def test_handshakes_under_way_do_not_hold_up_the_end(edge):
    proxy = edge(tls={"handshake_timeout": "60s"}, grace_period_seconds=60)
    sock, reader = raw(proxy)
    sock.sendall(ClientHello().half())
    proxy.wait_metric(1, "weir_downstream_connections")
    proxy.stop()
    assert ended(reader) in ("fin", "reset")
    sock.close()


# --- Not TLS ---


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE", "CONNECT"])
def test_plain_http_is_told_that_this_is_a_tls_port(edge, origin, method):
    proxy = edge()
    client = Client(proxy)
    client.send(f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    response = client.receive()
    assert response.status == 400
    assert "close" in response.head.tokens("connection")
    assert re.search(b"TLS|HTTPS|https", response.body), response.body
    assert client.ended() == "fin"
    proxy.wait_metric(1, COUNTER, result="plain")
    assert origin.connections == []
    client.close()


def test_plain_http_that_comes_in_two_pieces(edge):
    proxy = edge()
    client = Client(proxy)
    client.send(b"G", b"ET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.receive().status == 400
    client.close()


GARBAGE = {
    "zeros": bytes(200),
    "noise": b"\x80" + os.urandom(300),
    "record_of_nothing_known": b"\x16\x03\x01\x00\x05hello",
    "record_that_is_too_long": b"\x16\x03\x01\xff\xff" + bytes(1000),
    "record_of_an_unknown_kind": b"\x99\x03\x03\x00\x05hello",
    "data_before_the_handshake": b"\x17\x03\x03\x00\x05hello",
    "an_alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "empty_records": b"\x16\x03\x01\x00\x00" * 40,
    "hello_that_is_cut_inside": b"\x16\x03\x01\x00\x10\x01\x00\x00\x0c\x03\x03" + bytes(10),
    "ssl_2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80" + bytes(34),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_closed_and_counted(edge, origin, connect_tls, name):
    proxy = edge()
    sock, reader = raw(proxy)
    sock.sendall(GARBAGE[name])
    assert ended(reader) in ("fin", "reset")
    proxy.wait_metric(1, COUNTER, result="failed")
    proxy.wait_metric(0, "weir_downstream_connections")
    assert origin.connections == []
    assert connect_tls(proxy).get().status == 200
    sock.close()


def test_garbage_behind_a_handshake_ends_the_connection(edge, connect_tls, origin):
    client = connect_tls(edge())
    client.get()
    beside = socket.socket(fileno=client.sock.detach())
    beside.settimeout(sockets.SOCKET_TIMEOUT)
    beside.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    reader = Reader(beside)
    assert b"HTTP/1.1 200" not in reader.rest() and reader.end in ("fin", "reset")
    beside.close()
    assert len(origin.exchanges) == 1


# --- A body that is cut ---


@pytest.mark.parametrize("version", tls.VERSIONS)
@pytest.mark.parametrize("how", ["truncate", "close"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_request_that_is_cut_is_not_taken_for_whole(edge, connect_tls, origin, version, how,
                                                      framing):
    proxy = edge()
    client = connect_tls(proxy, version)
    head, piece = {"length": (b"Content-Length: 10", b"hello"),
                   "chunked": (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n")}[framing]
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n\r\n" + piece)
    wait_until(lambda: b"hello" in origin.received)
    getattr(client, how)()
    wait_until(lambda: origin.connections[0].ended)
    assert not origin.exchanges[0].complete
    assert not origin.received.endswith(b"0\r\n\r\n"), "the end was made up"
    assert proxy.logged(1)[0]["status"] == 0


def test_a_head_that_is_cut_is_not_answered(edge, connect_tls, origin):
    proxy = edge()
    client = connect_tls(proxy)
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
    client.truncate()
    proxy.wait_metric(0, "weir_downstream_connections")
    assert origin.connections == []
