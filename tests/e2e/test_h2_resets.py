# SPDX-License-Identifier: MIT
"""What ends early: streams that clients reset, responses that servers cut, uploads that nobody
wants. It is the end of that stream and of its HTTP/1 connection, and of nothing else.
"""

import threading
import time

import pytest

import h2_frames as frames
from framing import LAST_CHUNK, chunk
from h2_client import alive
from waiting import wait_equal, wait_until
from weir import one_upstream

LARGE = bytes(range(256)) * (4 << 10) * 8  # 8 MiB
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def client(proxy, connect_h2):
    return connect_h2(proxy)


@pytest.fixture
def held(origin, client):
    """Five streams that wait for the origin; checked() lets them go on and checks them."""
    go = threading.Event()

    def slow(exchange):
        exchange.send(exchange.head_of(12) + b"first ")
        exchange.hold(go)
        exchange.send(b"second")

    origin.paths["/held"] = slow
    streams = [client.start(path="/held") for _ in range(5)]
    for stream in streams:
        stream.wait_body(6)

    def checked():
        go.set()
        for stream in streams:
            assert stream.response().body == b"first second" and stream.complete
        assert client.goaways == []
    yield checked
    go.set()


def send_large(exchange):
    exchange.body()
    exchange.send(exchange.head_of(len(LARGE)), LARGE)


def check_gone(origin, proxy, exchange):
    """Its connection was closed, not kept."""
    wait_until(lambda: exchange.connection.ended, 5, "the upstream connection closed")
    assert exchange.connection.ended in ("fin", "reset")
    assert len(exchange.connection.exchanges) == 1
    proxy.wait_metric(0, "weir_pool_in_use_connections")


def at(origin, path):
    return next(exchange for exchange in origin.exchanges if exchange.target == path)


# --- Clients that reset ---


@pytest.mark.parametrize("code", [frames.CANCEL, frames.NO_ERROR, frames.INTERNAL_ERROR, 0xfedc])
def test_a_reset_within_a_response(origin, proxy, client, held, code):
    origin.paths["/large"] = send_large
    left = client.start(path="/large", reads=False).wait_body(65535)
    left.cancel(code)
    alive(client)
    held()
    check_gone(origin, proxy, at(origin, "/large"))
    assert client.get("/after").body == b"GET /after\n"


def test_a_reset_before_the_response(origin, proxy, client, held):
    origin.paths["/wait"] = lambda exchange: exchange.connection.reader.rest()
    left = client.start(path="/wait")
    wait_until(lambda: "/wait" in origin.targets)
    left.cancel()
    wait_until(lambda: at(origin, "/wait").connection.ended, 5, "the upstream connection closed")
    held()
    check_gone(origin, proxy, at(origin, "/wait"))
    alive(client)


def test_a_reset_within_an_upload_with_length(origin, proxy, client, held):
    left = client.start("POST", "/up", [("content-length", "100")], end=False).send(b"hello")
    wait_until(lambda: b"hello" in origin.received)
    left.cancel()
    held()
    check_gone(origin, proxy, at(origin, "/up"))
    assert not at(origin, "/up").complete
    alive(client)


def test_a_reset_within_a_chunked_upload_sends_no_last_chunk(origin, proxy, client, held):
    left = client.start("POST", "/up", end=False).send(b"hello")
    wait_until(lambda: b"hello" in origin.received)
    left.cancel()
    held()
    exchange = at(origin, "/up")
    check_gone(origin, proxy, exchange)
    assert not exchange.complete and not exchange.connection.received.endswith(LAST_CHUNK)
    alive(client)


def test_a_reset_within_an_upload_that_stands_still(origins, weir, connect_h2):
    """There are bytes of it on their way, and windows that they hold."""
    origin = origins(receive_buffer=1 << 16)
    origin.paths["/wait"] = lambda exchange: exchange.hold(threading.Event())
    proxy = weir(one_upstream(origin.address))
    client = connect_h2(proxy)
    for _ in range(5):
        left = client.start("POST", "/wait", body=LARGE * 4)
        client.stall(0.1)
        assert left.unsent
        left.cancel()
    assert client.request("POST", body=LARGE).status == 200, "the connection's window is whole"
    proxy.wait_metric(0, "weir_pool_in_use_connections")
    assert client.goaways == []


