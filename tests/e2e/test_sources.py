# SPDX-License-Identifier: MIT
"""Where weir connects from, and how its sockets are set up."""

import threading

import pytest

from client import request
from waiting import wait_until
from weir import one_upstream


def sources(origin):
    return [connection.sock.getpeername()[0] for connection in origin.connections]


@pytest.fixture
def parallel(origin, connect):
    """So many upstream connections at once."""
    def run(proxy, count):
        go = threading.Event()
        origin.paths["/hold"] = lambda exchange: (exchange.hold(go), exchange.respond())
        clients = [connect(proxy) for _ in range(count)]
        for number, client in enumerate(clients):
            client.send(request(target="/hold"))
            wait_until(lambda: len(origin.exchanges) == number + 1)
        found = sources(origin)
        go.set()
        for client in clients:
            assert client.receive().status == 200
        return found
    return run


def test_client_bind_to_takes_turns_and_shares_one_pool(weir, origin, connect, parallel):
    proxy = weir(one_upstream(origin.address, client_bind_to_ipv4=["127.0.0.2", "127.0.0.3"]))
    assert parallel(proxy, 4) == ["127.0.0.2", "127.0.0.3"] * 2
    for _ in range(4):
        assert connect(proxy).get().status == 200
    assert len(origin.connections) == 4, "any of them serves any request"


def test_bind_to_of_an_upstream_comes_first(weir, origin, parallel):
    proxy = weir(one_upstream(origin.address, client_bind_to_ipv4=["127.0.0.2"],
                              upstream={"bind_to": ["127.0.0.9"]}))
    assert parallel(proxy, 2) == ["127.0.0.9"] * 2


def test_upstreams_that_connect_from_elsewhere_share_nothing(weir, origin, connect):
    """nginx's proxy_bind: the source address is a part of the key, since servers may go by it."""
    config = one_upstream(origin.address, upstream={"bind_to": ["127.0.0.2"]})
    service = config["services"][0]
    for name, address in (("other", ["127.0.0.3"]), ("same", ["127.0.0.2"]), ("any", None)):
        service["upstreams"][name] = {"servers": [origin.address]}
        if address:
            service["upstreams"][name]["bind_to"] = address
        service["routes"].insert(0, {"path": f"/{name}", "upstream": name})
    proxy = weir(config)
    for _ in range(3):
        for target in ("/", "/other", "/same", "/any"):
            assert connect(proxy).get(target).status == 200
            proxy.wait_metric(0, "weir_pool_in_use_connections")
    assert sources(origin) == ["127.0.0.2", "127.0.0.3", "127.0.0.1"]
    targets = [[e.target for e in c.exchanges] for c in origin.connections]
    assert targets == [["/", "/same"] * 3, ["/other"] * 3, ["/any"] * 3]


def test_an_address_of_the_other_family_is_told(weir, origin, tmp_path):
    from weir import NotReady
    with pytest.raises(NotReady, match=r"weir.yaml:\d+:\d+: error: not an IPv4 address"):
        weir(one_upstream(origin.address, client_bind_to_ipv4=["::1"]))


def test_requests_pass_with_every_option_of_the_sockets_set(weir, origin, connect):
    proxy = weir(one_upstream(origin.address, upstream={"tcp": {
        "user_timeout": "5s", "fast_open": True, "dscp": 46, "receive_buffer": "64KiB"}}))
    for _ in range(3):
        client = connect(proxy)
        assert client.request("POST", body=b"x" * 100).status == 200
        client.close()
    assert len(origin.connections) == 1
