# SPDX-License-Identifier: MIT
"""Where a request goes, and what is said when it cannot go there."""

import collections
import re

import pytest

import sockets
from client import request
from framing import LAST_CHUNK, chunk
from waiting import wait_until
from weir import one_upstream


def service_of(routes, upstreams):
    return {"routes": routes, "upstreams": upstreams}


# --- Nobody there ---


def test_refused_is_502_and_says_so(weir, connect):
    proxy = weir(one_upstream(sockets.free_address()))
    client = connect(proxy)
    response = client.get()
    assert response.status == 502
    assert response.error == "connection_refused"
    assert response.get("cache-control") == "no-store"
    assert not re.search(r"\d", response.get("server") or ""), "no version"
    assert proxy.logged(1)[0]["error"] == "connection_refused"
    reasons = proxy.metrics().by("weir_upstream_connect_errors_total", "reason")
    assert set(reasons) == {"connection_refused"}
    assert proxy.metric("weir_requests_total", code="502") == 1


def test_missing_unix_socket_is_502(weir, connect, tmp_path):
    response = connect(weir(one_upstream(f"unix:{tmp_path}/nobody.sock"))).get()
    assert response.status == 502


def test_client_connection_outlives_an_answer_of_weirs_own(weir, connect):
    client = connect(weir(one_upstream(sockets.free_address())))
    assert [client.get().status for _ in range(3)] == [502, 502, 502]


def test_server_that_comes_back_is_used_again(weir, origins, connect):
    address = sockets.free_address()
    proxy = weir(one_upstream(address, upstream={"fail_timeout": "100ms"}))
    assert connect(proxy).get().status == 502
    origins(address)
    wait_until(lambda: connect(proxy).get().status == 200, 5, "the server in use again")


# --- Several servers ---


def test_refused_server_is_skipped(weir, origin, connect):
    proxy = weir(one_upstream(sockets.free_address(), origin.address))
    client = connect(proxy)
    assert [client.get().status for _ in range(10)] == [200] * 10
    assert len(origin.exchanges) == 10


def test_refused_server_is_skipped_for_posts_too(weir, origin, connect):
    """Nothing was written, so any method may go to the next server."""
    client = connect(weir(one_upstream(sockets.free_address(), origin.address)))
    assert [client.request("POST", body=b"hello").status for _ in range(4)] == [200] * 4
    assert [e.content for e in origin.exchanges] == [b"hello"] * 4


def test_all_servers_refused_is_502_each_tried(weir, connect):
    proxy = weir(one_upstream(sockets.free_address(), sockets.free_address(),
                              upstream={"fail_timeout": "0"}))
    assert connect(proxy).get().status == 502
    assert proxy.metric("weir_upstream_connect_errors_total") >= 2


def test_round_robin_keeps_the_weights(weir, origins, connect):
    heavy, light = origins(), origins()
    proxy = weir(one_upstream({"address": heavy.address, "weight": 3}, light.address))
    client = connect(proxy)
    for _ in range(40):
        assert client.get().status == 200
    assert (len(heavy.exchanges), len(light.exchanges)) == (30, 10)
    assert (len(heavy.connections), len(light.connections)) == (1, 1)


def test_round_robin_mixes_servers(weir, origins, connect):
    """Three to one does not mean bursts: the light one has its turn in every four."""
    heavy, light = origins(), origins()
    heavy.default = lambda exchange: exchange.respond(b"heavy")
    light.default = lambda exchange: exchange.respond(b"light")
    client = connect(weir(one_upstream({"address": heavy.address, "weight": 3}, light.address)))
    bodies = [client.get().body for _ in range(16)]
    for at in range(0, 16, 4):
        assert collections.Counter(bodies[at:at + 4]) == {b"heavy": 3, b"light": 1}


# --- Routes ---


@pytest.fixture
def routed(weir, origins):
    named = {}
    for name in ("exact", "below", "version", "rest"):
        named[name] = origins()
        body = name.encode()
        named[name].default = lambda exchange, body=body: exchange.respond(body)
    routes = [{"host": "api.example.com", "path": "/v1/", "upstream": "version"},
              {"host": "api.example.com", "upstream": "exact"},
              {"host": "*.example.com", "upstream": "below"},
              {"path": "/open/", "upstream": "rest"}]
    upstreams = {name: origin.url for name, origin in named.items()}
    return weir(one_upstream(service=service_of(routes, upstreams)))


@pytest.mark.parametrize("host, path, taken_by", [
    ("api.example.com", "/v1/users", b"version"),
    ("api.example.com", "/v2/users", b"exact"),
    ("API.Example.COM", "/", b"exact"),
    ("api.example.com:8080", "/", b"exact"),
    ("www.example.com", "/", b"below"),
    ("a.b.example.com", "/v1/", b"below"),
    ("other.test", "/open/file", b"rest"),
    ("other.test", "/open/?q=/v1/", b"rest"),
])
def test_first_route_that_matches_host_and_path(routed, connect, host, path, taken_by):
    response = connect(routed).request(target=path, host=host)
    assert (response.status, response.body) == (200, taken_by)


@pytest.mark.parametrize("host, path", [
    ("other.test", "/"), ("example.com", "/"), ("notexample.com", "/"), ("other.test", "/open"),
    ("example.com.evil.test", "/"), ("other.test", "/?/open/"),
])
def test_no_route_is_404(routed, connect, host, path):
    client = connect(routed)
    response = client.request(target=path, host=host)
    assert response.status == 404
    assert response.error
    assert client.request(target="/", host="api.example.com").status == 200, "connection goes on"


def test_absolute_form_is_routed_by_its_own_host(routed, connect):
    client = connect(routed)
    client.send(b"GET http://www.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
    assert client.receive().body == b"below"


def test_two_services_never_share_a_connection(weir, origin, connect):
    config = one_upstream(origin.address)
    config["services"].append({**config["services"][0], "name": "other"})
    proxy = weir(config)
    first, second = (connect(address).get() for address in proxy.addresses)
    assert (first.connection, second.connection) == (1, 2)
    assert connect(proxy.addresses[0]).get().connection == 1
    assert proxy.metric("weir_requests_total", service="edge") == 2


# --- Limits ---


def limited(weir, origin):
    return weir(one_upstream(origin.address, service={"max_request_body": "1KiB"}))


def test_request_body_over_the_limit_is_413_before_anything_goes_up(weir, origin, connect):
    client = connect(limited(weir, origin))
    client.send_unless_refused(request("POST", body=b"x" * 1025))
    response = client.receive()
    assert response.status == 413
    assert response.error
    assert origin.received == b""


def test_chunked_request_body_over_the_limit_is_413(weir, origin, connect):
    client = connect(limited(weir, origin))
    client.send_unless_refused(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                               + chunk(b"x" * 1000) * 2 + LAST_CHUNK)
    assert client.receive().status == 413
    assert client.ended() in ("fin", "reset")
    wait_until(origin.is_left, 5, "the upstream connection closed")
    assert not any(exchange.complete for exchange in origin.exchanges)


def test_request_body_at_the_limit_passes(weir, origin, connect):
    client = connect(limited(weir, origin))
    assert client.request("POST", body=b"x" * 1024).status == 200
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                + chunk(b"x" * 512) * 2 + LAST_CHUNK)
    assert client.receive().status == 200