def test_a_reset_while_it_waits_for_a_connection(origin, weir, connect_h2):
    proxy = weir(one_upstream(origin.address, upstream={
        "max_connections": 1, "queue": {"size": 10, "timeout": "20s"}}))
    client, go = connect_h2(proxy), threading.Event()
    origin.paths["/hold"] = lambda exchange: (exchange.hold(go), exchange.respond())
    first = client.start(path="/hold")
    wait_until(lambda: origin.exchanges)
    waiting = [client.start(path=f"/{number}") for number in range(4)]
    proxy.wait_metric(4, "weir_pool_waiting_requests")
    waiting[1].cancel()
    waiting[3].cancel()
    proxy.wait_metric(2, "weir_pool_waiting_requests")
    go.set()
    assert first.response().status == 200
    assert [waiting[at].response().body for at in (0, 2)] == [b"GET /0\n", b"GET /2\n"]
    alive(client)
    assert sorted(origin.targets) == ["/", "/0", "/2", "/hold"]


def test_a_reset_is_no_502_in_the_log(origin, proxy, client):
    origin.paths["/large"] = send_large
    client.start(path="/large", reads=False).wait_body(1).cancel()
    alive(client)
    lines = {line["path"]: line for line in proxy.logged(2)}
    assert lines["/"]["status"] == 200 and lines["/"]["error"] is None
    assert lines["/large"]["status"] == 200
    assert lines["/large"]["error"] in ("client_gone", "canceled"), lines["/large"]
    assert proxy.metric("weir_requests_total", code="502") == 0


def test_resets_below_the_rate_are_borne(proxy, client, gated):
    """More than may come at once, but not at once."""
    began = time.monotonic()
    for count, second in ((150, 0), (45, 1), (45, 2), (45, 3)):
        wait_until(lambda second=second: time.monotonic() - began > second, 5)
        for at in range(0, count, 50):
            streams = [client.start(path="/hold") for _ in range(min(50, count - at))]
            client.barrier()
            for stream in streams:
                stream.cancel()
            client.barrier()
    alive(client)
    assert proxy.metrics().by("weir_downstream_h2_floods_total", "kind") == {}


def test_resets_of_responses_that_have_begun_do_not_add_up(origin, proxy, client):
    """More of them than would be borne of streams that were never worth an answer."""
    origin.paths["/large"] = send_large
    alive(client)
    for _ in range(24):
        streams = [client.start(path="/large", reads=False) for _ in range(50)]
        for stream in streams:
            stream.wait_body(1)
        for stream in streams:
            stream.cancel()
    alive(client)
    assert proxy.metrics().by("weir_downstream_h2_floods_total", "kind") == {}
    proxy.wait_metric(0, "weir_pool_in_use_connections")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_goes_with_all_its_streams(origin, proxy, connect_h2, how):
    origin.paths["/large"] = send_large
    origin.paths["/wait"] = lambda exchange: exchange.connection.reader.rest()
    client = connect_h2(proxy)
    for number in range(10):
        client.start(path="/large", reads=False).wait_body(1)
        client.start("POST", "/up", end=False).send(b"hello")
        client.start(path="/wait")
    wait_until(lambda: len(origin.exchanges) == 30)
    getattr(client, how)()
    wait_until(lambda: all(c.ended for c in origin.connections), 5, "all of them closed")
    proxy.wait_metric(0, "weir_pool_in_use_connections")
    proxy.wait_metric(0, "weir_downstream_connections")
    assert not any(exchange.complete for exchange in origin.exchanges if exchange.target == "/up")
    alive(connect_h2(proxy))


def test_a_client_that_says_goaway_gets_what_it_asked(origin, proxy, client, held):
    client.send(frames.goaway())
    held()
    assert client.ended() == "fin"
    proxy.wait_metric(0, "weir_downstream_connections")


# --- Servers that cut ---


def check_cut(stream, sent):
    """What came of it came; and the end is told as an error, never as an end."""
    stream.response()
    if stream.status == 502:  # all of it was known to be broken before its head went out
        assert stream.error == "http_protocol_error"
        return
    assert stream.status in (200, None), "None: it came and was cut in one piece"
    assert (stream.ended, stream.code) == (False, frames.INTERNAL_ERROR)
    assert sent.startswith(stream.body)


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_a_response_that_is_cut_below_its_length(origin, proxy, client, held, how):
    def half(exchange):
        exchange.body()
        exchange.send(exchange.head_of(len(LARGE)), LARGE[:100_000])
        getattr(exchange, how)()

    origin.paths["/half"] = half
    check_cut(client.get("/half"), LARGE)
    held()
    alive(client)


@pytest.mark.parametrize("rest", [b"", b"5\r\nhel", b"zz\r\n", chunk(b"whole") + b"0\r\n"])
def test_a_chunked_response_that_is_cut_or_broken(origin, client, held, rest):
    origin.paths["/half"] = lambda exchange: (exchange.body(), exchange.send(
        exchange.labelled(CHUNKED) + chunk(b"begin") + rest), exchange.fin())
    check_cut(client.get("/half"), b"beginhelwhole" if b"hel" in rest else b"beginwhole")
    held()
    alive(client)


