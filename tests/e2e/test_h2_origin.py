# SPDX-License-Identifier: MIT
"""The scripted origin over HTTP/2 and the relay, face to face with clients that are not weir."""

import re
import struct
import subprocess
import threading

import pytest

import h2_frames
import tls
from client import get_once
from servers import HELLO, LARGE, find
from waiting import PATIENCE, wait_until


@pytest.fixture
def client(h2_origin, connect_h2):
    return connect_h2(h2_origin)


@pytest.fixture
def connection(h2_origin, client):
    """The origin's end of it, after a first request."""
    assert client.get().status == 200
    return h2_origin.connections[0]


def test_origin_records_connections_streams_and_frames(h2_origin, client):
    first = client.start("POST", "/a", end=False).send(b"hello", trailers=[("x-sum", "1")])
    assert first.response().body == b"POST /a\n"
    second = client.get("/b")
    assert (second.body, second.connection, second.ordinal) == (b"GET /b\n", 1, 2)
    (connection,) = h2_origin.connections
    assert [(s.target, s.id, s.ordinal, s.complete) for s in connection.streams] == [
        ("/a", 1, 1, True), ("/b", 3, 2, True)]
    assert connection.streams[0].content == b"hello"
    assert connection.streams[0].trailers == [("x-sum", "1")]
    assert connection.settings["ENABLE_PUSH"] == 0 and connection.protocol == "h2"
    assert [f.kind for f in connection.of("HEADERS", "DATA")] == [
        "HEADERS", "DATA", "HEADERS", "HEADERS"]


def test_origin_holds_streams_and_answers_them_in_any_order(h2_origin, client):
    go = {1: threading.Event(), 3: threading.Event()}
    h2_origin.default = lambda stream: (stream.hold(go[stream.id]), stream.respond())
    first, second = client.start(path="/a"), client.start(path="/b")
    wait_until(lambda: len(h2_origin.streams) == 2)
    assert h2_origin.connections[0].open_streams == 2
    for stream, body in ((second, b"GET /b\n"), (first, b"GET /a\n")):
        go[stream.number].set()
        assert stream.response().body == body
    assert h2_origin.connections[0].open_streams == 0


def test_origin_sends_interim_heads_trailers_and_resets(h2_origin, client):
    h2_origin.paths["/all"] = lambda stream: (
        stream.interim(103, [("link", "</a>")]),
        stream.respond(b"hello", trailers=[("x-sum", "1")]))
    h2_origin.paths["/reset"] = lambda stream: stream.reset("INTERNAL_ERROR")
    response = client.get("/all")
    assert (response.body, response.trailers) == (b"hello", [("x-sum", "1")])
    assert [head.status for head in response.interim] == [103]
    assert client.get("/reset").code == h2_frames.INTERNAL_ERROR


def test_origin_keeps_to_the_peers_windows_and_can_withhold_its_own(h2_origin, client, connection):
    content = bytes(300_000)
    h2_origin.paths["/large"] = lambda stream: stream.respond(content)
    assert client.get("/large").body == content
    connection.credit = False
    assert client.request("POST", "/up", body=bytes(10_000)).status == 200
    assert client.rules.outbound_flow_control_window == 65535 - 10_000


def test_origin_says_goaway_and_looks_at_no_stream_above(h2_origin, client):
    go = threading.Event()
    h2_origin.default = lambda stream: (stream.hold(go), stream.respond())
    for path in "abc":
        client.start(path=f"/{path}")
    wait_until(lambda: len(h2_origin.streams) == 3)
    h2_origin.connections[0].say_goaway(3)
    client.wait(lambda: client.goaways, "GOAWAY")
    assert client.goaways[0].last == 3
    go.set()
    wait_until(lambda: [s.answered for s in h2_origin.streams] == [True, True, False])


def test_origin_announces_and_the_peer_acknowledges(h2_origins, connect_h2):
    origin = h2_origins(settings={"MAX_CONCURRENT_STREAMS": 7, "INITIAL_WINDOW_SIZE": 1000})
    client = connect_h2(origin)
    client.barrier()
    assert client.settings == {h2_frames.MAX_CONCURRENT_STREAMS: 7,
                               h2_frames.INITIAL_WINDOW_SIZE: 1000}
    wait_until(lambda: origin.connections[0].acked == 1)
    origin.connections[0].announce(wait=False, MAX_CONCURRENT_STREAMS=0)
    client.wait(lambda: client.settings[h2_frames.MAX_CONCURRENT_STREAMS] == 0, "SETTINGS")
    wait_until(lambda: origin.connections[0].acked == 2)


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_origin_ends_connections_and_sees_their_end(client, connection, how):
    (connection.close if how == "fin" else connection.reset)()
    assert client.ended() == how
    client.close()
    wait_until(lambda: connection.ended == ("fin" if how == "fin" else "over"))


