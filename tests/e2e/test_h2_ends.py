# SPDX-License-Identifier: MIT
"""How HTTP/2 connections end: told by GOAWAY, with the streams that run. And who is too slow."""

import signal
import threading
import time

import pytest

import h2_frames as frames
import sockets
from h2_client import alive, moment
from waiting import PATIENCE, wait_until
from weir import one_upstream


@pytest.fixture
def serving(weir, origin):
    """weir with these options of its service, which does not hurry when it is told to stop."""
    return lambda grace=20, **service: weir(one_upstream(
        origin.address, grace_period_seconds=grace, service=service))


def last_ids(client):
    return [each.last for each in client.goaways]


def codes(client):
    return {each.code for each in client.goaways}


# --- SIGTERM ---


def test_sigterm_lets_streams_finish(origin, serving, connect_h2, gated):
    proxy = serving()
    client = connect_h2(proxy)
    held = [client.start(path="/hold") for _ in range(3)]
    upload = client.start("POST", "/up", end=False).send(b"hello ")
    wait_until(lambda: len(origin.exchanges) == 4 and b"hello " in origin.received)
    proxy.signal(signal.SIGTERM)
    client.wait(lambda: len(client.goaways) == 2, "both steps")
    assert last_ids(client) == [frames.LARGEST, upload.number]
    assert codes(client) == {frames.NO_ERROR}
    gated.set()
    upload.send(b"world", end=True)
    assert {stream.response().body for stream in held} == {b"GET /hold\n"}
    assert upload.response().body == b"POST /up\n"
    assert origin.exchanges[3].content == b"hello world"
    assert client.ended() == "fin"
    assert proxy.wait(5) == 0, "it ends with the last stream, not with the grace period"


def test_sigterm_takes_what_was_on_its_way(origin, serving, connect_h2, gated):
    """RFC 9113 section 6.8: until the client has seen the first GOAWAY, which the answer to the
    PING behind it shows, it may open streams in good faith."""
    proxy = serving()
    client = connect_h2(proxy)
    first = client.start(path="/hold")
    wait_until(lambda: origin.exchanges)
    client.acknowledges_pings = False
    proxy.signal(signal.SIGTERM)
    client.wait(lambda: client.goaways and [p for p in client.of(frames.PING) if not p.flags],
                "GOAWAY and PING")
    assert last_ids(client) == [frames.LARGEST]
    late = client.start(path="/late")
    assert late.response().body == b"GET /late\n"
    client.send(*(frames.ping(each.payload, frames.ACK) for each in client.of(frames.PING)
                  if not each.flags))
    client.wait(lambda: len(client.goaways) == 2, "the second GOAWAY")
    assert last_ids(client) == [frames.LARGEST, late.number]
    gated.set()
    assert first.response().status == 200
    assert client.ended() == "fin"
    assert proxy.wait(5) == 0


def test_sigterm_does_not_wait_long_for_an_answer_to_its_ping(origin, serving, connect_h2, gated):
    proxy = serving()
    client = connect_h2(proxy)
    held = client.start(path="/hold")
    wait_until(lambda: origin.exchanges)
    client.acknowledges_pings = False
    proxy.signal(signal.SIGTERM)
    client.wait(lambda: client.goaways)
    began = time.monotonic()
    client.wait(lambda: len(client.goaways) == 2, "the second GOAWAY")
    assert 0.5 < time.monotonic() - began < 4 * PATIENCE
    gated.set()
    assert held.response().status == 200
    assert client.ended() == "fin"


def test_streams_behind_the_last_one_are_not_served(origin, serving, connect_h2, gated):
    proxy = serving()
    client = connect_h2(proxy)
    held = client.start(path="/hold")
    wait_until(lambda: origin.exchanges)
    proxy.signal(signal.SIGTERM)
    client.wait(lambda: len(client.goaways) == 2, "both steps")
    late = client.start(path="/too-late")
    gated.set()
    assert held.response().status == 200
    assert client.ended() == "fin"
    assert not late.head and late.code in (None, frames.REFUSED_STREAM)
    assert "/too-late" not in origin.targets


