# SPDX-License-Identifier: MIT
"""The HTTP/2 client of the tests and its frames made by hand, face to face with real servers."""

import random
import struct
import threading

import pytest

import h2_frames as frames
import sockets
import tls
from servers import HELLO, LARGE

BODY = random.Random(2).randbytes(1 << 20)


@pytest.fixture
def nghttpd(server):
    return server("nghttpd")


def test_many_streams_at_once(nghttpd, connect_h2):
    client = connect_h2(nghttpd)
    streams = [client.start(path="/hello.txt") for _ in range(50)]
    for stream in reversed(streams):
        response = stream.response()
        assert (response.status, response.body, response.complete) == (200, HELLO, True)
    assert client.get("/missing.txt").status == 404
    assert client.request("HEAD", "/hello.txt").get("content-length") == str(len(HELLO))


def test_over_tls_with_alpn(server, connect_h2, authority, origin_certificate):
    running = server("nghttpd", certificate=origin_certificate)
    context = tls.client_context(authority, protocols=["http/1.1", "h2"])
    client = connect_h2(running, tls=context, name=tls.ORIGIN)
    assert client.protocol == "h2"
    assert client.get("/large.txt").body == LARGE
    client.barrier()


@pytest.mark.parametrize("stream_window, connection_window", [
    (65535, 65535), (777, 65535), (1 << 20, 1 << 24), (frames.LARGEST, frames.LARGEST)])
def test_bodies_both_ways_with_any_window(nghttpd, connect_h2, stream_window, connection_window):
    client = connect_h2(nghttpd, stream_window=stream_window,
                        connection_window=connection_window)
    response = client.request("POST", "/echo", body=BODY)
    assert response.body == BODY and response.trailers == [("x-sum", "42")]


def test_uploads_and_downloads_side_by_side(nghttpd, connect_h2):
    client = connect_h2(nghttpd)
    streams = [client.start("POST", "/echo", body=BODY[number:]) for number in range(4)]
    down = client.start(path="/large.txt")
    assert [stream.response().body for stream in streams] == [BODY[n:] for n in range(4)]
    assert down.response().body == LARGE


def test_a_stream_that_is_not_read_holds_back_itself_alone(nghttpd, connect_h2):
    client = connect_h2(nghttpd, stream_window=1000)
    still = client.start(path="/large.txt", reads=False)
    assert client.get("/hello.txt").body == HELLO
    client.stall()
    assert still.body == LARGE[:1000]
    still.allow(500)
    assert still.wait_body(1500).body == LARGE[:1500]
    client.stall(0.1)
    assert len(still.body) == 1500
    still.allow(len(LARGE))
    assert still.response().body == LARGE


def test_an_upload_waits_for_its_window(nghttpd, connect_h2):
    client = connect_h2(nghttpd)
    client.barrier()
    stream = client.start("POST", "/echo", end=False)
    stream.send(BODY)
    assert stream.unsent
    client.wait_sent(stream)
    stream.send(b"the end", trailers=[("x-mine", "1")])
    assert stream.response().body == BODY + b"the end"


def test_resets_in_both_directions(nghttpd, connect_h2):
    client = connect_h2(nghttpd, stream_window=1000)
    left = client.start(path="/large.txt", reads=False)
    left.wait_body(1000)
    left.cancel()
    refused = client.request(fields=[("Upper", "1")])
    assert (refused.code, refused.head, refused.complete) == (frames.PROTOCOL_ERROR, None, False)
    assert client.get("/hello.txt").body == HELLO
    assert left.over and not left.ended


def test_what_a_canceled_stream_still_gets_does_not_count(nghttpd, connect_h2):
    """Its bytes are given back, and its head is decoded: what follows is understood."""
    client = connect_h2(nghttpd)
    for _ in range(200):
        client.start(path="/large.txt").cancel()
    assert client.get("/large.txt").body == LARGE


def test_interim_responses(nghttpd, connect_h2):
    client = connect_h2(nghttpd)
    stream = client.start("POST", "/echo", [("expect", "100-continue")], end=False)
    assert stream.wait_interim().status == 100
    stream.send(b"hello", end=True)
    assert stream.response().body == b"hello"