def test_a_server_that_stops_within_its_body_cuts_the_stream(origin, weir, connect_h2):
    go = threading.Event()
    origin.paths["/stop"] = lambda exchange: (exchange.send(exchange.head_of(9) + b"hello"),
                                              exchange.hold(go))
    client = connect_h2(weir(one_upstream(origin.address, upstream={"read_timeout": "300ms"})))
    check_cut(client.get("/stop"), b"hello")
    go.set()
    alive(client)


def test_a_server_that_ends_before_its_response_is_502(origin, client, held):
    origin.paths["/die"] = lambda exchange: (exchange.body(), exchange.fin())
    response = client.get("/die")
    assert (response.status, response.error) == (502, "connection_terminated")
    assert response.complete
    held()
    alive(client)


def test_a_server_that_does_not_answer_is_504_on_its_stream(origin, weir, connect_h2):
    go = threading.Event()
    origin.paths["/slow"] = lambda exchange: (exchange.body(), exchange.hold(go))
    client = connect_h2(weir(one_upstream(origin.address, upstream={"read_timeout": "300ms"})))
    slow = client.start(path="/slow")
    alive(client)
    assert (slow.response().status, slow.error) == (504, "http_response_timeout")
    go.set()
    alive(client)


def test_a_server_that_resets_within_the_upload_is_502(origin, client, held):
    origin.paths["/up"] = lambda exchange: (exchange.some(1000), exchange.reset())
    stream = client.start("POST", "/up", body=LARGE)
    assert (stream.response().status, stream.error) == (502, "connection_terminated")
    held()
    alive(client)
    assert origin.targets.count("/up") == 1


def test_a_malformed_response_is_502_on_its_stream(origin, client, held):
    origin.paths["/bad"] = lambda exchange: (
        exchange.body(), exchange.send(b"HTTP/1.1 200 OK\r\nX A: 1\r\n\r\n"), exchange.fin())
    assert client.get("/bad").status == 502
    held()
    alive(client)


# --- Early responses ---


@pytest.mark.parametrize("reads_on", [True, False])
def test_a_response_before_the_end_of_the_request(origin, proxy, client, held, reads_on):
    """RFC 9113 section 8.1: the response is whole, and RST_STREAM(NO_ERROR) says that the rest of
    the request is not wanted."""
    done = threading.Event()

    def refuse(exchange):
        exchange.some(1000)
        exchange.send(exchange.head_of(5, "413 Content Too Large") + b"large")
        exchange.connection.over = True
        if reads_on:
            exchange.connection.reader.rest()
        else:
            exchange.hold(done)

    origin.paths["/up"] = refuse
    stream = client.start("POST", "/up", body=LARGE)
    response = stream.response()
    client.wait(lambda: stream.code is not None, "reset of the upload")
    assert (response.status, response.body, response.ended) == (413, b"large", True)
    assert response.code == frames.NO_ERROR
    held()
    done.set()
    proxy.wait_metric(0, "weir_pool_in_use_connections")
    alive(client)
    assert client.request("POST", body=LARGE).status == 200, "the connection's window is whole"
    assert len(at(origin, "/up").connection.exchanges) == 1
    assert proxy.not_kept() == {"request_incomplete": 1}


def test_many_early_responses_leave_the_windows_whole(origin, client):
    """What was sent of an upload that nobody wanted must be given back."""
    origin.paths["/up"] = lambda exchange: (
        exchange.send(exchange.head_of(2, "403 No", ["Connection: close"]) + b"no"), exchange.fin())
    for _ in range(40):
        stream = client.start("POST", "/up", body=LARGE[:200_000])
        assert stream.response().status == 403
    assert client.request("POST", body=LARGE).status == 200
    assert client.goaways == []


def test_a_body_too_large_is_413(origin, weir, connect_h2):
    proxy = weir(one_upstream(origin.address, service={"max_request_body": "64KiB"}))
    client = connect_h2(proxy)
    told = client.request("POST", "/told", body=bytes(65537))
    assert (told.status, told.ended) == (413, True)
    untold = client.start("POST", "/untold", end=False).send(LARGE)
    assert (untold.response().status, untold.ended) == (413, True)
    assert client.request("POST", "/fits", body=bytes(65536)).status == 200
    exact = client.start("POST", "/exact", end=False).send(bytes(65536), end=True)
    assert exact.response().status == 200
    alive(client)
    assert "/told" not in origin.targets
    assert not any(each.complete for each in origin.exchanges if each.target == "/untold")


def test_the_answer_to_head_does_not_wait_for_a_body(origin, client):
    origin.default = lambda exchange: exchange.respond(b"hello")
    response = client.request("HEAD")
    assert (response.complete, response.body, response.get("content-length")) == (True, b"", "5")
    wait_equal(lambda: len(origin.connections), 1)
