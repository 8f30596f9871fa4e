# SPDX-License-Identifier: MIT
"""Bodies in both directions: whole, in step with the slower side, and torn."""

import hashlib
import random
import threading

import pytest

from client import request
from framing import LAST_CHUNK, chunk
from waiting import settled, wait_until
from weir import one_upstream

MIB = 1 << 20
LARGE = random.Random(1).randbytes(MIB) * 64
DIGEST = hashlib.sha256(LARGE).digest()
# Between two stalled ends lie the kernel's buffers of two connections, which may grow to some
# 6 MiB received and 4 MiB to send each, and weir's own few KiB.
BOUND = 24 * MIB


def is_large(body):
    return len(body) == len(LARGE) and hashlib.sha256(body).digest() == DIGEST


def pieces(size):
    return (LARGE[at:at + size] for at in range(0, len(LARGE), size))


def send_large(exchange):
    exchange.body()
    exchange.send(exchange.head_of(len(LARGE)), LARGE)


def send_large_chunked(exchange):
    exchange.send(exchange.labelled(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
    for piece in pieces(100_000):
        exchange.send(chunk(piece))
    exchange.send(LAST_CHUNK)


# --- Whole ---


@pytest.mark.parametrize("behaviour", [send_large, send_large_chunked])
def test_64_mib_down(origin, proxy, connect, behaviour):
    origin.paths["/large"] = behaviour
    client = connect(proxy)
    assert is_large(client.get("/large").body)
    assert client.get().ordinal == 2


def test_64_mib_up_with_length(origin, proxy, connect):
    client = connect(proxy)
    assert client.request("POST", body=LARGE).status == 200
    assert is_large(origin.exchanges[0].content)
    assert client.get().ordinal == 2


def test_64_mib_up_chunked(origin, proxy, connect):
    client = connect(proxy)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(*(chunk(piece) for piece in pieces(777_777)), LAST_CHUNK)
    assert client.receive().status == 200
    assert is_large(origin.exchanges[0].content)
    assert client.get().ordinal == 2


def test_64_mib_both_ways_at_once(origin, proxy, connect):
    def echo(exchange):
        exchange.send(exchange.head_of(len(LARGE)))
        exchange.send(*exchange.pieces())

    origin.default = echo
    client = connect(proxy)
    upload = client.upload(request("POST", body=LARGE))
    assert is_large(client.receive().body)
    upload.join()


# --- In step with the slower side ---


def test_a_client_that_does_not_read_stops_the_server(origins, weir, connect):
    origin = origins(send_buffer=1 << 16)
    origin.default = send_large
    proxy = weir(one_upstream(origin.address))
    client = connect(proxy, receive_buffer=1 << 16)
    client.send(request())
    wait_until(lambda: origin.connections and origin.connections[0].sent)
    assert settled(lambda: origin.connections[0].sent) < BOUND
    assert is_large(client.receive().body)


def test_a_server_that_does_not_read_stops_the_client(origins, weir, connect):
    origin = origins(receive_buffer=1 << 16)
    go = threading.Event()
    origin.default = lambda exchange: (exchange.hold(go), exchange.respond())
    client = connect(weir(one_upstream(origin.address)))
    sent = 0

    def upload():
        nonlocal sent
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(LARGE))
        for piece in pieces(1 << 16):
            client.send(piece)
            sent += len(piece)

    client.sock.settimeout(60)
    thread = threading.Thread(target=upload, daemon=True)
    thread.start()
    wait_until(lambda: sent)
    assert settled(lambda: sent) < BOUND
    go.set()
    assert client.receive().status == 200
    thread.join()
    assert is_large(origin.exchanges[0].content)


def test_small_pieces_are_passed_on_at_once(origin, proxy, connect):
    """No piece waits for the next: an event stream works."""
    steps = [threading.Event() for _ in range(5)]

    def events(exchange):
        exchange.send(exchange.labelled(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
        for at, step in enumerate(steps):
            exchange.hold(step)
            exchange.send(chunk(b"event %d\n" % at))
        exchange.send(LAST_CHUNK)

    origin.default = events
    client = connect(proxy)
    client.send(request())
    for at, step in enumerate(steps):
        step.set()
        while b"event %d\n" % at not in client.reader.buffer:
            assert client.reader.fill()
    assert client.receive().body == b"".join(b"event %d\n" % at for at in range(5))


@pytest.mark.parametrize("first", [b"", b"5", b"5\r\n"], ids=["nothing", "digit", "size"])
def test_head_does_not_wait_for_the_body(origin, proxy, connect, first):
    """An event stream's client is told that it is open before there is an event."""
    go = threading.Event()

    def behave(exchange):
        exchange.send(exchange.labelled(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") + first)
        exchange.hold(go)
        exchange.send((b"5\r\nhello\r\n" + LAST_CHUNK)[len(first):])

    origin.default = behave
    client = connect(proxy)
    client.send(request())
    assert client.reader.fill() and b"\r\n\r\n" in client.reader.buffer
    go.set()
    assert client.receive().body == b"hello"


def test_request_head_does_not_wait_for_the_body(origin, proxy, connect):
    client = connect(proxy)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5")
    wait_until(lambda: origin.exchanges, 5, "the head at the origin")
    client.send(b"\r\nhello\r\n" + LAST_CHUNK)
    assert client.receive().status == 200
    assert origin.exchanges[0].content == b"hello"


def test_upload_goes_on_behind_an_early_response_head(origin, proxy, connect):
    def duplex(exchange):
        exchange.some(5)
        exchange.send(exchange.head_of(9) + b"half ")
        exchange.some(5)
        exchange.content = b""
        exchange.send(b"done")

    origin.at[1, 1] = duplex
    client = connect(proxy)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
    while b"half " not in client.reader.buffer:
        assert client.reader.fill()
    client.send(b"world")
    assert client.receive().body == b"half done"
    assert connect(proxy).get().connection == 1, "both messages ended: it may be kept"


# --- An early response while the upload runs ---


def test_whole_early_response_reaches_a_client_that_is_still_sending(origin, proxy, connect):
    """The server answers 413 and reads no more; the client gets it in spite of its full pipe."""
    def refuse(exchange):
        exchange.some(1000)
        exchange.send(exchange.head_of(5, "413 Content Too Large") + b"large")
        exchange.connection.over = True
        exchange.hold(delivered)

    delivered = threading.Event()
    origin.at[1, 1] = refuse
    client = connect(proxy)
    upload = client.upload(request("POST", body=LARGE))
    response = client.receive()
    assert (response.status, response.body) == (413, b"large")
    delivered.set()
    client.close()
    upload.join(10)
    assert connect(proxy).get().connection == 2


# --- Torn ---


def test_client_that_goes_within_a_response_frees_the_server(origin, proxy, connect):
    origin.at[1, 1] = send_large
    client = connect(proxy)
    client.send(request())
    client.reader.fill()
    client.reset()
    wait_until(lambda: origin.connections[0].ended, 5, "the upstream connection closed")
    assert origin.connections[0].ended in ("fin", "reset")
    proxy.wait_metric(0, "weir_pool_in_use_connections")
    assert connect(proxy).get().connection == 2


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_that_goes_while_waiting_frees_the_server(origin, proxy, connect, how):
    origin.at[1, 1] = lambda exchange: exchange.connection.reader.rest()
    client = connect(proxy)
    client.send(request())
    wait_until(lambda: origin.exchanges)
    getattr(client, how)()
    wait_until(lambda: origin.connections[0].ended, 5, "the upstream connection closed")
    proxy.wait_metric(0, "weir_pool_in_use_connections")
    assert connect(proxy).get().connection == 2


def test_client_that_goes_within_its_upload_is_not_taken_for_whole(origin, proxy, connect):
    client = connect(proxy)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhello")
    wait_until(lambda: b"hello" in origin.received)
    client.close()
    wait_until(lambda: origin.connections[0].ended, 5, "the upstream connection closed")
    assert not origin.exchanges[0].complete
    assert connect(proxy).get().connection == 2


def test_chunked_upload_cut_by_the_client_gets_no_last_chunk(origin, proxy, connect):
    client = connect(proxy)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"hi"))
    wait_until(lambda: b"hi" in origin.received)
    client.close()
    wait_until(lambda: origin.connections[0].ended, 5, "the upstream connection closed")
    assert not origin.received.endswith(LAST_CHUNK) and not origin.exchanges[0].complete


def test_server_that_goes_within_a_large_response_is_told_as_cut(origin, proxy, connect):
    def half(exchange):
        exchange.body()
        exchange.send(exchange.head_of(len(LARGE)), LARGE[:len(LARGE) // 2])
        exchange.fin()

    origin.default = half
    response = connect(proxy).get()
    assert not response.complete
    assert response.body == LARGE[:len(response.body)]


def test_server_that_goes_within_the_upload_is_502(origin, proxy, connect):
    def die(exchange):
        exchange.some(1000)
        exchange.reset()

    origin.default = die
    client = connect(proxy)
    upload = client.upload(request("POST", body=LARGE))
    response = client.receive()
    assert response.status == 502
    assert response.error == "connection_terminated"
    client.close()
    upload.join(10)
    assert len(origin.exchanges) == 1


def test_half_closed_client_gets_all_of_a_response_that_has_begun(origin, proxy, connect):
    """Its end alone says nothing about its reading: what moves is not cut after a second."""
    go = threading.Event()
    origin.at[1, 1] = lambda exchange: (
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst"), exchange.hold(go),
        exchange.send(b"later"))
    client = connect(proxy)
    client.send(request())
    client.half_close()
    threading.Timer(1.5, go.set).start()  # longer than the grace of one second
    assert client.receive().body == b"firstlater"
