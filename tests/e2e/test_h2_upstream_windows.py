# SPDX-License-Identifier: MIT
"""Flow control towards servers: what weir announces, that a slow side stops the other one, and that
nobody else on the connection has to wait for it."""

import threading

import pytest
import yaml

from client import request
from h2_upstream import Holding, accepted, check_quiet, over_h2
from waiting import settled, wait_equal, wait_until
from weir import run

KIB, MIB = 1 << 10, 1 << 20
CONTENT = bytes(range(256)) * (4 * MIB // 256)
# What the kernel's buffers between weir and a client that reads nothing may hold.
BOUND = 8 * MIB


def initial(origin):
    """What the first connection announced: the window of each stream, and that of all of them."""
    connection = origin.connections[0]
    return connection.settings["INITIAL_WINDOW_SIZE"], connection.window


# --- What weir announces ---


@pytest.mark.parametrize("options, stream, connection", [
    ({}, 8 * MIB // 100, 8 * MIB),
    ({"max_streams": 10}, 8 * MIB // 10, 8 * MIB),
    ({"max_streams": 1}, 8 * MIB, 8 * MIB),
    ({"stream_window": 20_000}, 20_000, 8 * MIB),
    ({"connection_window": "1MiB"}, 65535, MIB),
    ({"connection_window": "1MiB", "max_streams": 10}, MIB // 10, MIB),
    ({"connection_window": 2**31 - 1, "stream_window": 2**31 - 1, "max_streams": 1},
     2**31 - 1, 2**31 - 1)])
def test_windows_are_as_configured(weir, h2_origin, connect, options, stream, connection):
    proxy = weir(over_h2(h2_origin.address, h2=options))
    assert connect(proxy).get().status == 200
    wait_equal(lambda: initial(h2_origin), (stream, connection), what="windows")


@pytest.mark.parametrize("options, key", [
    ({"stream_window": 0}, "stream_window"), ({"stream_window": 2**31}, "stream_window"),
    ({"connection_window": 0}, "connection_window"),
    ({"connection_window": "2GiB"}, "connection_window"),
    ({"max_streams": 0}, "max_streams"), ({"ping_timeout": "0"}, "ping_timeout")])
def test_settings_out_of_range_are_refused(tmp_path, options, key):
    config = over_h2("127.0.0.1:1", h2=options, service={"listen": ["127.0.0.1:2"]})
    (tmp_path / "weir.yaml").write_text(yaml.safe_dump(config))
    done = run("-t", "-c", "weir.yaml", directory=tmp_path)
    assert done.returncode != 0 and key in done.stderr


def test_settings_say_that_nothing_may_be_pushed(h2_origin, h2_proxy, connect):
    connect(h2_proxy).get()
    connection = h2_origin.connections[0]
    assert connection.settings["ENABLE_PUSH"] == 0
    assert connection.frames[0].kind == "SETTINGS"


# --- Downloads ---


def test_a_large_body_comes_whole_through_small_windows(weir, h2_origin, connect):
    h2_origin.default = lambda stream: stream.respond(CONTENT[:200_000])
    proxy = weir(over_h2(h2_origin.address, h2={"stream_window": 1000}))
    assert connect(proxy).get().body == CONTENT[:200_000]


def test_many_large_bodies_at_once_come_whole(weir, h2_origin, crowd):
    """Together they want eight times the connection's window."""
    h2_origin.default = lambda stream: stream.respond(CONTENT[:512 * KIB])
    clients = crowd(weir(over_h2(h2_origin.address, h2={"connection_window": "1MiB"})))
    for _ in range(16):
        clients.come("/")
    for client in clients.clients:
        assert client.receive().body == CONTENT[:512 * KIB]
    assert len(h2_origin.connections) == 1


@pytest.mark.parametrize("options", [{}, {"stream_window": "256KiB"},
                                     {"connection_window": "256KiB", "stream_window": "64KiB"}])
def test_a_client_that_does_not_read_stops_its_stream_alone(weir, h2_origin, connect, options):
    proxy = weir(over_h2(h2_origin.address, h2=options))
    h2_origin.paths["/large"] = lambda stream: stream.respond(bytes(64 * MIB))
    client = connect(proxy, receive_buffer=1 << 16)
    client.send(request(target="/large"))
    (stream,) = accepted(h2_origin, 1)
    wait_until(lambda: stream.sent)
    assert settled(lambda: stream.sent) < BOUND
    h2_origin.default = lambda stream: stream.respond(CONTENT)
    other = connect(proxy)
    for _ in range(3):
        response = other.get()
        assert response.connection == 1 and response.body == CONTENT
    response = client.receive()
    assert response.complete and len(response.body) == 64 * MIB


def test_a_client_that_stops_after_a_fast_start_stops_its_stream_alone(h2_origin, h2_proxy,
                                                                       connect):
    """By then its stream's window has grown."""
    h2_origin.paths["/large"] = lambda stream: stream.respond(bytes(64 * MIB))
    client = connect(h2_proxy, receive_buffer=1 << 16)
    client.send(request(target="/large"))
    client.receive_head()
    client.reader.exactly(24 * MIB)
    (stream,) = h2_origin.streams
    assert settled(lambda: stream.sent) < 24 * MIB + 8 * MIB + BOUND
    h2_origin.default = lambda stream: stream.respond(CONTENT)
    response = connect(h2_proxy).get()
    assert response.connection == 1 and response.body == CONTENT
    assert len(client.reader.exactly(40 * MIB)) == 40 * MIB


def test_clients_that_do_not_read_leave_room_for_one_that_does(weir, h2_origin, crowd, connect):
    """Sixty of them hold what the first windows of their streams allow, and no more: a stream's
    window grows only as its client reads."""
    proxy = weir(over_h2(h2_origin.address))
    h2_origin.paths["/large"] = lambda stream: (
        stream.body(), stream.head(), stream.send(bytes(16 * MIB)))
    stalled = crowd(proxy)
    for _ in range(60):
        stalled.come("/large")
    streams = list(accepted(h2_origin, 60))
    settled(lambda: sum(stream.sent for stream in streams))
    h2_origin.paths["/small"] = lambda stream: stream.respond(CONTENT)
    client = connect(proxy)
    for _ in range(2):
        response = client.get("/small")
        assert response.connection == 1 and response.body == CONTENT
    for each in stalled.clients:
        each.reset()
    for stream in streams:
        stream.wait_for_reset()
    assert client.get("/small").body == CONTENT
    check_quiet(proxy)


# --- Uploads ---


@pytest.mark.parametrize("window", [1000, 16384, 65535, 1_000_000])
def test_uploads_keep_to_the_servers_windows(weir, h2_origins, connect, window):
    """python3-h2 complains of a byte too much; see the fixture's end."""
    origin = h2_origins(settings={"INITIAL_WINDOW_SIZE": window})
    proxy = weir(over_h2(origin.address))
    connect(proxy).get()
    client = connect(proxy)
    for _ in range(2):
        assert client.request("POST", body=CONTENT[:300_000]).connection == 1
    assert [bytes(s.content) for s in origin.streams[1:]] == [CONTENT[:300_000]] * 2


def test_a_window_that_opens_late(weir, h2_origins, connect):
    """None at first, then by SETTINGS, which changes the windows of streams that there are."""
    origin = h2_origins(settings={"INITIAL_WINDOW_SIZE": 0})
    proxy = weir(over_h2(origin.address))
    connect(proxy).get()
    client = connect(proxy)
    upload = client.upload(request("POST", body=CONTENT[:100_000]))
    stream = accepted(origin, 2)[1]
    assert settled(lambda: len(stream.content), 0.2) == 0
    origin.connections[0].announce(INITIAL_WINDOW_SIZE=50_000)
    assert client.receive().status == 200
    upload.join()
    assert stream.content == CONTENT[:100_000]


def test_a_window_that_shrinks_below_what_was_sent(weir, h2_origin, connect):
    """It becomes negative (RFC 9113 section 6.9.2) and is made up for."""
    proxy = weir(over_h2(h2_origin.address))
    connect(proxy).get()
    h2_origin.connections[0].credit = False
    client = connect(proxy)
    upload = client.upload(request("POST", body=CONTENT[:200_000]))
    stream = accepted(h2_origin, 2)[1]
    wait_until(lambda: len(stream.content) == 65535)
    connection = h2_origin.connections[0]
    connection.announce(INITIAL_WINDOW_SIZE=1000)
    with connection.acting(stream) as codec:
        codec.increment_flow_control_window(200_000)
        codec.increment_flow_control_window(60_000, stream.id)
    assert settled(lambda: len(stream.content), 0.2) == 65535, "its window is below zero"
    with connection.acting(stream) as codec:
        codec.increment_flow_control_window(200_000, stream.id)
    assert client.receive().status == 200
    upload.join()
    assert stream.content == CONTENT[:200_000]


def test_a_server_that_does_not_read_stops_the_client_of_that_stream(weir, h2_origin, connect):
    proxy = weir(over_h2(h2_origin.address))
    go = threading.Event()

    def stall(stream):
        stream.credit = False
        stream.hold(go)
        with stream.connection.acting(stream) as codec:
            codec.increment_flow_control_window(64 * MIB, stream.id)
            codec.increment_flow_control_window(64 * MIB)
        stream.respond()

    h2_origin.paths["/stall"] = stall
    connect(proxy).get()
    client = connect(proxy)
    sent = 0

    def upload():
        nonlocal sent
        client.send(b"POST /stall HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (32 * MIB))
        for _ in range(32 * 16):
            client.send(bytes(64 * KIB))
            sent += 64 * KIB

    client.sock.settimeout(60)
    thread = threading.Thread(target=upload, daemon=True)
    thread.start()
    wait_until(lambda: sent)
    assert settled(lambda: sent) < BOUND
    go.set()
    assert client.receive().status == 200
    thread.join()
    assert len(h2_origin.streams[1].content) == 32 * MIB


def test_a_stalled_upload_does_not_stop_others(weir, h2_origins, connect, crowd):
    """Its stream's window is shut; the connection's is wide."""
    origin = h2_origins(settings={"INITIAL_WINDOW_SIZE": 10_000})
    proxy = weir(over_h2(origin.address))
    go = threading.Event()

    def stall(stream):
        stream.credit = False
        stream.hold(go)
        with stream.connection.acting(stream) as codec:
            codec.increment_flow_control_window(MIB, stream.id)
        stream.respond()

    origin.paths["/stall"] = stall
    connect(proxy).get()
    clients = crowd(proxy)
    clients.come("/stall", "POST", CONTENT[:100_000])
    stalled = accepted(origin, 2)[1]
    wait_until(lambda: len(stalled.content) == 10_000)
    other = connect(proxy)
    for _ in range(5):
        assert other.request("POST", body=CONTENT[:50_000]).connection == 1
    assert len(stalled.content) == 10_000
    go.set()
    assert clients.clients[0].receive().status == 200
    assert stalled.content == CONTENT[:100_000]


# --- Other limits of the server ---


@pytest.mark.parametrize("size", [0, 128, 4096, 65536])
def test_the_servers_header_table_is_kept_to(weir, h2_origins, connect, size):
    origin = h2_origins(settings={"HEADER_TABLE_SIZE": size})
    client = connect(weir(over_h2(origin.address)))
    for at in range(20):
        assert client.get(f"/{at}", f"X-At: {at}", "X-Same: " + "s" * 200).ordinal == at + 1
    assert [(s.get("x-at"), s.get("x-same")) for s in origin.streams] == [
        (str(at), "s" * 200) for at in range(20)]


@pytest.mark.parametrize("size", [16384, 1 << 20])
def test_the_servers_frame_size_is_kept_to(weir, h2_origins, connect, size):
    origin = h2_origins(settings={"MAX_FRAME_SIZE": size, "INITIAL_WINDOW_SIZE": 4 * MIB})
    client = connect(weir(over_h2(origin.address)))
    client.get()
    assert client.request("POST", body=CONTENT).status == 200
    assert origin.streams[1].content == CONTENT
    wait_until(lambda: origin.connections[0].acked)


def test_settings_that_change_under_load(weir, h2_origin, crowd):
    proxy = weir(over_h2(h2_origin.address))
    held = Holding(h2_origin, crowd, proxy)
    for _ in range(10):
        held.clients.come("/hold", "POST", CONTENT[:200_000])
    accepted(h2_origin, 10)
    for size in (100, 30_000, 0, 200_000):
        h2_origin.connections[0].announce(INITIAL_WINDOW_SIZE=size, HEADER_TABLE_SIZE=size)
    held.finish()
    assert [bytes(s.content) for s in h2_origin.streams] == [CONTENT[:200_000]] * 10
