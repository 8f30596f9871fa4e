# SPDX-License-Identifier: MIT
"""nghttpd, nginx, Caddy and node behind weir, which speaks HTTP/2 with them."""

import re
import subprocess
import threading
import zlib

import pytest

from client import Client, request
from framing import LAST_CHUNK, chunk
from h2_upstream import check_quiet, opened, over_h2, retries
from servers import HELLO, LARGE, find
from tls import to_tls

SECURE = ["h2c", "tls"]


@pytest.fixture
def behind(weir, server, authority, origin_certificate):
    """weir in front of a real server, by prior knowledge or over TLS."""
    def make(name, secure="h2c", upstream=None, **options):
        if secure == "h2c":
            running = server(name, http2=True, **options)
            return weir(over_h2(running.address, upstream=upstream))
        running = server(name, http2=True, certificate=origin_certificate, **options)
        return weir(to_tls(authority, running.address,
                           upstream={"protocol": "auto", **(upstream or {})}))
    return make


def check_one_connection(proxy, requests):
    proxy.wait_idle(1)
    assert proxy.metrics().by("weir_upstream_requests_total", "connection") == {
        "new": 1, "reused": requests - 1}
    assert opened(proxy) == 1
    assert {line["upstream_protocol"] for line in proxy.logged(requests)} == {"h2"}


@pytest.mark.parametrize("secure", SECURE)
@pytest.mark.parametrize("name", ["nghttpd", "nginx", "caddy", "node"])
def test_reuse_over_every_kind_of_response(behind, connect, name, secure):
    proxy = behind(name, secure)
    client = connect(proxy)
    plain = client.get("/hello.txt")
    assert plain.body == HELLO
    assert client.request("HEAD", "/hello.txt").status == 200
    modified = client.get("/hello.txt", f"If-Modified-Since: {plain.get('last-modified')}")
    assert modified.status == 304 and modified.body == b""
    packed = client.get("/large.txt", "Accept-Encoding: gzip")
    if packed.get("content-encoding") == "gzip":
        assert zlib.decompress(packed.body, wbits=31) == LARGE
    else:
        assert name == "nghttpd" and packed.body == LARGE
    assert client.get("/large.txt").body == LARGE
    assert client.get("/missing.txt").status == 404
    assert client.get("/hello.txt").body == HELLO
    check_one_connection(proxy, 7)


@pytest.mark.parametrize("secure", SECURE)
@pytest.mark.parametrize("name", ["node", "nghttpd"])
def test_bodies_are_echoed(behind, connect, name, secure):
    path = {"node": "/echo", "nghttpd": "/"}[name]
    proxy = behind(name, secure)
    client = connect(proxy)
    for body in (b"x", LARGE * 8):
        upload = client.upload(request("POST", path, body=body))
        assert client.receive().body == body
        upload.join()
    check_one_connection(proxy, 2)


def test_trailers_are_echoed_by_node(behind, connect):
    client = connect(behind("node"))
    client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"hello") + b"0\r\nX-Sum: 1\r\n\r\n")
    response = client.receive()
    assert response.body == b"hello"
    assert [(name.lower(), value) for name, value in response.trailers] == [("x-sum", "1")]


def test_trailers_of_nghttpd(behind, connect):
    client = connect(behind("nghttpd"))
    for _ in range(2):
        response = client.get("/hello.txt")
        assert response.body == HELLO and response.complete


def test_an_early_response_of_nghttpd(behind, connect):
    """Its answer is complete when the request's head has come."""
    client = connect(behind("nghttpd", echo=False, more=["--early-response"]))
    client.send(b"POST /hello.txt HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                chunk(b"x" * 1000))
    response = client.receive()
    assert (response.status, response.body) == (200, HELLO)
    client.send_unless_refused(chunk(b"x" * 1000), LAST_CHUNK)


def test_small_windows_of_nghttpd(behind, connect):
    proxy = behind("nghttpd", more=["--window-bits=10", "--connection-window-bits=16"])
    client = connect(proxy)
    client.request("POST", "/", body=b"x")
    upload = client.upload(request("POST", "/", body=LARGE * 2))
    assert client.receive().body == LARGE * 2
    upload.join()
    check_one_connection(proxy, 2)


def load(proxy, count=2000, clients=20, *arguments):
    """Requests by h2load over HTTP/1; all must succeed."""
    done = subprocess.run([find("h2load"), "--h1", "-n", str(count), "-c", str(clients),
                           *arguments, f"http://{proxy.address}/hello.txt"],
                          capture_output=True, check=True, text=True)
    assert re.search(rf"{count} succeeded, 0 failed, 0 errored, 0 timeout", done.stdout), \
        done.stdout
    assert re.search(rf"{count} 2xx", done.stdout), done.stdout


@pytest.mark.parametrize("name", ["nghttpd", "nginx", "caddy", "node"])
def test_load_over_one_connection(behind, name):
    proxy = behind(name)
    load(proxy, 900)  # nginx ends a connection after a thousand
    check_quiet(proxy)
    assert opened(proxy) == 1


def test_load_over_as_many_connections_as_its_streams_need(behind):
    """nghttpd takes three streams of a connection; twenty clients at once."""
    proxy = behind("nghttpd", more=["--max-concurrent-streams=3"])
    load(proxy)
    check_quiet(proxy)
    assert opened(proxy) <= 7


def test_nginx_that_ends_each_connection_after_ten_requests(behind):
    """It says GOAWAY while requests are on their way: none fails."""
    proxy = behind("nginx", more="keepalive_requests 10;")
    load(proxy, 1000)
    check_quiet(proxy)
    assert opened(proxy) >= 50
    assert proxy.metric("weir_upstream_goaways_total") >= 50
    assert retries(proxy, "refused") == 0


def test_nginx_closing_idle_connections_costs_no_request(behind, connect):
    proxy = behind("nginx", keepalive_timeout="1s")
    client = connect(proxy)
    assert client.get("/hello.txt").body == HELLO
    proxy.wait_idle(0)
    assert client.request("POST", "/hello.txt", body=b"x").status == 405
    assert retries(proxy) == 0 and opened(proxy) == 2


def test_a_server_that_dies_under_load_and_comes_back(server, weir):
    """What fails is told, what follows is served."""
    options = {"more": ["--max-concurrent-streams=50"]}
    first, second = server("nghttpd", **options), server("nghttpd", **options)
    proxy = weir(over_h2(first.address, second.address, upstream={"fail_timeout": "100ms"}))
    seen, over = [], threading.Event()

    def ask():
        client = Client(proxy)
        while not over.is_set():
            seen.append(client.get("/hello.txt").status)
        client.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    while len(seen) < 200:
        over.wait(0.01)
    first.stop()
    count = len(seen)
    while len(seen) < count + 300:
        over.wait(0.01)
    over.set()
    for thread in threads:
        thread.join()
    assert set(seen) <= {200, 502} and seen[-100:] == [200] * 100
    check_quiet(proxy)
