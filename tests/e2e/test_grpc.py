# SPDX-License-Identifier: MIT
"""gRPC's own client and server with weir between them: HTTP/2 on both sides, trailers, streams that
talk both ways, deadlines. Messages are bytes, as they are."""

import concurrent.futures
import threading

import grpc
import pytest

import sockets
import tls
from h2_upstream import check_quiet, opened, over_h2, streams_now
from waiting import PATIENCE, wait_equal, wait_until

SOON = 10 * PATIENCE
MIB = 1 << 20


class Service:
    """What the server does, and what it saw."""

    def __init__(self):
        self.calls = []
        self.ended = threading.Event()   # a call that waits was told that its client is gone
        self.go = threading.Event()

    def unary(self, message, context):
        self.calls.append(dict(context.invocation_metadata()))
        context.send_initial_metadata([("x-first", "1")])
        context.set_trailing_metadata([("x-last", "2"), ("x-last-bin", b"\0\1\2")])
        return message

    def collect(self, messages, context):
        return b",".join(messages)

    def many(self, message, context):
        count, size = (int(number) for number in message.split(b"*"))
        for at in range(count):
            yield at.to_bytes(4, "big") * (size // 4)

    def chat(self, messages, context):
        for message in messages:
            yield b"re: " + message

    def refuse(self, message, context):
        """Nothing is sent but trailers."""
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no: " + message.decode())

    def fail(self, message, context):
        yield b"one"
        yield b"two"
        context.abort(grpc.StatusCode.DATA_LOSS, "that is all, sorry \u2639")

    def wait(self, message, context):
        context.add_callback(self.ended.set)
        yield b"begun"
        while context.is_active() and not self.go.wait(0.02):
            pass


def start(service, credentials=None):
    """A server of it; the server and its address."""
    kinds = {"unary": grpc.unary_unary_rpc_method_handler,
             "collect": grpc.stream_unary_rpc_method_handler,
             "many": grpc.unary_stream_rpc_method_handler,
             "chat": grpc.stream_stream_rpc_method_handler,
             "refuse": grpc.unary_unary_rpc_method_handler,
             "fail": grpc.unary_stream_rpc_method_handler,
             "wait": grpc.unary_stream_rpc_method_handler}
    handlers = {name: kind(getattr(service, name)) for name, kind in kinds.items()}
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(32))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.T", handlers)])
    if credentials:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def served(service):
    """Start servers of the service: served(); their addresses. They are in served.servers."""
    running = []

    def make(credentials=None):
        server, address = start(service, credentials)
        running.append(server)
        return address

    make.servers = running
    yield make
    service.go.set()
    for server in running:
        server.stop(0).wait(SOON)


class Stub:
    """A client, with one connection."""

    def __init__(self, channel):
        self.channel = channel
        for name, kind in (("unary", "unary_unary"), ("collect", "stream_unary"),
                           ("many", "unary_stream"), ("chat", "stream_stream"),
                           ("refuse", "unary_unary"), ("fail", "unary_stream"),
                           ("wait", "unary_stream"), ("nothing", "unary_unary")):
            setattr(self, name, getattr(channel, kind)(f"/test.T/{name}"))


@pytest.fixture
def stubs():
    made = []

    def make(proxy, credentials=None, options=()):
        # A channel may be of another test's connection to the same port otherwise.
        options = [("grpc.use_local_subchannel_pool", 1), *options]
        channel = grpc.secure_channel(proxy.address, credentials, options) if credentials else \
            grpc.insecure_channel(proxy.address, options)
        made.append(channel)
        return Stub(channel)

    yield make
    for channel in made:
        channel.close()


@pytest.fixture
def proxy(served, weir):
    return weir(over_h2(served()))


@pytest.fixture
def stub(stubs, proxy):
    return stubs(proxy)


# --- The four kinds of calls ---


def test_unary_with_metadata_at_both_ends(proxy, stub, service):
    answer, call = stub.unary.with_call(b"hello", timeout=SOON, metadata=[
        ("x-mine", "yes"), ("x-mine-bin", bytes(range(256)))])
    assert answer == b"hello" and call.code() is grpc.StatusCode.OK
    assert ("x-first", "1") in call.initial_metadata()
    trailing = dict(call.trailing_metadata())
    assert (trailing["x-last"], trailing["x-last-bin"]) == ("2", b"\0\1\2")
    assert service.calls[0]["x-mine"] == "yes"
    assert service.calls[0]["x-mine-bin"] == bytes(range(256))
    line = proxy.logged(1)[0]
    assert (line["protocol"], line["upstream_protocol"]) == ("HTTP/2", "h2")


