# SPDX-License-Identifier: MIT
"""HTTP/2 on both sides: streams of one client become streams of one connection to the server, and
how either side ends one is told to the other side, about that stream alone."""

import threading

import pytest

import h2_frames
from h2_upstream import check_quiet, opened, over_h2, retries, streams_now
from waiting import settled, wait_equal, wait_until

MIB = 1 << 20
CONTENT = bytes(range(256)) * (MIB // 256)


@pytest.fixture
def client(h2_proxy, connect_h2):
    return connect_h2(h2_proxy, stream_window=MIB, connection_window=4 * MIB)


def came(origin, target):
    """The stream of this target, once it is there."""
    return wait_until(lambda: next((s for s in origin.streams if s.target == target), None), 5,
                      f"{target} at the origin")


def test_streams_side_by_side_on_one_connection_each(h2_origin, h2_proxy, client):
    go = threading.Event()
    h2_origin.default = lambda stream: (stream.hold(go), stream.respond(stream.body()))
    bodies = [b"number %d;" % number * 1000 for number in range(50)]
    streams = [client.start("POST", f"/{at}", body=body) for at, body in enumerate(bodies)]
    wait_equal(lambda: len(h2_origin.streams), 50)
    assert streams_now(h2_proxy) == 50 and len(h2_origin.connections) == 1
    go.set()
    assert [stream.response().body for stream in streams] == bodies
    check_quiet(h2_proxy)
    for line in h2_proxy.logged(50):
        assert (line["protocol"], line["upstream_protocol"]) == ("HTTP/2", "h2")


def test_heads_bodies_trailers_and_interim_heads(h2_origin, client):
    h2_origin.default = lambda stream: (
        stream.interim(103, [("link", "</a>")]),
        stream.respond(stream.body() + b"!", trailers=[("x-sum", "42")]))
    stream = client.start("POST", "/a?b", [("te", "trailers"), ("x-a", "1")], end=False)
    stream.send(b"hello", trailers=[("x-check", "1")])
    response = stream.response()
    assert (response.body, response.trailers) == (b"hello!", [("x-sum", "42")])
    assert [head.status for head in response.interim] == [103]
    assert response.get("via") == "2 weir"
    (seen,) = h2_origin.streams
    assert (seen.target, seen.get(":authority"), seen.get("via")) == ("/a?b", "example.test",
                                                                    "2 weir")
    assert (seen.get("x-a"), seen.trailers) == ("1", [("x-check", "1")])


def test_a_large_body_each_way_at_once(h2_origin, client):
    def echo(stream):
        stream.head()
        sent = 0
        while not stream.complete or sent < len(stream.content):
            content = stream.some(sent + 1)
            stream.send(content[sent:])
            sent = len(content)
        stream.finish()
    h2_origin.default = echo
    streams = [client.start("POST", "/", body=CONTENT * 2) for _ in range(3)]
    for stream in streams:
        assert stream.response().body == CONTENT * 2


@pytest.mark.parametrize("code", ["CANCEL", "INTERNAL_ERROR", "ENHANCE_YOUR_CALM"])
def test_a_reset_behind_the_head_is_an_internal_error_to_the_client(h2_origin, client, code):
    go = threading.Event()
    h2_origin.paths["/cut"] = lambda stream: (
        stream.body(), stream.head(), stream.send(b"hello"), stream.hold(go), stream.reset(code))
    h2_origin.paths["/other"] = lambda stream: (stream.hold(go), stream.respond())
    cut, other = client.start(path="/cut").wait_body(5), client.start(path="/other")
    came(h2_origin, "/other")
    go.set()
    assert (cut.response().code, cut.body) == (h2_frames.INTERNAL_ERROR, b"hello")
    assert other.response().complete
    assert client.get("/").connection == 1


def test_a_reset_before_the_head_is_502(h2_origin, client):
    h2_origin.paths["/reset"] = lambda stream: (stream.body(), stream.reset("CANCEL"))
    response = client.get("/reset")
    assert (response.status, response.error, response.complete) == (
        502, "connection_terminated", True)
    assert client.get("/").connection == 1


@pytest.mark.parametrize("when", ["waiting", "uploading", "downloading"])
def test_a_clients_reset_reaches_the_server_alone_for_its_stream(h2_origin, h2_proxy, client,
                                                                 when):
    go = threading.Event()
    h2_origin.paths["/waiting"] = lambda stream: (stream.body(), stream.hold(go))
    h2_origin.paths["/downloading"] = lambda stream: (
        stream.body(), stream.head(), stream.send(CONTENT * 64))
    h2_origin.paths["/other"] = lambda stream: (stream.hold(go), stream.respond())
    other = client.start(path="/other")
    stream = client.start("POST" if when == "uploading" else "GET", f"/{when}",
                          end=when != "uploading")
    if when == "uploading":
        stream.send(b"hello")
    elif when == "downloading":
        stream.wait_body(1)
    seen = came(h2_origin, f"/{when}")
    stream.cancel()
    client.flush()
    assert seen.wait_for_reset() == "CANCEL"
    wait_equal(lambda: streams_now(h2_proxy), 1)
    go.set()
    assert other.response().complete
    assert client.get("/").connection == 1 and opened(h2_proxy) == 1


def test_an_early_response_asks_the_client_to_stop(h2_origin, client):
    """RST_STREAM(NO_ERROR) behind it (RFC 9113 section 8.1)."""
    h2_origin.paths["/early"] = lambda stream: (
        stream.some(5), stream.head(413), stream.send(b"too much", end=True),
        stream.reset("NO_ERROR"))
    stream = client.start("POST", "/early", end=False).send(b"hello")
    response = stream.response()
    assert (response.status, response.body, response.complete) == (413, b"too much", True)
    client.wait(lambda: stream.code is not None, "RST_STREAM")
    assert stream.code == h2_frames.NO_ERROR
    assert client.get("/").connection == 1


def test_a_stream_that_is_not_read_stops_its_server_and_no_other(h2_origin, client):
    h2_origin.paths["/large"] = lambda stream: stream.respond(CONTENT * 64)
    h2_origin.default = lambda stream: stream.respond(CONTENT)
    stalled = client.start(path="/large", reads=False)
    seen = came(h2_origin, "/large")
    stalled.wait_body(MIB)
    for _ in range(3):
        assert client.get("/").body == CONTENT
    assert settled(lambda: seen.sent, 0.2) < 16 * MIB
    stalled.cancel()
    assert seen.wait_for_reset() == "CANCEL"


def test_an_upload_that_is_not_taken_stops_its_client_and_no_other(h2_origin, client):
    go = threading.Event()

    def stall(stream):
        stream.credit = False
        stream.hold(go)
        with stream.connection.acting(stream) as codec:
            codec.increment_flow_control_window(4 * MIB, stream.id)
        stream.respond()
    h2_origin.paths["/stall"] = stall
    h2_origin.default = lambda stream: stream.respond(stream.body())
    stalled = client.start("POST", "/stall", body=CONTENT * 3)
    came(h2_origin, "/stall")
    for _ in range(3):
        assert client.request("POST", "/", body=CONTENT[:100_000]).body == CONTENT[:100_000]
    client.stall()
    assert stalled.unsent
    go.set()
    assert stalled.response().complete
    assert came(h2_origin, "/stall").content == CONTENT * 3


def test_goaway_of_the_server_does_not_show(h2_origin, h2_proxy, client):
    """Nor does the connection of the client end."""
    go = threading.Event()
    h2_origin.default = lambda stream: (
        stream.body(), stream.hold(go), stream.respond(stream.body()))
    bodies = [b"number %d;" % number for number in range(40)]
    streams = [client.start("POST", "/", body=body) for body in bodies]
    wait_equal(lambda: len(h2_origin.streams), 40)
    first = h2_origin.connections[0]
    first.say_goaway(first.streams[19].id)
    wait_equal(lambda: len(h2_origin.streams), 60)
    go.set()
    assert [stream.response().body for stream in streams] == bodies
    answered = sorted(bytes(s.content) for s in h2_origin.streams if s.answered)
    assert answered == sorted(bodies) and retries(h2_proxy) == 20
    assert client.goaways == []


def test_a_connection_to_the_server_that_breaks_ends_its_streams_only(weir, h2_origins,
                                                                      connect_h2):
    one, two = h2_origins(), h2_origins()
    service = {"routes": [{"path": "/two", "upstream": "two"}, {"upstream": "one"}],
               "upstreams": {"one": f"h2c://{one.address}", "two": f"h2c://{two.address}"}}
    client = connect_h2(weir(over_h2(service=service)))
    go = threading.Event()
    for origin in (one, two):
        origin.default = lambda stream: (stream.body(), stream.hold(go), stream.respond())
    lost, kept = client.start("POST", "/one", body=b"x"), client.start("POST", "/two", body=b"x")
    came(one, "/one"), came(two, "/two")
    one.connections[0].reset()
    assert lost.response().status == 502
    go.set()
    assert kept.response().status == 200
    assert client.get("/one").connection == 2 and client.goaways == []


def test_a_client_that_vanishes_leaves_the_connection_to_the_server(h2_origin, h2_proxy, client,
                                                                    connect_h2):
    go = threading.Event()
    h2_origin.paths["/hold"] = lambda stream: stream.hold(go)
    other = connect_h2(h2_proxy)
    for _ in range(20):
        client.start(path="/hold")
    wait_equal(lambda: streams_now(h2_proxy), 20)
    assert other.get("/").connection == 1
    client.reset()
    wait_equal(lambda: streams_now(h2_proxy), 0)
    assert [stream.wait_for_reset() for stream in h2_origin.connections[0].streams[:20]] == [
        "CANCEL"] * 20
    assert other.get("/").connection == 1 and opened(h2_proxy) == 1
    go.set()
