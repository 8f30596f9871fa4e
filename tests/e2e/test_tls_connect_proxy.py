# SPDX-License-Identifier: MIT
"""Upstreams that are reached through a forward proxy (CONNECT), plain and over TLS."""

import re

import pytest

import sockets
import tls
from waiting import wait_until
from weir import one_upstream

every_scheme = pytest.mark.parametrize("over_tls", [False, True])
HEADERS = {"Proxy-Authorization": "Basic dXNlcjpwYXNz", "X-Told": "one two"}


@pytest.fixture
def make_origin(origins, tls_origins):
    return lambda over_tls: (tls_origins if over_tls else origins)()


@pytest.fixture
def through(authority):
    """The configuration of one upstream through that proxy; upstream's options."""
    def configure(origin, proxy_address, over_tls=False, headers=None, **options):
        proxy = {"address": proxy_address, **({"headers": headers} if headers else {})}
        upstream = {"proxy": proxy, **options,
                    **({"tls": tls.upstream_tls(authority)} if over_tls else {})}
        return one_upstream(origin.address, upstream=upstream)
    return configure


@every_scheme
def test_one_tunnel_serves_many_requests(weir, make_origin, through, forward_proxy, connect,
                                         over_tls):
    origin = make_origin(over_tls)
    proxy = weir(through(origin, forward_proxy.address, over_tls))
    client = connect(proxy)
    assert [client.get().ordinal for _ in range(10)] == list(range(1, 11))
    assert client.request("POST", body=bytes(100_000)).ordinal == 11
    assert forward_proxy.tunnels == 1
    head = forward_proxy.heads[0]
    assert head.start == f"CONNECT {origin.address} HTTP/1.1"
    assert head.get("host") == origin.address
    assert bool(origin.connections[0].tls_version) == over_tls
    assert proxy.metric("weir_upstream_connections_opened_total") == 1


@every_scheme
def test_headers_are_told_to_the_proxy_and_to_nobody_else(weir, make_origin, through,
                                                          forward_proxy, connect, over_tls):
    origin = make_origin(over_tls)
    proxy = weir(through(origin, forward_proxy.address, over_tls, HEADERS))
    connect(proxy).get("/", "X-Secret: of the client", "Cookie: a=b")
    head = forward_proxy.heads[0]
    for name, value in HEADERS.items():
        assert head.get(name) == value
        assert origin.exchanges[0].get(name) is None
    assert head.get("x-secret") is None and head.get("cookie") is None
    assert head.get("content-length") is None and head.get("transfer-encoding") is None


def test_a_proxy_on_a_unix_socket(weir, tls_origin, through, forward_proxies, connect, tmp_path):
    forward_proxy = forward_proxies(f"unix:{tmp_path}/proxy.sock")
    client = connect(weir(through(tls_origin, forward_proxy.address, True)))
    assert [client.get().ordinal for _ in range(3)] == [1, 2, 3]
    assert forward_proxy.tunnels == 1
    assert tls_origin.connections[0].told_name == tls.ORIGIN


def test_the_servers_certificate_is_verified_through_the_tunnel(weir, tls_origins, through,
                                                                forward_proxy, connect, stranger):
    origin = tls_origins(certificate=stranger.issue(tls.ORIGIN))
    response = connect(weir(through(origin, forward_proxy.address, True))).get()
    assert (response.status, response.error) == (502, "tls_certificate_error")
    assert origin.received == b""


def test_a_tunnel_that_ends_at_rest_is_dialled_again(weir, origin, through, forward_proxy, connect):
    proxy = weir(through(origin, forward_proxy.address))
    client = connect(proxy)
    origin.at[1, 1] = lambda exchange: (exchange.respond(), exchange.fin())
    assert client.get().connection == 1
    wait_until(proxy.closed, 5, "the connection closed")
    assert client.request("POST", body=b"x").connection == 2
    assert forward_proxy.tunnels == 2


# --- Who shares ---


def two_ways(origin, first, second):
    """Upstreams /a and /b to one server by these proxies, and /direct without one."""
    config = one_upstream(origin.address)
    config["services"][0]["upstreams"] = {
        "a": {"servers": [origin.address], "proxy": first},
        "b": {"servers": [origin.address], "proxy": second},
        "direct": {"servers": [origin.address]}}
    config["services"][0]["routes"] = [
        {"path": f"/{name}", "upstream": name} for name in ("a", "b", "direct")]
    return config