def test_sigterm_ends_idle_connections_at_once(origin, serving, connect_h2, gated):
    proxy = serving()
    idle, fresh, busy = connect_h2(proxy), connect_h2(proxy), connect_h2(proxy)
    alive(idle)
    fresh.barrier()
    held = busy.start(path="/hold")
    wait_until(lambda: "/hold" in origin.targets)
    proxy.signal(signal.SIGTERM)
    for client in (idle, fresh):
        assert client.ended_as(frames.NO_ERROR) and client.reader.end == "fin"
    gated.set()
    assert held.response().status == 200
    assert proxy.wait(5) == 0


def test_the_grace_period_ends_what_does_not_finish(origin, weir, connect_h2, gated):
    proxy = weir(one_upstream(origin.address, grace_period_seconds=1,
                              graceful_shutdown_timeout_seconds=1))
    client = connect_h2(proxy)
    held = client.start(path="/hold")
    wait_until(lambda: origin.exchanges)
    proxy.signal(signal.SIGTERM)
    assert proxy.wait(8) == 0
    client.ended()
    assert not held.complete or held.status == 503


def test_sigint_stops_at_once(origin, serving, connect_h2, gated):
    proxy = serving(grace=60)
    client = connect_h2(proxy)
    client.start(path="/hold")
    wait_until(lambda: origin.exchanges)
    began = time.monotonic()
    proxy.signal(signal.SIGINT)
    assert proxy.wait(5) == 0
    assert time.monotonic() - began < 3 * PATIENCE


# --- Limits of a connection ---


def test_the_request_limit_is_told_and_kept(origin, serving, connect_h2):
    proxy = serving(keepalive_request_limit=3)
    client = connect_h2(proxy)
    streams = [client.start(path=f"/{number}") for number in range(3)]
    assert [stream.response().body for stream in streams] == [b"GET /0\n", b"GET /1\n", b"GET /2\n"]
    assert client.ended() == "fin"
    assert last_ids(client)[-1] == streams[-1].number and codes(client) == {frames.NO_ERROR}
    proxy.wait_metric(0, "weir_downstream_connections")


def test_streams_over_the_request_limit_are_not_served(origin, serving, connect_h2, gated):
    """They were opened before GOAWAY came, and the client is told that it may ask again."""
    proxy = serving(keepalive_request_limit=2)
    client = connect_h2(proxy)
    client.barrier()
    with proxy.standing_still():
        streams = [client.start(path="/hold") for _ in range(4)]
    client.wait(lambda: client.goaways)
    gated.set()
    assert [stream.response().status for stream in streams[:2]] == [200, 200]
    assert client.ended() == "fin"
    for late in streams[2:]:
        assert not late.head
        assert late.code == frames.REFUSED_STREAM or late.number > last_ids(client)[-1]
    assert origin.targets == ["/hold"] * 2


def test_the_request_limit_of_one(origin, serving, connect_h2):
    proxy = serving(keepalive_request_limit=1)
    for _ in range(3):
        client = connect_h2(proxy)
        assert client.get().status == 200
        assert client.ended() == "fin" and last_ids(client)[-1] == 1


def test_a_large_body_outlasts_the_request_limit(origin, serving, connect_h2):
    origin.paths["/large"] = lambda exchange: exchange.respond(bytes(4 << 20))
    client = connect_h2(serving(keepalive_request_limit=2))
    up = client.start("POST", "/up", body=bytes(4 << 20))
    down = client.start(path="/large")
    assert len(down.response().body) == 4 << 20 and up.response().status == 200
    assert len(origin.exchanges[0].content or origin.exchanges[1].content) == 4 << 20
    assert client.ended() == "fin"


@pytest.mark.parametrize("asked", [0, 1, 20])
def test_an_idle_connection_is_told_and_closed(serving, connect_h2, asked):
    client = connect_h2(serving(keepalive_timeout="300ms", client_header_timeout="300ms"))
    streams = [client.start() for _ in range(asked)]
    assert all(stream.response().status == 200 for stream in streams)
    assert client.ended_as(frames.NO_ERROR).last in (frames.LARGEST, 2 * asked - 1, 0)
    assert client.reader.end == "fin"


def test_a_connection_with_a_stream_is_not_idle(origin, serving, connect_h2, gated):
    """However long it takes; and its idleness begins with its end."""
    client = connect_h2(serving(keepalive_timeout=moment(0.3)))
    held = client.start(path="/hold")
    client.stall(0.8)
    assert client.goaways == []
    gated.set()
    assert held.response().status == 200
    client.ended_as(frames.NO_ERROR)


