# SPDX-License-Identifier: MIT
"""Every program of examples/ does what its first comment says, and leaks nothing."""

import contextlib
import os
import pathlib
import random
import re

import pytest

import examples
import program
import sockets
from client import Client
from servers import HELLO, LARGE
from waiting import wait_until

MEBIBYTE = random.Random(7).randbytes(1 << 20)
ANY = "127.0.0.1:0"
# A scenario that is played without and with valgrind, which is the same over both backends.
WAYS = ["plain"] if os.environ.get("WEIR_IO") == "uring" else ["plain", "valgrind"]
both = pytest.mark.parametrize("example", WAYS, indirect=True)


class Examples:
    """Starts examples: example("proxy", ANY, origin.url). `many`: so many requests are enough."""

    def __init__(self, directory, ends, valgrind):
        self.directory = directory
        self.ends = ends
        self.valgrind = valgrind
        self.many = 10 if valgrind else 100
        self.count = 0

    def __call__(self, name, *arguments, **options):
        self.count += 1
        directory = self.directory / f"{name}{self.count}"
        directory.mkdir()
        started = examples.Example(directory, name, *arguments, valgrind=self.valgrind, **options)
        self.ends.callback(started.kill)
        self.ends.callback(started.stop)
        return started


@pytest.fixture
def example(request, tmp_path, origins):
    valgrind = getattr(request, "param", "plain") == "valgrind"
    if valgrind and program.is_sanitized():
        pytest.skip("a sanitizer looks already")
    with contextlib.ExitStack() as ends:
        yield Examples(tmp_path, ends, valgrind)


def ask(server, *arguments, **options):
    """One request on a client connection of its own, which any thread may get."""
    client = Client(server)
    try:
        return client.request(*arguments, **options)
    finally:
        client.close()


def text_answer(body, kind="text/plain"):
    return lambda exchange: exchange.respond(body, fields=[f"Content-Type: {kind}"])


# --- A server and a proxy -------------------------------------------------------------------------

@both
def test_server(example, connect):
    server = example("server", ANY)
    client = connect(server)
    for _ in range(example.many):
        response = client.get("/")
        assert (response.status, response.body) == (200, b"hello\n")
    assert ask(server, "HEAD").body == b""


def test_server_speaks_http2(example, connect_h2):
    server = example("server", ANY)
    response = connect_h2(server).get("/")
    assert (response.status, response.body) == (200, b"hello\n")


def test_an_address_in_use_is_told(example):
    listener, address = sockets.listen()
    with contextlib.closing(listener):
        server = example("server", address, listens=False)
        assert server.process.wait(10) == 1
        assert "server: " in server.stderr
        assert server.stdout == ""


@both
def test_proxy_keeps_one_connection(example, origin):
    """One client connection after the other, over all threads: the origin sees one."""
    proxy = example("proxy", ANY, origin.url)
    for number in range(example.many):
        assert ask(proxy, "GET", f"/{number}").body == b"GET /%d\n" % number
    assert [len(origin.connections), len(origin.exchanges)] == [1, example.many]


def test_proxy_to_https(example, tls_origin, authority):
    proxy = example("proxy", ANY, f"https://{tls_origin.address}", authority.ca)
    for _ in range(5):
        assert ask(proxy, "GET", "/a").body == b"GET /a\n"
    assert len(tls_origin.handshakes) == 1


def test_proxy_trusts_nobody_else(example, tls_origin, stranger):
    proxy = example("proxy", ANY, f"https://{tls_origin.address}", stranger.ca)
    response = ask(proxy, "GET", "/a")
    assert (response.status, response.error) == (502, "tls_certificate_error")


def test_proxy_to_http2(example, h2_origin):
    proxy = example("proxy", ANY, f"h2c://{h2_origin.address}")
    for _ in range(5):
        assert ask(proxy, "GET", "/a").status == 200
    assert len(h2_origin.connections) == 1


