# SPDX-License-Identifier: MIT
"""Frames that are legal one by one, and an attack in such numbers: the connection ends with
ENHANCE_YOUR_CALM, the kind is counted, and nobody else notices. Below that they are nothing."""

import pytest

import h2_frames as frames
from h2_client import alive
from waiting import wait_until

UNTOLD = "weir_downstream_h2_floods_total"
POST = frames.headers(1, frames.request_fields("/held", method="POST"), end_stream=False)


def numbers(count, first=3):
    """The streams that come after the first."""
    return range(first, first + 2 * count, 2)


def resets(count):
    return b"".join(frames.headers(n) + frames.rst_stream(n) for n in numbers(count))


def provoked_resets(count):
    """Streams that weir itself has to end, for the client's fault."""
    return b"".join(frames.headers(n, frames.request_fields(method="POST"), end_stream=False)
                    + frames.window_update(n, frames.LARGEST) for n in numbers(count))


def malformed(count):
    bad = frames.request_fields(fields=[("X-Upper", "1")])
    return b"".join(frames.headers(n, bad) for n in numbers(count))


def head_without_end(count, content=b""):
    return frames.headers(3, end_headers=False) + frames.continuation(3, content) * count


# name -> (kind, what comes after POST)
FLOODS = {
    "resets": ("rapid_reset", resets(900)),
    "provoked_resets": ("rapid_reset", provoked_resets(900)),
    "malformed": ("rapid_reset", malformed(900)),
    "continuation": ("continuation",
                     head_without_end(500, frames.literal(b"x-flood", b"f" * 50))),
    "empty_continuation": ("continuation", head_without_end(2000)),
    "settings": ("settings", frames.settings() * 200),
    "settings_with_values": ("settings", frames.settings({4: 65535}) * 200),
    "ping": ("ping", frames.ping() * 400),
    "priority": ("priority", frames.priority(5) * 2500),
    "priority_update": ("priority", frames.priority_update(1) * 2500),
    "empty_body": ("empty_frames", frames.body(1) * 400),
    "padding_alone": ("empty_frames",
                      frames.frame(frames.DATA, frames.PADDED, 1, b"\x20" + bytes(32)) * 400),
    "window_of_the_connection": ("window_update", frames.window_update(0, 1) * 12_000),
    "window_of_a_stream": ("window_update", frames.window_update(1, 1) * 12_000),
    "unknown": ("unknown", frames.frame(0xfa, 0, 0, b"hello") * 2500),
}


@pytest.fixture
def ready(origin, proxy, wire):
    """A connection of frames with a request on stream 1 that goes on, and does not end."""
    origin.paths["/held"] = lambda exchange: exchange.connection.reader.rest()
    client = wire(proxy)
    client.send(POST)
    wait_until(lambda: origin.exchanges)
    return client


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_its_connection(origin, proxy, ready, connect_h2, name):
    kind, raw = FLOODS[name]
    other = connect_h2(proxy)
    alive(other)
    ready.send_unless_refused(raw)
    ready.ended_as(frames.ENHANCE_YOUR_CALM)
    proxy.wait_metric(1, UNTOLD, kind=kind, service="edge")
    assert proxy.metrics().by(UNTOLD, "kind") == {kind: 1}
    wait_until(lambda: origin.exchanges[0].connection.ended, 5, "its upstream connections closed")
    proxy.wait_metric(0, "weir_pool_in_use_connections")
    proxy.wait_metric(1, "weir_downstream_connections")
    alive(other)


BORNE = {
    "resets": resets(150),
    "settings": frames.settings() * 40,
    "ping": frames.ping() * 90,
    "priority": frames.priority(5) * 900,
    "empty_body": frames.body(1) * 90,
    "window_updates": frames.window_update(0, 1) * 4500,
    "unknown": frames.frame(0xfa, 0, 0, b"hello") * 900,
    "continuation": frames.headers(3, end_headers=False) + frames.continuation(3) * 3
                    + frames.continuation(3, end_headers=True),
}


