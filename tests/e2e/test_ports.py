# SPDX-License-Identifier: MIT
"""Source ports and descriptors run out: an idle connection makes room, or it is said plainly."""

import ctypes
import os
import resource
import subprocess
import threading

import pytest

import sockets
from client import Client, request
from waiting import wait_until
from weir import one_upstream

CLONE_NEWNET = 0x40000000
PORTS = 20


@pytest.fixture
def few_ports():
    """This thread, and what it starts, in a network of its own with few ports to connect from."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    if libc.unshare(CLONE_NEWNET) != 0:
        os.close(home)
        pytest.skip(f"no network namespace here: {os.strerror(ctypes.get_errno())}")
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as ports:
            ports.write(f"40000 {40000 + PORTS - 1}")
        yield
    finally:
        assert libc.setns(home, CLONE_NEWNET) == 0
        os.close(home)


@pytest.fixture
def start(few_ports, weir, origins, tmp_path):
    """weir on a Unix socket, whose clients need no ports, before an origin that can hold."""
    def begin(**upstream):
        # Ports of servers lie outside of the few, which are all for weir's dials.
        origin = origins("127.0.0.1:18080")
        go = threading.Event()
        origin.paths["/hold"] = lambda exchange: (exchange.hold(go), exchange.respond())
        config = one_upstream(origin.address, threads=2, upstream=upstream, service={
            "listen": [f"unix:{tmp_path}/front"]})
        service = config["services"][0]
        service["upstreams"]["other"] = {**service["upstreams"]["web"], "group_key": 1}
        service["routes"].insert(0, {"path": "/other", "upstream": "other"})
        # Pages over TCP would use up ports too, by their connections that have ended.
        config["admin"] = {"listen": f"unix:{tmp_path}/admin"}
        return weir(config), origin, go
    return begin


def hold_all_ports(proxy, origin):
    """Requests until one is refused for want of a port; those that are held."""
    held = []
    while len(held) <= PORTS:
        client, before = Client(proxy), len(origin.exchanges)
        client.send(request(target="/hold"))
        wait_until(lambda: len(origin.exchanges) > before or errors(proxy) > 0)
        if errors(proxy) > 0:
            return held, client
        held.append(client)
    raise AssertionError("there are more ports than that")


def errors(proxy):
    return proxy.metric("weir_upstream_connect_errors_total", reason="no_ports")


def test_ports_used_up_are_told_and_come_back(start):
    proxy, origin, go = start()
    held, refused = hold_all_ports(proxy, origin)
    response = refused.receive()
    assert (response.status, response.error) == (503, "connection_limit_reached")
    refused.close()
    for _ in range(5):
        client = Client(proxy)
        assert client.get().status == 503
        client.close()
    assert errors(proxy) == 6, "one try each: no storm"
    go.set()
    for client in held:
        assert client.receive().status == 200
    assert held[0].get().status == 200
    for client in held:
        client.close()


def test_an_idle_connection_to_the_same_server_makes_room(start):
    proxy, origin, go = start()
    held, refused = hold_all_ports(proxy, origin)
    assert refused.receive().status == 503
    go.set()
    for client in held:
        assert client.receive().status == 200
    wait_until(lambda: proxy.metric("weir_pool_idle_connections") == len(held))
    closed = "weir_upstream_connections_closed_total"
    before = proxy.metric(closed, reason="evicted")
    assert held[0].get("/other").status == 200
    assert proxy.metric(closed, reason="evicted") == before + 1
    for client in [*held, refused]:
        client.close()


def test_an_idle_connection_makes_room_for_a_descriptor(weir, origins):
    """Any idle one of the process will do, the oldest goes."""
    servers = [origins() for _ in range(6)]
    config = one_upstream(servers[0].address, threads=2)
    service = config["services"][0]
    service["upstreams"] = {f"u{i}": {"servers": [o.address]} for i, o in enumerate(servers)}
    service["routes"] = [{"path": f"/{i}", "upstream": f"u{i}"} for i in range(6)]
    proxy = weir(config)
    client = Client(proxy)
    for i in range(5):
        assert client.get(f"/{i}").status == 200
    wait_until(lambda: proxy.metric("weir_pool_idle_connections") == 5)
    # A page's connection that is still being closed would leave a descriptor of its own.
    wait_until(lambda: sockets.open_here(proxy.admin) == 0)
    pid = proxy.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    lowest_free = next(n for n in range(1000) if not os.path.lexists(f"/proc/{pid}/fd/{n}"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free, before[1]))
    assert client.get("/5").status == 200
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    assert proxy.metric("weir_upstream_connections_closed_total", reason="evicted") == 1
    left = {p["upstream"] for p in proxy.pools()["services"][0]["peers"] if p["idle"]}
    assert "u0" not in left
    client.close()