def test_origin_pings_and_leaves_pings_unanswered_when_told(client, connection):
    connection.ping(wait=False)
    client.wait_for(h2_frames.PING)
    wait_until(lambda: connection.pongs == [b"12345678"])
    connection.answers_pings = False
    client.send(h2_frames.ping(b"abcdefgh"))
    assert client.get().status == 200
    assert connection.of("PING")[0].payload == b"abcdefgh"
    assert client.pongs == []


def test_origin_stops_reading_when_told(client, connection):
    connection.stop_reading()
    client.start(path="/later")
    with pytest.raises(AssertionError):
        wait_until(lambda: len(connection.streams) == 2, 0.2)
    connection.read_again()
    wait_until(lambda: len(connection.streams) == 2)


def test_origin_complains_about_what_is_not_http2(h2_origin, client, connection):
    client.send(h2_frames.body(9, b"x"))
    wait_until(lambda: h2_origin.errors)
    h2_origin.errors.clear()


def test_origin_complains_about_more_streams_than_it_announced(h2_origins, connect_h2):
    origin = h2_origins(settings={"MAX_CONCURRENT_STREAMS": 2})
    go = threading.Event()
    origin.default = lambda stream: stream.hold(go)
    client = connect_h2(origin)
    client.exceed_stream_limit()
    for _ in range(3):
        client.start()
    wait_until(lambda: origin.errors)
    origin.errors.clear()


def test_origin_says_what_it_is_told_and_nothing_else(h2_origins, wire):
    origin = h2_origins(says=b"hello")
    client = wire(origin)
    client.send(h2_frames.ping())
    assert client.reader.exactly(5) == b"hello"
    wait_until(lambda: origin.connections[0].of("PING"))


def test_origin_over_tls_speaks_what_alpn_chose(h2_tls_origins, connect_tls, connect_h2_tls):
    origin = h2_tls_origins()
    first = connect_tls(origin, name=tls.ORIGIN, protocols=["http/1.1"])
    assert first.get("/a").body == b"GET /a\n"
    second = connect_h2_tls(origin, name=tls.ORIGIN)
    content = struct.pack(">100000I", *range(100_000))
    assert second.request("POST", "/b", body=content).body == b"POST /b\n"
    assert origin.streams[0].content == content
    assert [c.protocol for c in origin.connections] == ["http/1.1", "h2"]


def test_origin_bears_h2load(h2_origin):
    done = subprocess.run([find("h2load"), "-n", "600", "-c", "2", "-m", "50",
                           f"http://{h2_origin.address}/"], capture_output=True, check=True)
    assert re.search(rb"600 succeeded, 0 failed", done.stdout), done.stdout
    assert len(h2_origin.streams) == 600


def test_relay_forwards_until_it_is_told_to_stop(origin, relay, connect):
    between = relay(origin)
    client = connect(between)
    assert client.get().status == 200
    between.stop_forwarding()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert get_once(between.address).status == 200
    assert len(origin.exchanges) == 2


@pytest.mark.parametrize("name", ["nginx", "caddy", "node", "nghttpd"])
@pytest.mark.parametrize("secure", [False, True], ids=["h2c", "tls"])
def test_real_servers_speak_http2(server, authority, origin_certificate, name, secure):
    running = server(name, http2=True, certificate=origin_certificate if secure else None)
    options = ["--cacert", authority.ca] if secure else ["--http2-prior-knowledge"]
    for path, content in (("hello.txt", HELLO), ("large.txt", LARGE)):
        done = subprocess.run([
            find("curl"), "--silent", "--show-error", "--include", "--max-time",
            str(10 * PATIENCE), *options,
            f"{'https' if secure else 'http'}://{running.address}/{path}"],
            capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(b"HTTP/2 200")
        assert b"\r\n\r\n" + content in done.stdout  # nghttpd's trailers come behind it