@pytest.mark.parametrize("name", ["nginx", "caddy", "node"])
def test_proxy_to_real_servers(example, server, name):
    proxy = example("proxy", ANY, f"http://{server(name).address}")
    for _ in range(5):
        assert ask(proxy, "GET", "/hello.txt").body == HELLO
        assert ask(proxy, "GET", "/large.txt").body == LARGE


# --- Filters --------------------------------------------------------------------------------------

@both
def test_filter(example, origin, connect):
    origin.paths["/text"] = lambda exchange: exchange.respond(
        b"small letters", fields=["Content-Type: text/plain", "Server: secret/1.0"])
    origin.paths["/image"] = text_answer(b"small letters", "image/png")
    origin.paths["/packed"] = lambda exchange: exchange.respond(
        b"small letters", fields=["Content-Type: text/plain", "Content-Encoding: br"])
    client = connect(example("filter", ANY, origin.url))

    answer = client.get("/text", "Cookie: a=b", "Accept-Encoding: gzip")
    assert answer.body == b"SMALL LETTERS"
    assert (answer.framing, answer.get("x-filtered")) == ("length", "yes")
    assert answer.get("server") != "secret/1.0"
    seen = origin.exchanges[0]
    assert [seen.get(name) for name in ("cookie", "accept-encoding", "x-filtered")] == [
        None, None, "127.0.0.1"]

    assert client.get("/image").body == b"small letters"
    assert client.get("/packed").body == b"small letters"
    assert client.get("/private/x").status == 403
    assert origin.targets == ["/text", "/image", "/packed"]


@both
def test_filter_changes_bodies_of_any_size(example, origin, connect):
    origin.paths["/echo"] = lambda exchange: exchange.respond(
        exchange.body(), fields=["Content-Type: text/plain"])
    client = connect(example("filter", ANY, origin.url))
    letters = MEBIBYTE.hex().encode()[:100_000 if example.valgrind else None]
    answer = client.request("POST", "/echo", ["Content-Type: text/plain"], letters)
    assert origin.exchanges[0].content == letters.upper()
    assert answer.body == letters.upper()
    chunked = client.request("POST", "/echo", ["Content-Type: application/octet-stream"], letters)
    assert origin.exchanges[1].content == letters
    assert chunked.body == letters.upper()


# --- Balancing ------------------------------------------------------------------------------------

@both
def test_balancer(example, origins):
    made = [origins(), origins(), origins()]
    proxy = example("balancer", ANY, *(each.url for each in made))
    for _ in range(6):
        assert ask(proxy).status == 200
    assert sum(len(each.exchanges) for each in made) == 6
    assert all(each.exchanges for each in made)

    before = len(made[1].exchanges)
    for _ in range(6):
        answer = ask(proxy, fields=["X-Server: 1"])
        assert answer.get("x-upstream") == "attempts=1, connection=reused"
    assert len(made[1].exchanges) == before + 6
    # The hand-made choice and the upstream mean the same server by the same URL.
    assert len(made[1].connections) == 1


def test_balancer_goes_on_where_a_server_is_gone(example, origin):
    gone = sockets.free_address()
    proxy = example("balancer", ANY, origin.url, f"http://{gone}")
    answer = ask(proxy, "POST", fields=["X-Server: 1"], body=b"once")
    assert answer.status == 200
    assert re.match(r"attempts=[23], ", answer.get("x-upstream"))
    assert [exchange.content for exchange in origin.exchanges] == [b"once"]


# --- Subrequests ----------------------------------------------------------------------------------

def verify(exchange):
    if exchange.get("authorization") == "Bearer abc":
        exchange.respond(b"", fields=["X-User: alice"])
    else:
        exchange.respond(b"who are you?\n", "401 Unauthorized",
                         ["WWW-Authenticate: Bearer", "Content-Type: text/plain"])