@pytest.mark.parametrize("size", [0, 1, 65_530, 3 * MIB])
def test_unary_of_every_size(stub, size):
    message = bytes(range(256)) * (size // 256 + 1)
    assert stub.unary(message[:size], timeout=SOON) == message[:size]


def test_many_calls_share_one_connection(proxy, stub):
    for at in range(300):
        message = b"%d" % at
        assert stub.unary(message, timeout=SOON) == message
    calls = [stub.unary.future(b"%d" % at, timeout=SOON) for at in range(100)]
    assert [call.result() for call in calls] == [b"%d" % at for at in range(100)]
    check_quiet(proxy)
    assert opened(proxy) == 1


def test_client_streaming(stub):
    assert stub.collect(iter([b"a", b"", b"c"]), timeout=SOON) == b"a,,c"
    assert stub.collect(iter([]), timeout=SOON) == b""
    pieces = [bytes([65 + at % 26]) * 100_000 for at in range(30)]
    assert stub.collect(iter(pieces), timeout=SOON) == b",".join(pieces)


@pytest.mark.parametrize("count, size", [(0, 4), (1000, 4), (12, MIB)])
def test_server_streaming(stub, count, size):
    came = list(stub.many(b"%d*%d" % (count, size), timeout=SOON))
    assert came == [at.to_bytes(4, "big") * (size // 4) for at in range(count)]


def test_bidirectional_streaming_in_turn(stub):
    """Each message waits for the answer to the one before: nothing on the way holds one back."""
    said, heard = threading.Semaphore(1), []

    def speak():
        for at in range(50):
            assert said.acquire(timeout=SOON)
            yield b"%d" % at

    for answer in stub.chat(speak(), timeout=SOON):
        heard.append(answer)
        said.release()
    assert heard == [b"re: %d" % at for at in range(50)]


def test_many_conversations_at_once(proxy, stub):
    def talk(number):
        words = [b"%d says %d" % (number, at) for at in range(20)]
        return list(stub.chat(iter(words), timeout=SOON)) == [b"re: " + word for word in words]
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert all(pool.map(talk, range(20)))
    check_quiet(proxy)


# --- How calls end otherwise ---


def status_of(call):
    """What the call ends with."""
    with pytest.raises(grpc.RpcError) as caught:
        result = call()
        list(result) if hasattr(result, "__next__") else None
    return caught.value.code(), caught.value.details()


def test_an_error_in_trailers_alone(proxy, stub):
    for _ in range(3):
        assert status_of(lambda: stub.refuse(b"you", timeout=SOON)) == (
            grpc.StatusCode.INVALID_ARGUMENT, "no: you")
    assert stub.unary(b"still there", timeout=SOON) == b"still there"
    assert opened(proxy) == 1


def test_an_error_behind_messages(stub):
    call = stub.fail(b"", timeout=SOON)
    assert (next(call), next(call)) == (b"one", b"two")
    assert status_of(lambda: call) == (grpc.StatusCode.DATA_LOSS, "that is all, sorry \u2639")


def test_a_method_that_is_not_there(stub):
    code, _ = status_of(lambda: stub.nothing(b"", timeout=SOON))
    assert code is grpc.StatusCode.UNIMPLEMENTED


def test_a_deadline_reaches_the_server(proxy, stub, service):
    call = stub.wait(b"", timeout=0.3 * PATIENCE)
    assert next(call) == b"begun"
    code, _ = status_of(lambda: call)
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    wait_until(service.ended.is_set, 5, "the server told of it")
    wait_equal(lambda: streams_now(proxy), 0)
    assert stub.unary(b"still there", timeout=SOON) == b"still there"
    assert opened(proxy) == 1


def test_a_call_that_is_canceled_ends_at_the_server(proxy, stub, service):
    call = stub.wait(b"", timeout=SOON)
    assert next(call) == b"begun"
    call.cancel()
    wait_until(service.ended.is_set, 5, "the server told of it")
    wait_equal(lambda: streams_now(proxy), 0)
    assert stub.unary(b"still there", timeout=SOON) == b"still there"


def test_a_server_that_is_not_there(weir, stubs):
    stub = stubs(weir(over_h2(sockets.free_address())))
    code, _ = status_of(lambda: stub.unary(b"", timeout=SOON))
    assert code is grpc.StatusCode.UNAVAILABLE


def test_a_server_that_stops_ends_its_calls_and_another_one_goes_on(served, weir, stubs, service):
    """grpc's server says GOAWAY in two steps and lets calls end."""
    proxy = weir(over_h2(served(), served(), upstream={"retry": {"budget": "100%"}}))
    stub = stubs(proxy)
    calls = [stub.wait(b"", timeout=SOON) for _ in range(4)]
    assert [next(call) for call in calls] == [b"begun"] * 4
    stopped = served.servers[0].stop(SOON)
    for at in range(50):
        message = b"%d" % at
        assert stub.unary(message, timeout=SOON) == message
    service.go.set()
    assert [list(call) for call in calls] == [[]] * 4
    assert stopped.wait(SOON)


# --- TLS, and compression, which is the ends' own ---


def test_over_tls_on_both_sides(served, weir, stubs, authority, origin_certificate,
                                edge_certificate):
    def contents(*paths):
        return [open(path, "rb").read() for path in paths]
    key, chain = contents(origin_certificate.key, origin_certificate.cert)
    address = served(grpc.ssl_server_credentials([(key, chain)]))
    proxy = weir(tls.to_tls(authority, address, upstream={"protocol": "http2"},
                            service={"listen": [tls.listener(edge_certificate)]}))
    (roots,) = contents(authority.ca)
    stub = stubs(proxy, grpc.ssl_channel_credentials(roots), [
        ("grpc.ssl_target_name_override", "127.0.0.1")])
    assert stub.unary(b"hello", timeout=SOON) == b"hello"
    assert len(list(stub.many(b"10*100000", timeout=SOON))) == 10


def test_compressed_messages_pass(stub):
    message = b"again and " * 10_000
    assert stub.unary(message, timeout=SOON, compression=grpc.Compression.Gzip) == message