def test_goaway_is_noted_and_what_runs_goes_on(server, connect_h2):
    nginx = server("nginx", http2=True, more="keepalive_requests 3;")
    client = connect_h2(nginx, stream_window=100)
    streams = [client.start(path="/large.txt", reads=False) for _ in range(4)]
    client.wait(lambda: client.goaways)
    assert [(last, code) for last, code, _ in client.goaways] == [(5, frames.NO_ERROR)]
    for stream in streams[:3]:
        stream.allow(len(LARGE))
        assert stream.response().body == LARGE
    assert client.ended() == "fin" and not streams[3].head


def test_the_stream_limit_holds_until_it_is_to_be_exceeded(server, connect_h2):
    nginx = server("nginx", http2=True, more="http2_max_concurrent_streams 2;")
    client = connect_h2(nginx, stream_window=100)
    client.exceed_stream_limit()
    streams = [client.start(path="/large.txt", reads=False) for _ in range(3)]
    streams[2].response()
    assert streams[2].code == frames.REFUSED_STREAM
    assert client.settings[frames.MAX_CONCURRENT_STREAMS] == 2


# --- Frames made by hand ---


def test_a_request_made_by_hand(nghttpd, wire):
    client = wire(nghttpd, settings_sent={frames.INITIAL_WINDOW_SIZE: 5})
    client.send(frames.headers(1, frames.request_fields("/hello.txt"), end_headers=False),
                frames.continuation(1), frames.continuation(1, end_headers=True))
    assert client.wait_for(frames.DATA, 1).payload == HELLO[:5]
    client.send(frames.window_update(1, 100), frames.priority(3), frames.priority_update(1))
    assert client.wait_for(frames.DATA, 1, count=2).payload == HELLO[5:]
    client.barrier()


def test_a_connection_error_is_told_with_its_code(nghttpd, wire):
    client = wire(nghttpd)
    client.send(frames.frame(frames.PING, payload=b"short"))
    assert client.ended_as(frames.FRAME_SIZE_ERROR).last == 0


def test_a_stream_error_is_told_with_its_code(nghttpd, wire):
    client = wire(nghttpd)
    client.send(frames.headers(1, raw=frames.block(frames.request_fields()) +
                               frames.literal(b"X", b"\xff\0")))
    client.wait_for(frames.RST_STREAM, 1)
    assert frames.reset_of(client, 1) == frames.PROTOCOL_ERROR


def test_pings_may_be_left_without_answer(nghttpd, wire):
    client = wire(nghttpd)
    client.acknowledges_pings = False
    client.send(frames.ping(b"whatever"))
    client.wait(lambda: client.pongs == [b"whatever"])


# --- A server that breaks the rules does not get through ---


OK = frames.headers(1, [(":status", "200")], end_stream=False)
BROKEN = {
    "uppercase": frames.headers(1, [(":status", "200"), ("Upper", "1")]),
    "connection": frames.headers(1, [(":status", "200"), ("connection", "close")]),
    "no_status": frames.headers(1, [("x-a", "1")]),
    "length": frames.headers(1, [(":status", "200"), ("content-length", "6")], end_stream=False)
              + frames.body(1, b"hello", end=True),
    "over_window": OK + frames.body(1, bytes(1000)) + frames.body(1, bytes(1), end=True),
    "unopened": frames.headers(3, [(":status", "200")]),
    "frame_after_end": OK + frames.body(1, b"", end=True) + frames.body(1, b"x"),
    "reserved_bit": struct.pack(">IBI", 0, 0, 1 << 31 | 1)[1:] + b"\0",
    "too_large": frames.frame(frames.DATA, 0, 1, bytes(16385)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_server_is_found_out(connect_h2, name):
    listener, address = sockets.listen()

    def serve():
        sock = listener.accept()[0]
        sock.recv(1 << 16)
        sock.sendall(frames.settings() + (BROKEN[name]))
        sock.recv(1 << 16)
        sock.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    client = connect_h2(address, stream_window=1000)
    stream = client.start(reads=False)
    with pytest.raises(AssertionError):
        client.pump_until_quiet()
        assert stream.over and stream.complete is False
    client.close()
    listener.close()
    thread.join(10)
