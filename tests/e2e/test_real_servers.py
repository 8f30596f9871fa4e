# SPDX-License-Identifier: MIT
"""nginx, Caddy and node behind weir, curl in front of it."""

import subprocess
import zlib

import pytest

from client import request
from servers import HELLO, LARGE, find
from waiting import PATIENCE, wait_until
from weir import one_upstream

every_server = pytest.mark.parametrize("name", ["nginx", "caddy", "node"])


@pytest.fixture
def behind(weir, server):
    """weir in front of a real server."""
    return lambda name, **options: weir(one_upstream(server(name).address, **options))


def check_one_connection(proxy, requests):
    proxy.wait_idle(1)
    metrics = proxy.metrics()
    assert metrics.by("weir_upstream_requests_total", "connection") == {
        "new": 1, "reused": requests - 1}
    assert metrics.value("weir_upstream_connections_opened_total") == 1


@every_server
def test_reuse_over_every_kind_of_response(behind, connect, name):
    proxy = behind(name)
    client = connect(proxy)
    plain = client.get("/hello.txt")
    assert plain.body == HELLO
    assert client.request("HEAD", "/hello.txt").get("content-length") == str(len(HELLO))
    modified = client.get("/hello.txt", f"If-Modified-Since: {plain.get('last-modified')}")
    assert (modified.status, modified.body) == (304, b"")
    packed = client.get("/large.txt", "Accept-Encoding: gzip")
    assert packed.framing == "chunked"
    assert zlib.decompress(packed.body, wbits=31) == LARGE
    assert client.get("/large.txt").body == LARGE
    assert client.get("/missing.txt").status == 404
    assert client.get("/hello.txt").body == HELLO
    check_one_connection(proxy, 7)


@every_server
def test_reuse_over_many_client_connections(behind, connect, name):
    proxy = behind(name)
    for _ in range(20):
        client = connect(proxy)
        assert client.get("/hello.txt", "Connection: close").body == HELLO
        assert client.ended() == "fin"
    check_one_connection(proxy, 20)


def test_bodies_echoed_by_node(behind, connect):
    proxy = behind("node")
    client = connect(proxy)
    body = LARGE * 8
    assert client.request("POST", "/echo", body=body).body == body
    assert client.request("PUT", "/echo", body=b"").body == b""
    check_one_connection(proxy, 2)


def test_node_closes_after_5_s_and_no_get_fails(behind, connect):
    """node says Keep-Alive: timeout=5 and means it: weir retires the connection a second before."""
    proxy = behind("node")
    client = connect(proxy)
    assert client.get("/hello.txt").status == 200
    wait_until(lambda: proxy.closed(), 8, "the idle connection closed")
    assert proxy.closed() == {"idle_timeout": 1}
    assert client.get("/hello.txt").status == 200
    assert proxy.metric("weir_retries_total") == 0


def test_nginx_closing_idle_connections_costs_no_request(weir, server, connect):
    nginx = server("nginx", keepalive_timeout="1s")
    proxy = weir(one_upstream(nginx.address))
    client = connect(proxy)
    assert client.get("/hello.txt").status == 200
    wait_until(lambda: proxy.closed(), 5, "nginx closed its idle connection")
    assert proxy.closed() == {"peer_closed": 1}
    assert client.get("/hello.txt").status == 200


def test_nginx_closing_every_second_request_is_followed(weir, server, connect):
    """keepalive_requests 2: its second response says close; that is taken at its word."""
    nginx = server("nginx", more="keepalive_requests 2;")
    proxy = weir(one_upstream(nginx.address))
    client = connect(proxy)
    assert [client.get("/hello.txt").status for _ in range(10)] == [200] * 10
    assert proxy.metric("weir_upstream_connections_opened_total") == 5
    assert proxy.not_kept() == {"response_close": 5}


def test_nginx_that_stops_and_starts_again(weir, server, connect):
    nginx = server("nginx")
    proxy = weir(one_upstream(nginx.address, upstream={"fail_timeout": "100ms"}))
    client = connect(proxy)
    assert client.get("/hello.txt").status == 200
    nginx.stop()
    assert client.get("/hello.txt").status == 502


# --- curl ---


def curl(*arguments):
    done = subprocess.run([find("curl"), "--silent", "--show-error", "--fail", "--max-time",
                           str(10 * PATIENCE), *arguments], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl_gets_twice_over_one_connection(behind):
    proxy = behind("nginx")
    url = f"http://{proxy.address}/hello.txt"
    out = curl("--include", url, url)
    assert out.count(HELLO) == 2 and out.count(b"HTTP/1.1 200 OK") == 2
    check_one_connection(proxy, 2)


@pytest.mark.parametrize("options", [["--http1.0"], ["--compressed"], ["--head"],
                                     ["--header", "Connection: close"], ["--http1.1", "--raw"]])
def test_curl_with(behind, options):
    proxy = behind("nginx")
    for _ in range(2):
        curl(*options, f"http://{proxy.address}/large.txt")
    check_one_connection(proxy, 2)


def test_curl_uploads_with_100_continue(behind, tmp_path):
    (tmp_path / "large").write_bytes(LARGE * 20)
    proxy = behind("node")
    url = f"http://{proxy.address}/echo"
    out = curl("--upload-file", str(tmp_path / "large"), "--expect100-timeout", "8", url)
    assert out == LARGE * 20
    assert curl("--upload-file", "-", url, "--header", "Expect:") == b""
    check_one_connection(proxy, 2)


def test_curl_parallel(behind):
    proxy = behind("nginx")
    out = curl("--parallel", "--parallel-max", "20", f"http://{proxy.address}/hello.txt?[1-100]")
    assert out.count(HELLO) == 100
    # Who dials may be given a connection that became free first; the dialled one is kept.
    assert proxy.metric("weir_upstream_connections_opened_total") <= 2 * 20


def test_pipelined_requests_to_a_real_server(behind, connect):
    proxy = behind("nginx")
    client = connect(proxy)
    client.send(request(target="/hello.txt") * 10)
    assert [client.receive().body for _ in range(10)] == [HELLO] * 10
    check_one_connection(proxy, 10)
