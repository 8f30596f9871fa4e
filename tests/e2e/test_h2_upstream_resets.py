# SPDX-License-Identifier: MIT
"""Streams and connections that end before their time, from either side, and whom that concerns."""

import signal
import threading

import pytest

from client import request
from framing import chunk
from h2_upstream import (Holding, accepted, begin_post, check_quiet, connections, last_error,
                         opened, over_h2, retries, streams_now)
from waiting import wait_equal, wait_until

MIB = 1 << 20
every_code = pytest.mark.parametrize("code", ["CANCEL", "INTERNAL_ERROR", "PROTOCOL_ERROR",
                                              "ENHANCE_YOUR_CALM", "NO_ERROR"])


# --- The server resets a stream ---


@every_code
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_reset_before_the_head_is_502(h2_origin, h2_proxy, connect, crowd, method, code):
    held = Holding(h2_origin, crowd, h2_proxy)
    held.come(2)
    h2_origin.paths["/reset"] = lambda stream: (stream.body(), stream.reset(code))
    response = connect(h2_proxy).request(method, "/reset",
                                         body=b"x" if method == "POST" else None)
    assert (response.status, response.error) == (502, "connection_terminated")
    assert len(h2_origin.streams) == 3 and retries(h2_proxy) == 0
    assert last_error(h2_proxy, 1) == "stream_reset"
    assert [each.connection for each in held.finish()] == [1, 1]
    assert connect(h2_proxy).get().connection == 1


@every_code
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_reset_behind_the_head_cuts_the_response(h2_origin, h2_proxy, connect, crowd, framing,
                                                 code):
    held = Holding(h2_origin, crowd, h2_proxy)
    held.come(2)
    go = threading.Event()
    length = [("content-length", "9")] if framing == "length" else []
    h2_origin.paths["/cut"] = lambda stream: (
        stream.body(), stream.head(fields=length), stream.send(b"hello"), stream.hold(go),
        stream.reset(code))
    client = connect(h2_proxy)
    client.send(request(target="/cut"))
    while b"hello" not in client.reader.buffer:
        assert client.reader.fill()
    go.set()
    response = client.receive()
    assert (response.status, response.body, response.complete) == (200, b"hello", False)
    assert client.ended() in ("fin", "reset")
    assert last_error(h2_proxy, 1)
    assert [each.connection for each in held.finish()] == [1, 1]
    assert connect(h2_proxy).get().connection == 1
    check_quiet(h2_proxy)


# --- The server answers early ---


@pytest.mark.parametrize("then", ["reset", "nothing"])
def test_a_response_before_the_request_is_complete(h2_origin, h2_proxy, connect, then):
    """RFC 9113 section 8.1: RST_STREAM(NO_ERROR) behind it asks to stop the upload."""
    def early(stream):
        stream.some(1)
        stream.head(413, [("content-length", "5")])
        stream.send(b"large", end=True)
        if then == "reset":
            stream.reset("NO_ERROR")
    h2_origin.at[1, 1] = early
    client = connect(h2_proxy)
    upload = client.upload(request("POST", body=bytes(4 * MIB)))
    response = client.receive()
    assert (response.status, response.body, response.complete) == (413, b"large", True)
    client.close()
    upload.join(10)
    assert connect(h2_proxy).get().connection == 1
    check_quiet(h2_proxy)
    stream = h2_origin.streams[0]
    assert stream.over or stream.complete or stream.wait_for_reset() in ("NO_ERROR", "CANCEL")


