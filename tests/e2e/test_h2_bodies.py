# SPDX-License-Identifier: MIT
"""Bodies between HTTP/2 and HTTP/1: whole, in step with the slower side, and none in another's way.
"""

import hashlib
import random
import threading

import pytest

import h2_frames as frames
import program
from framing import LAST_CHUNK, chunk
from h2_client import alive
from waiting import PATIENCE, settled, wait_until
from weir import one_upstream

MIB = 1 << 20
LARGE = random.Random(3).randbytes(MIB) * 10
HUGE = bytes(64 * MIB)
# Between two stalled ends lie the kernel's buffers of two connections, and what weir holds of a
# stream: no more than its windows.
BOUND = 24 * MIB


@pytest.fixture
def client(proxy, connect_h2):
    return connect_h2(proxy)


def is_large(body):
    return hashlib.sha256(body).digest() == hashlib.sha256(LARGE).digest()


def send_large(exchange):
    exchange.body()
    exchange.send(exchange.head_of(len(LARGE)), LARGE)


def send_large_chunked(exchange):
    exchange.body()
    exchange.send(exchange.labelled(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
    exchange.send(*(chunk(LARGE[at:at + 99_999]) for at in range(0, len(LARGE), 99_999)),
                  LAST_CHUNK)


def send_huge(exchange):
    exchange.body()
    exchange.send(exchange.head_of(len(HUGE)), HUGE)


def echo(exchange):
    """Send a body of known length back while it comes."""
    exchange.send(exchange.head_of(int(exchange.get("content-length"))))
    exchange.send(*exchange.pieces())


# --- Whole ---


@pytest.mark.parametrize("window", [1000, 4096, 65535, frames.LARGEST])
@pytest.mark.parametrize("behaviour", [send_large, send_large_chunked])
def test_10_mib_down(origin, proxy, connect_h2, behaviour, window):
    """Also with windows that have to be opened ten thousand times."""
    origin.default = behaviour
    client = connect_h2(proxy, stream_window=window, connection_window=max(window, 65535))
    response = client.get()
    assert response.complete and is_large(response.body)
    assert client.get().ordinal == 2
    assert client.goaways == []


@pytest.mark.parametrize("told", [True, False], ids=["length", "chunked"])
def test_10_mib_up(origin, client, told):
    stream = client.start("POST", fields=[("content-length", str(len(LARGE)))] if told else [],
                          end=False)
    response = stream.send(LARGE, end=True).response()
    assert response.status == 200 and is_large(origin.exchanges[0].content)
    assert client.get().ordinal == 2


def test_10_mib_both_ways_at_once_on_several_streams(origin, client):
    origin.default = echo
    streams = [client.start("POST", body=LARGE) for _ in range(3)]
    for stream in streams:
        assert is_large(stream.response().body)


@pytest.mark.parametrize("over_tls", [False, True])
def test_bodies_of_every_awkward_size(edge, weir, origin, connect_h2, connect_h2_tls, over_tls):
    origin.default = lambda exchange: exchange.respond(exchange.body())
    if over_tls:
        client = connect_h2_tls(edge())
    else:
        client = connect_h2(weir(one_upstream(origin.address)))
    for size in (0, 1, 16383, 16384, 16385, 65535, 65536, 131072, 3_000_000):
        body = LARGE[:size]
        assert client.request("POST", body=body).body == body
        stream = client.start("POST", end=False)
        assert stream.send(body, end=True).response().body == body


def test_a_window_of_one_byte(origin, proxy, connect_h2):
    origin.default = lambda exchange: exchange.respond(LARGE[:500])
    assert connect_h2(proxy, stream_window=1).get().body == LARGE[:500]


def test_a_window_that_is_closed_at_first(origin, proxy, connect_h2):
    """The head is sent without one."""
    client = connect_h2(proxy, stream_window=0)
    stream = client.start()
    assert stream.wait_head().status == 200
    client.barrier()
    assert not stream.body and not stream.ended
    stream.allow(100)
    assert stream.response().body == b"GET /\n"


def test_a_window_that_shrinks_and_grows_by_settings(origin, proxy, connect_h2):
    """RFC 9113 section 6.9.2: it may become negative."""
    origin.default = send_large
    client = connect_h2(proxy, stream_window=50_000)
    stream = client.start(reads=False).wait_body(50_000)
    for window in (10, 70_000):
        client.rules.update_settings({frames.INITIAL_WINDOW_SIZE: window})
        client.flush()
        client.barrier()
    stream.wait_body(70_000)
    client.stall(0.1)
    assert stream.body == LARGE[:70_000]
    stream.reads = True
    stream.allow(len(LARGE))
    assert is_large(stream.response().body)


def test_padding_is_given_back(origin, client):
    """It counts for both windows, though nothing of it goes on: more than both of them hold."""
    stream = client.start("POST", end=False)
    for _ in range(6000):
        client.wait(lambda: client.rules.local_flow_control_window(stream.number) >= 257)
        client.rules.send_data(stream.number, b"x", pad_length=255)
        client.flush()
    assert stream.send(end=True).response().status == 200
    assert origin.exchanges[0].content == b"x" * 6000


# --- At once ---


def test_small_pieces_are_passed_on_at_once(origin, client):
    steps = [threading.Event() for _ in range(5)]

    def events(exchange):
        exchange.send(exchange.labelled(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
        for at, step in enumerate(steps):
            exchange.hold(step)
            exchange.send(chunk(b"event %d\n" % at))
        exchange.send(LAST_CHUNK)

    origin.default = events
    stream = client.start().wait_head()  # before there is an event
    for at, step in enumerate(steps):
        step.set()
        assert stream.wait_body(8 * (at + 1)).body.endswith(b"event %d\n" % at)
    assert stream.response().complete


def test_small_pieces_of_an_upload_are_passed_on_at_once(origin, client):
    stream = client.start("POST", end=False)
    wait_until(lambda: origin.exchanges, 5, "the head at the origin")
    for at in range(5):
        stream.send(b"event %d\n" % at)
        wait_until(lambda at=at: b"event %d\n" % at in origin.received)
    assert stream.send(end=True).response().status == 200


def test_an_upload_goes_on_behind_an_early_response_head(origin, client):
    def duplex(exchange):
        exchange.some(5)
        exchange.send(exchange.head_of(9) + b"half ")
        exchange.some(5)
        exchange.content = b""
        exchange.send(b"done")

    origin.at[1, 1] = duplex
    stream = client.start("POST", fields=[("content-length", "10")], end=False).send(b"hello")
    assert stream.wait_body(5).body == b"half "
    assert stream.send(b"world", end=True).response().body == b"half done"
    assert client.get().connection == 1, "both messages ended: it may be kept"


# --- In step ---


def test_a_server_that_does_not_read_stops_its_stream(origins, weir, connect_h2):
    origin = origins(receive_buffer=1 << 16)
    go = threading.Event()
    origin.paths["/hold"] = lambda exchange: (exchange.hold(go), exchange.respond())
    client = connect_h2(weir(one_upstream(origin.address)))
    stream = client.start("POST", "/hold", body=HUGE)
    wait_until(lambda: origin.exchanges)
    client.stall()
    assert len(HUGE) - len(stream.unsent) < BOUND
    assert stream.unsent, "all of it was taken"
    alive(client)
    assert client.request("POST", body=LARGE[:300_000]).status == 200, "another upload goes on"
    go.set()
    assert stream.response().status == 200
    assert len(origin.exchanges[0].content) == len(HUGE)


def test_several_uploads_that_stand_still_do_not_take_the_connection(origins, weir, connect_h2):
    origin = origins(receive_buffer=1 << 16)
    go = threading.Event()
    origin.paths["/hold"] = lambda exchange: (exchange.hold(go), exchange.respond())
    client = connect_h2(weir(one_upstream(origin.address)))
    streams = [client.start("POST", "/hold", body=LARGE) for _ in range(8)]
    wait_until(lambda: len(origin.exchanges) == 8)
    client.stall()
    assert client.request("POST", body=LARGE[:300_000]).status == 200
    go.set()
    assert [stream.response().status for stream in streams] == [200] * 8


def test_a_stream_that_is_not_read_stops_its_server(origins, weir, connect_h2):
    origin = origins(send_buffer=1 << 16)
    origin.paths["/huge"] = send_huge
    client = connect_h2(weir(one_upstream(origin.address)))
    still = client.start(path="/huge", reads=False)
    still.wait_body(65535)
    assert settled(lambda: origin.connections[0].sent) < BOUND
    assert client.request("POST", body=LARGE).status == 200
    for _ in range(10):
        alive(client)
    assert len(still.body) == 65535
    still.reads = True
    still.allow(MIB)
    assert len(still.response().body) == len(HUGE)


def test_a_client_that_does_not_read_at_all_stops_its_servers(origins, weir, connect_h2):
    origin = origins(send_buffer=1 << 16)
    origin.paths["/huge"] = send_huge
    proxy = weir(one_upstream(origin.address))
    client = connect_h2(proxy, receive_buffer=1 << 16, stream_window=frames.LARGEST,
                        connection_window=frames.LARGEST)
    streams = [client.start(path="/huge") for _ in range(3)]
    wait_until(lambda: len(origin.connections) == 3 and all(c.sent for c in origin.connections))
    assert settled(lambda: sum(c.sent for c in origin.connections)) < 3 * BOUND
    alive(connect_h2(proxy))
    for stream in streams:
        assert len(stream.response().body) == len(HUGE)


# --- Memory ---


def resident(proxy):
    """Bytes of it that are in memory."""
    with open(f"/proc/{proxy.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) * 1024


@pytest.mark.parametrize("window", [65535, frames.LARGEST])
def test_100_streams_of_64_mib_that_nobody_reads(origins, weir, connect_h2, window):
    """With a small window the client reads but does not open it; with a large one it reads nothing.
    """
    if program.is_sanitized():
        pytest.skip("a sanitizer's memory is no measure: looked at in the release build only")
    origin = origins(send_buffer=1 << 16)
    origin.paths["/huge"] = send_huge
    proxy = weir(one_upstream(origin.address, upstream={"tcp": {"receive_buffer": "64KiB"}}))
    small = {"receive_buffer": 1 << 16} if window == frames.LARGEST else {}
    client = connect_h2(proxy, stream_window=window, connection_window=frames.LARGEST, **small)
    other = connect_h2(proxy)
    alive(client), alive(other)
    before = resident(proxy)
    streams = [client.start(path="/huge", reads=False) for _ in range(100)]
    if window == 65535:
        for stream in streams:
            stream.wait_body(window)
    wait_until(lambda: sum(c.sent > 0 for c in origin.connections) >= 100, 10)
    settled(lambda: sum(c.sent for c in origin.connections))
    assert resident(proxy) - before < 48 * MIB
    assert alive(other).status == 200
    assert other.request("POST", body=LARGE[:MIB]).status == 200
    if window == 65535:
        alive(client)
        assert client.request("POST", body=LARGE[:MIB]).status == 200
    client.close()
    proxy.wait_metric(0, "weir_pool_in_use_connections")
    assert resident(proxy) - before < 48 * MIB


def test_a_stream_that_stands_still_too_long_ends_alone(origins, weir, connect_h2):
    """client_write_timeout is about a piece of a response, not about its connection."""
    origin = origins(send_buffer=1 << 16)
    origin.paths["/huge"] = send_huge
    span = 0.5 * PATIENCE
    proxy = weir(one_upstream(origin.address, service={
        "client_write_timeout": f"{span * 1000:.0f}ms"}))
    client = connect_h2(proxy)
    still = client.start(path="/huge", reads=False)
    still.wait_body(65535)
    wait_until(lambda: alive(client) and still.code is not None, 10, "a reset of the stream")
    assert not still.ended and still.code != frames.NO_ERROR
    wait_until(lambda: origin.connections[0].ended, 5, "the upstream connection closed")
    proxy.wait_metric(0, "weir_pool_in_use_connections")
    told = wait_until(lambda: [line["error"] for line in proxy.log() if line["path"] == "/huge"])
    assert told == ["client_write_timeout"]
    alive(client)


def test_a_client_that_takes_nothing_too_long_is_left(origins, weir, connect_h2):
    origin = origins(send_buffer=1 << 16)
    origin.paths["/huge"] = send_huge
    proxy = weir(one_upstream(origin.address, service={"client_write_timeout": "300ms"}))
    client = connect_h2(proxy, receive_buffer=1 << 16, stream_window=frames.LARGEST,
                        connection_window=frames.LARGEST)
    for _ in range(3):
        client.start(path="/huge")
    wait_until(lambda: len(origin.connections) == 3 and all(c.ended for c in origin.connections),
               10, "both sides closed")
    proxy.wait_metric(0, "weir_downstream_connections")
    proxy.wait_metric(0, "weir_pool_in_use_connections")