def test_a_keepalive_timeout_of_0_ends_it_after_the_streams(serving, connect_h2):
    client = connect_h2(serving(keepalive_timeout="0"))
    assert client.get().status == 200
    assert client.ended() == "fin" and codes(client) == {frames.NO_ERROR}


# --- Who is too slow ---


@pytest.mark.parametrize("first", [b"PRI * HT", frames.PREFACE[:20], frames.PREFACE,
                                   frames.PREFACE + frames.settings()[:5]],
                         ids=["word", "lines", "preface_alone", "half_a_frame"])
def test_a_beginning_that_does_not_come_is_not_waited_for(origin, serving, wire, first):
    proxy = serving(client_header_timeout="300ms", keepalive_timeout="300ms")
    client = wire(proxy, greet=False)
    client.send(first)
    assert client.cut_short() in ("fin", "reset")
    assert origin.connections == []
    proxy.wait_metric(0, "weir_downstream_connections")


def test_a_head_that_does_not_end_ends_the_connection(origin, serving, wire):
    proxy = serving(client_header_timeout="300ms")
    client = wire(proxy)
    client.send(frames.headers(1))
    client.wait_for(frames.DATA, 1)
    client.send(frames.headers(3, end_headers=False))
    assert client.ended() in ("fin", "reset")
    assert len(origin.exchanges) == 1
    proxy.wait_metric(0, "weir_downstream_connections")


def test_a_head_in_drops_wins_no_time(origin, serving, wire):
    client = wire(serving(client_header_timeout="500ms"))
    began = time.monotonic()
    raw = frames.headers(1, frames.request_fields(fields=[("x-slow", "a" * 10_000)]))
    for at in range(len(raw)):
        client.send_unless_refused(raw[at:at + 1])
        client.pump(0.02)
        if client.reader.end:
            break
        assert time.monotonic() - began < 5 * PATIENCE, "still fed after ten times its time"
    assert client.reader.end in ("fin", "reset")
    assert origin.exchanges == []


@pytest.mark.parametrize("told", [True, False], ids=["length", "chunked"])
def test_a_body_that_stops_is_408_on_its_stream(origin, serving, connect_h2, told):
    proxy = serving(client_body_timeout=moment(0.4))
    client = connect_h2(proxy)
    fields = [("content-length", "100")] if told else []
    stopped = client.start("POST", "/stop", fields, end=False).send(b"hello")
    for _ in range(3):
        alive(client)
    response = stopped.response()
    assert (response.status, response.ended) == (408, True)
    wait_until(lambda: all(c.ended for c in origin.connections
                           if any(e.target == "/stop" for e in c.exchanges)), 5,
               "its upstream connection closed")
    alive(client)
    assert not any(each.complete for each in origin.exchanges if each.target == "/stop")


def test_a_busy_connection_has_no_time_limit_of_heads(origin, serving, connect_h2):
    """What runs out is the time of one head, not of the connection."""
    client = connect_h2(serving(client_header_timeout=moment(0.3), keepalive_timeout=moment(20)))
    began = time.monotonic()
    while time.monotonic() - began < 1.0 * PATIENCE:
        alive(client)
    assert client.goaways == []


def test_a_client_that_vanishes_is_let_go(origin, proxy, connect_h2):
    go = threading.Event()
    origin.paths["/hold"] = lambda exchange: exchange.hold(go)
    client = connect_h2(proxy)
    client.start(path="/hold")
    wait_until(lambda: origin.exchanges)
    client.reset()
    wait_until(lambda: sockets.open_here(proxy.address) == 0)
    proxy.wait_metric(0, "weir_downstream_connections")
    go.set()


def test_tls_ends_with_close_notify(edge, connect_h2_tls):
    proxy = edge(service={"keepalive_request_limit": 1})
    client = connect_h2_tls(proxy)
    assert client.get().status == 200
    assert client.ended() == "fin" and last_ids(client)[-1] == 1


def test_tls_ends_with_close_notify_when_weir_stops(edge, connect_h2_tls):
    proxy = edge()
    client = connect_h2_tls(proxy)
    alive(client)
    proxy.signal(signal.SIGTERM)
    assert client.ended() == "fin" and codes(client) == {frames.NO_ERROR}