@pytest.mark.parametrize("name", BORNE)
def test_what_is_below_the_limits_is_borne(proxy, ready, name):
    ready.send(BORNE[name])
    ready.barrier()
    ready.send(frames.headers(9001))
    ready.wait_for(frames.DATA, 9001)
    assert ready.goaways == [] and proxy.metrics().by(UNTOLD, "kind") == {}


def test_pings_and_settings_are_answered_each(ready):
    ready.send(*[frames.ping(b"number%02d" % number) for number in range(30)],
               *[frames.settings({4: 1000 + number}) for number in range(30)])
    ready.barrier()
    assert ready.pongs[:30] == [b"number%02d" % number for number in range(30)]
    acknowledged = [each for each in ready.of(frames.SETTINGS) if each.flags & frames.ACK]
    assert len(acknowledged) == 31


def test_work_earns_window_updates(origin, proxy, connect_h2):
    """What opens a window that something was sent into is no flood, however many they are."""
    origin.paths["/large"] = lambda exchange: exchange.respond(bytes(4 << 20))
    client = connect_h2(proxy, stream_window=500)
    assert len(client.get("/large").body) == 4 << 20
    assert len(client.of(frames.DATA)) > 5000, "too few to prove anything"
    alive(client)


def test_work_earns_pings(ready):
    """gRPC measures the line with one for each response that it gets."""
    for number in range(300):
        stream = 3 + 2 * number
        ready.send(frames.headers(stream), frames.ping(b"%08d" % number))
        ready.wait_for(frames.DATA, stream)
    ready.barrier()
    assert ready.goaways == [] and len(ready.pongs) >= 300


def test_padding_is_no_emptiness(ready, origin):
    """Many small frames, each with padding, in one piece."""
    padded = frames.frame(frames.DATA, frames.PADDED, 3, bytes([8]) + b"x" * 40 + bytes(8))
    post = frames.headers(3, frames.request_fields(method="POST"), end_stream=False)
    ready.send(post, padded * 400, frames.body(3, end=True))
    ready.wait_for(frames.DATA, 3)
    assert ready.goaways == [] and origin.exchanges[-1].content == b"x" * 16000


def test_empty_frames_among_others_are_borne(origin, client_of):
    stream = client_of.start("POST", end=False)
    for _ in range(60):
        stream.send(b"x")
        stream.send_empty()
    assert stream.send(end=True).response().status == 200
    assert origin.exchanges[0].content == b"x" * 60


@pytest.fixture
def client_of(proxy, connect_h2):
    return connect_h2(proxy)


def test_a_flood_of_requests_that_are_answered_is_none(origin, client_of):
    for _ in range(20):
        streams = [client_of.start(path=f"/{number}") for number in range(100)]
        assert [stream.response().status for stream in streams] == [200] * 100
    assert client_of.goaways == [] and len(origin.exchanges) == 2000


# --- How many at once ---


def test_as_many_streams_as_told_run_at_once(origin, proxy, client_of, gated):
    client_of.barrier()
    assert client_of.settings[frames.MAX_CONCURRENT_STREAMS] == 128
    streams = [client_of.start(path="/hold") for _ in range(128)]
    wait_until(lambda: len(origin.exchanges) == 128, 10)
    gated.set()
    assert {stream.response().body for stream in streams} == {b"GET /hold\n"}
    alive(client_of)


def test_more_streams_than_told_are_not_served(origin, proxy, client_of, gated):
    """RFC 9113 section 5.1.2: refused, or the end of the connection."""
    client_of.exceed_stream_limit()
    streams = [client_of.start(path="/hold") for _ in range(128)]
    wait_until(lambda: len(origin.exchanges) == 128, 10)
    excess = [client_of.start(path="/hold") for _ in range(12)]
    client_of.wait(lambda: client_of.goaways or all(stream.over for stream in excess))
    assert not any(stream.head for stream in excess)
    if not client_of.goaways:
        assert {stream.code for stream in excess} <= {frames.REFUSED_STREAM, frames.PROTOCOL_ERROR}
        gated.set()
        assert {stream.response().status for stream in streams} == {200}
        alive(client_of)
    assert len([t for t in origin.targets if t == "/hold"]) == 128