def used(proxy, client):
    """The connections of the origin that /a, /b and /direct used, by turns."""
    numbers = {"a": set(), "b": set(), "direct": set()}
    for _ in range(3):
        for name, seen in numbers.items():
            seen.add(client.get(f"/{name}").connection)
            proxy.wait_metric(0, "weir_pool_in_use_connections")
    return numbers


def test_equal_ways_share_and_the_direct_one_does_not(weir, origin, forward_proxy, connect):
    way = {"address": forward_proxy.address, "headers": HEADERS}
    proxy = weir(two_ways(origin, way, way))
    assert used(proxy, connect(proxy)) == {"a": {1}, "b": {1}, "direct": {2}}


@pytest.mark.parametrize("differ", ["proxy", "value", "name", "none"])
def test_different_ways_share_nothing(weir, origin, forward_proxies, connect, differ):
    first = {"address": forward_proxies().address, "headers": {"X-Way": "1"}}
    second = {"proxy": {**first, "address": forward_proxies().address},
              "value": {**first, "headers": {"X-Way": "2"}},
              "name": {**first, "headers": {"X-Other": "1"}},
              "none": {"address": first["address"]}}[differ]
    proxy = weir(two_ways(origin, first, second))
    assert used(proxy, connect(proxy)) == {"a": {1}, "b": {2}, "direct": {3}}


# --- Refusals ---


def get_failed(proxy, connect):
    response = connect(proxy).get()
    assert response.error, "told in Proxy-Status"
    line = proxy.logged(1)[0]
    assert line["error"] and line["status"] == response.status
    return response


@every_scheme
@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "502 Bad Gateway",
                                    "403 Forbidden", "301 Moved Permanently"])
def test_a_refusal_is_502_and_told(weir, make_origin, through, forward_proxy, connect, status,
                                   over_tls):
    origin = make_origin(over_tls)
    forward_proxy.answer = (f"HTTP/1.1 {status}\r\nContent-Length: 6\r\n"
                            "X-Mine: of the proxy\r\n\r\nsecret").encode()
    proxy = weir(through(origin, forward_proxy.address, over_tls))
    response = get_failed(proxy, connect)
    assert response.status == 502
    assert b"secret" not in response.body and response.get("x-mine") is None
    said = re.compile(rf"upstream web: .*\b{status[:3]}\b")
    wait_until(lambda: said.search(proxy.stderr), 5, f"{said.pattern} in the log")
    assert origin.connections == []


NO_ANSWER = {
    "not_http": b"SSH-2.0-hello\r\n\r\n",
    "nothing": b"",
    "cut_head": b"HTTP/1.1 200 OK\r\nX-One: 1\r\n",
    "endless_head": b"HTTP/1.1 200 OK\r\n" + b"X-One: 1\r\n" * 100_000,
    "no_status": b"HTTP/1.1 \r\n\r\n",
}


@pytest.mark.parametrize("name", NO_ANSWER)
def test_an_answer_that_is_none_is_502(weir, origin, through, forward_proxy, connect, name):
    forward_proxy.answer = NO_ANSWER[name]
    proxy = weir(through(origin, forward_proxy.address))
    assert get_failed(proxy, connect).status == 502
    assert origin.connections == []


def test_a_proxy_that_is_not_there_is_502(weir, origin, through, connect):
    proxy = weir(through(origin, sockets.free_address()))
    assert get_failed(proxy, connect).status == 502
    assert origin.connections == []


def test_a_proxy_that_does_not_answer_is_504(weir, origin, through, connect):
    listener, address = sockets.listen()
    proxy = weir(through(origin, address, connection_timeout="300ms",
                         total_connection_timeout="300ms"))
    assert get_failed(proxy, connect).status == 504
    listener.close()


def test_a_proxy_that_comes_to_its_senses_is_used(weir, origin, through, forward_proxy, connect):
    forward_proxy.answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    proxy = weir(through(origin, forward_proxy.address, fail_timeout="0"))
    client = connect(proxy)
    assert client.get().status == 502
    forward_proxy.answer = None
    assert client.get().status == 200


@pytest.mark.parametrize("fields", [b"Content-Length: 0\r\n", b"Content-Length: 100\r\n",
                                    b"Transfer-Encoding: chunked\r\n", b"X-Cache: none\r\n"])
def test_fields_of_a_success_do_not_frame_it(weir, tls_origin, through, forward_proxy, connect,
                                             fields):
    """RFC 9110 section 9.3.6: they are to be ignored."""
    forward_proxy.established = b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n"
    client = connect(weir(through(tls_origin, forward_proxy.address, True)))
    assert [client.get().ordinal for _ in range(2)] == [1, 2]