@both
def test_auth(example, origins, connect):
    verifier, application = origins(), origins()
    verifier.paths["/verify"] = verify
    client = connect(example("auth", ANY, verifier.url, application.url))

    refused = client.get("/secret", "X-User: root")
    assert (refused.status, refused.body) == (401, b"who are you?\n")
    assert refused.get("www-authenticate") == "Bearer"
    assert application.exchanges == []

    for number in range(1, 6):
        passed = client.request("POST", "/secret?a=b", ["Authorization: Bearer abc",
                                                        "X-User: root"], b"a body")
        assert (passed.status, passed.body) == (200, b"POST /secret?a=b\n")
        seen = application.exchanges[-1]
        assert (seen.get("x-user"), seen.content) == ("alice", b"a body")
        asked = verifier.exchanges[number]
        assert (asked.method, asked.target, asked.content) == ("GET", "/verify", b"")
        assert asked.get("x-original-path") == "/secret?a=b"
        assert asked.get("x-user") is None
    assert [len(verifier.connections), len(application.connections)] == [1, 1]


def test_auth_lets_nobody_in_without_a_verifier(example, origin):
    proxy = example("auth", ANY, f"http://{sockets.free_address()}", origin.url)
    assert ask(proxy, "GET", "/", ["Authorization: Bearer abc"]).status == 502
    assert origin.exchanges == []


@both
def test_capture(example, origins, connect):
    first, second = origins(), origins()
    proxy = example("capture", ANY, first.url, second.url, 2_000_000)
    client = connect(proxy)
    body = MEBIBYTE[:50_000 if example.valgrind else None]
    answer = client.request("POST", "/upload", body=body)
    assert (answer.status, answer.body) == (200, b"POST /upload\n")
    assert answer.get("x-captured") == "yes"
    assert first.exchanges[0].content == body
    wait_until(lambda: second.exchanges and second.exchanges[0].complete, what="the second server")
    assert second.exchanges[0].content == body

    assert client.get("/other").get("x-captured") is None
    assert [len(first.exchanges), len(second.exchanges)] == [2, 1]


@both
def test_capture_sends_no_part(example, origins, connect):
    first, second = origins(), origins()
    proxy = example("capture", ANY, first.url, second.url, 1000)
    client = connect(proxy)
    for length in (1001, 1000):
        assert client.request("POST", f"/{length}", body=MEBIBYTE[:length]).status == 200
    assert [each.content for each in first.exchanges] == [MEBIBYTE[:1001], MEBIBYTE[:1000]]
    wait_until(lambda: second.exchanges and second.exchanges[0].complete, what="the second server")
    assert [each.target for each in second.exchanges] == ["/1000"]
    assert second.received.count(b"/1001") == 0
    wait_until(lambda: "/1000: second server: sent (200)" in proxy.stderr, what=proxy.stderr)
    assert "/1001: second server: the body was kept in part only" in proxy.stderr


# --- Transports -----------------------------------------------------------------------------------

@both
def test_byte_transport_is_pooled(example):
    proxy = example("byte_transport", ANY)
    for number in range(1, example.many + 1):
        assert ask(proxy).body == b"connection 1, request %d\n" % number


@both
def test_session_transport_is_pooled(example, connect):
    proxy = example("session_transport", ANY)
    for number in range(1, example.many + 1):
        answer = ask(proxy, "GET", f"/{number}")
        assert (answer.status, answer.get("content-type")) == (200, "text/plain")
        assert answer.body == b"connection 1, request %d: GET /%d, 0 bytes\n" % (number, number)
    body = MEBIBYTE[:50_000 if example.valgrind else None]
    answer = connect(proxy).request("POST", "/large", body=body)
    assert answer.body.endswith(b": POST /large, %d bytes\n" % len(body))


def own_weir(example, directory, upstream, service="web"):
    """Its configuration has that one service with that upstream."""
    config = directory / "weir.yaml"
    config.write_text(f"threads: 1\nservices:\n  - name: {service}\n"
                      f"    listen: ['{ANY}']\n    upstream: '{upstream}'\n")
    way = "epoll" if example.valgrind else program.IO or "auto"
    return example("own_weir", "-c", config, "--io", way, listens=False)