def test_an_early_response_streams_while_the_request_does(h2_origin, h2_proxy, connect):
    def echo(stream):
        stream.head(fields=[("content-length", str(2 * MIB))])
        sent = 0
        while sent < 2 * MIB:
            content = stream.some(sent + 1)
            stream.send(content[sent:])
            sent = len(content)
        stream.finish()
    h2_origin.paths["/echo"] = echo
    client = connect(h2_proxy)
    body = bytes(range(256)) * (2 * MIB // 256)
    upload = client.upload(request("POST", "/echo", body=body))
    assert client.receive().body == body
    upload.join()
    assert client.get().ordinal == 2


def test_an_early_response_and_a_client_that_sends_nothing_more(h2_origin, h2_proxy, connect):
    h2_origin.at[1, 1] = lambda stream: (stream.some(5), stream.head(200, end=True),
                                         stream.reset("NO_ERROR"))
    client = connect(h2_proxy)
    begin_post(client, "/", 100, b"hello")
    assert client.receive().status == 200
    client.close()
    assert connect(h2_proxy).get().ordinal == 2


# --- The connection breaks ---


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_cut_connection_is_a_replay_for_gets_and_502_for_posts(h2_origin, h2_proxy, connect,
                                                                 crowd, how):
    assert connect(h2_proxy).get().connection == 1
    held = Holding(h2_origin, crowd, h2_proxy)
    held.clients.come("/hold")
    held.clients.come("/hold", "POST", b"hello")
    held.clients.come("/hold", "PUT", b"hello")
    accepted(h2_origin, 4)
    getattr(h2_origin.connections[0], how)()
    accepted(h2_origin, 6)
    held.go.set()
    get, post, put = [client.receive() for client in held.clients.clients]
    assert [(r.status, r.connection) for r in (get, put)] == [(200, 2), (200, 2)]
    assert (post.status, post.error) == (502, "connection_terminated")
    assert (retries(h2_proxy), retries(h2_proxy, "refused")) == (2, 1)
    assert sum(h2_proxy.closed().values()) == 1
    check_quiet(h2_proxy)


def test_a_cut_connection_cuts_responses(h2_origin, h2_proxy, crowd):
    def begin(stream):
        stream.head(fields=[("content-length", "9")])
        stream.send(b"hello")
    h2_origin.default = begin
    clients = crowd(h2_proxy)
    for _ in range(3):
        clients.come("/")
    accepted(h2_origin, 3)
    for client in clients.clients:
        while b"hello" not in client.reader.buffer:
            assert client.reader.fill()
    h2_origin.connections[0].reset()
    for client in clients.clients:
        response = client.receive()
        assert (response.status, response.body, response.complete) == (200, b"hello", False)
    assert retries(h2_proxy) == 0
    check_quiet(h2_proxy)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_an_idle_connection_that_ends_costs_no_request(h2_origin, h2_proxy, connect, how):
    client = connect(h2_proxy)
    for number in range(1, 4):
        assert client.request("POST", body=b"x").connection == number
        getattr(h2_origin.connections[-1], how)()
        h2_proxy.wait_idle(0)
    assert sum(h2_proxy.closed().values()) == 3
    assert retries(h2_proxy) == 0


def test_a_fresh_connection_that_breaks_is_502(h2_origin, h2_proxy, connect):
    """As over HTTP/1: the server has had the request, and it was not a stale connection."""
    h2_origin.at[1, 1] = lambda stream: (stream.body(), stream.connection.reset())
    response = connect(h2_proxy).request("POST", body=b"x")
    assert (response.status, response.error) == (502, "connection_terminated")
    assert connect(h2_proxy).get().connection == 2


# --- The client goes ---


@pytest.mark.parametrize("when", ["waiting", "uploading", "downloading"])
def test_a_client_that_goes_ends_its_stream_alone(h2_origin, h2_proxy, connect, crowd, when):
    held = Holding(h2_origin, crowd, h2_proxy)
    held.come(2)
    go = threading.Event()
    h2_origin.paths["/waiting"] = lambda stream: stream.hold(go)
    h2_origin.paths["/downloading"] = lambda stream: (
        stream.body(), stream.head(), stream.send(bytes(64 * MIB)))
    client = connect(h2_proxy)
    if when == "uploading":
        client.send(b"POST /uploading HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                    chunk(b"hello"))
    else:
        client.send(request(target=f"/{when}"))
    stream = accepted(h2_origin, 3)[2]
    if when == "downloading":
        assert client.receive_head().start.endswith("200 OK")
    client.reset()
    assert stream.wait_for_reset() in ("CANCEL", "INTERNAL_ERROR", "NO_ERROR")
    wait_equal(lambda: streams_now(h2_proxy), 2)
    assert [each.connection for each in held.finish()] == [1, 1]
    assert connect(h2_proxy).get().connection == 1
    go.set()


def test_many_clients_that_go_leave_the_connection_fit(h2_origin, h2_proxy, connect):
    """What was on its way to them counts against the connection's window, and must be given back:
    120 times 512 KiB are seven times the whole of it."""
    h2_origin.paths["/large"] = lambda stream: stream.respond(bytes(512 * 1024))
    for number in range(1, 121):
        client = connect(h2_proxy, receive_buffer=4096)
        client.send(request(target="/large"))
        client.receive_head()
        client.reset()
        wait_equal(lambda: streams_now(h2_proxy), 0)
        assert len(h2_origin.streams) == number
    assert any(stream.reset_by_peer for stream in h2_origin.streams)
    content = bytes(12 * MIB)
    h2_origin.paths["/whole"] = lambda stream: stream.respond(content)
    response = connect(h2_proxy).get("/whole")
    assert (response.body == content, response.connection) == (True, 1)
    check_quiet(h2_proxy)


# --- Times that pass ---


def test_a_server_that_does_not_answer_is_504_for_that_stream(weir, h2_origin, connect, crowd):
    proxy = weir(over_h2(h2_origin.address, upstream={"read_timeout": "300ms"}))
    go = threading.Event()
    h2_origin.paths["/never"] = lambda stream: stream.hold(go)

    def drip(stream):
        stream.head(fields=[("content-length", "4")])
        for at in range(4):
            stream.send(b"x", end=at == 3)
            go.wait(0.15)
    h2_origin.paths["/drip"] = drip
    clients = crowd(proxy)
    never, dripping = clients.come("/never"), clients.come("/drip")
    response = never.receive()
    assert (response.status, response.error) == (504, "http_response_timeout")
    assert dripping.receive().body == b"xxxx"
    silent = next(s for s in h2_origin.streams if s.target == "/never")
    assert silent.wait_for_reset() == "CANCEL"
    assert connect(proxy).get().connection == 1
    go.set()


def test_a_server_that_stops_within_its_body_is_cut(weir, h2_origin, connect):
    proxy = weir(over_h2(h2_origin.address, upstream={"read_timeout": "300ms"}))
    h2_origin.at[1, 1] = lambda stream: (stream.body(), stream.head(), stream.send(b"hello"))
    response = connect(proxy).get()
    assert (response.status, response.body, response.complete) == (200, b"hello", False)
    assert h2_origin.streams[0].wait_for_reset() == "CANCEL"
    assert connect(proxy).get().connection == 1


def test_a_server_that_opens_no_window_is_504(weir, h2_origin, connect):
    proxy = weir(over_h2(h2_origin.address, upstream={"write_timeout": "300ms"}))
    connect(proxy).get()

    def stall(stream):
        stream.credit = False
        stream.wait_for_reset()
    h2_origin.paths["/stall"] = stall
    client = connect(proxy)
    upload = client.upload(request("POST", "/stall", body=bytes(4 * MIB)))
    response = client.receive()
    assert (response.status, response.error) == (504, "connection_write_timeout")
    client.close()
    upload.join(10)
    assert connect(proxy).get().connection == 1


# --- The end of weir ---


def test_sigterm_lets_streams_end(h2_origin, h2_proxy, crowd):
    held = Holding(h2_origin, crowd, h2_proxy)
    held.come(5)
    h2_proxy.signal(signal.SIGTERM)
    held.finish()
    held.clients.close()
    assert h2_proxy.wait() == 0
    wait_until(lambda: h2_origin.connections[0].ended == "fin")


def test_an_idle_connection_is_left_politely(weir, h2_origin, connect):
    """GOAWAY tells the server that nothing was lost."""
    proxy = weir(over_h2(h2_origin.address, upstream={"idle_timeout": "200ms"}))
    connect(proxy).get()
    connection = h2_origin.connections[0]
    wait_until(lambda: connection.ended)
    assert connection.ended == "fin" and connection.goaway.error == "NO_ERROR"
    assert opened(proxy) == 1 and connections(proxy) == []