def rejected(own):
    assert own.process.wait(10 * own.patience) == 2
    return own.stderr


@both
def test_own_weir(example, origins, tmp_path, connect):
    """Both of the program's are there: its transport in the configuration, its phase in "web"."""
    origin = origins(f"unix:{tmp_path}/app")
    own = own_weir(example, tmp_path, f"local:{tmp_path}/app")
    wait_until(lambda: "ready: " in own.stderr, 20, what="own_weir ready")
    own.address = re.search(r"service web listens on (\S+)", own.stderr)[1]
    client = connect(own)
    for number in range(example.many):
        answer = client.get(f"/{number}")
        assert (answer.status, answer.get("x-passed-by")) == (200, "a weir of my own")
        assert answer.body == b"GET /%d\n" % number
    assert len(origin.connections) == 1


def test_own_weir_tells_which_transports_there_are(example, tmp_path):
    own = own_weir(example, tmp_path, "locl:/run/app")
    assert "weir.yaml:5:15: error: " in rejected(own)
    assert "there is no transport 'locl'; there are: " in own.stderr
    assert {"exec", "local"} == set(re.findall(r"\w+", own.stderr.split("there are: ")[1]))


def test_own_weir_needs_the_service_that_its_phases_are_for(example, tmp_path):
    own = own_weir(example, tmp_path, "local:/run/app", service="wbe")
    assert rejected(own).endswith("weir.yaml: error: the program has phases for 'web', "
                                  "and no service is so called (did you mean 'wbe'?)\n")


# --- Clients --------------------------------------------------------------------------------------

@both
def test_threads(example, origin):
    run = example("threads", origin.url, "/a", 4, example.many, listens=False)
    run.wait()
    answers, connections = map(int, re.match(r"(\d+) answers, (\d+) connections\n",
                                             run.stdout).groups())
    assert answers == 4 * example.many == len(origin.exchanges)
    # A thread that dials may be given another one's connection before it has connected.
    assert connections <= len(origin.connections) <= 8


HUNDRED = "100 requests, 1 connections\n"


def secure(origin):
    return "https://" + origin.address


@both
def test_get(example, origin):
    run = example("get", origin.url, listens=False)
    run.wait()
    assert run.stdout == "no error, 1 connections\n"
    assert (len(origin.exchanges), len(origin.connections)) == (100, 1)


@both
def test_client(example, origin):
    run = example("client", origin.url, listens=False)
    run.wait()
    assert run.stdout == HUNDRED
    assert (len(origin.exchanges), len(origin.connections)) == (100, 1)


@both
def test_client_over_tls(example, tls_origin, authority):
    run = example("client", secure(tls_origin), "--ca", authority.ca, listens=False)
    run.wait()
    assert run.stdout == HUNDRED
    assert len(tls_origin.exchanges) == 100


@both
def test_client_over_http2(example, h2_tls_origins, authority):
    origin = h2_tls_origins()
    run = example("client", secure(origin), "--http2", "--ca", authority.ca, listens=False)
    run.wait()
    assert run.stdout == HUNDRED
    assert len(origin.connections) == 1


@both
def test_client_of_a_child_process(example):
    command = f"exec:exec /usr/bin/python3 {pathlib.Path(__file__).parent / 'exec_child.py'}"
    run = example("client", command, listens=False)
    run.wait()
    assert run.stdout == HUNDRED


def test_client_does_not_trust_a_stranger(example, tls_origin, stranger, tmp_path):
    run = example("client", secure(tls_origin), "--ca", stranger.ca, listens=False)
    assert run.process.wait(10) == 1
    assert "client: tls_certificate_error: " in run.stderr
    run.stop = lambda: None


@both
def test_libuv(example, origin):
    origin.paths["/"] = text_answer(b"a piece of text")
    run = example("libuv", origin.url, listens=False)
    run.wait()
    assert run.stdout == "200, 15 bytes\n"
