# SPDX-License-Identifier: MIT
"""Servers that are given by name: asked for again and again, and drained when they are removed."""

import socket
import threading
import time

import pytest

import sockets
from client import Client, get_once, request
from waiting import PATIENCE, wait_until
from weir import one_upstream


@pytest.fixture
def named(weir, nameserver, origins):
    """weir in front of app.test, which has `count` addresses: name server, proxy, origins."""
    def start(count, known=None, **options):
        port = sockets.free_port()
        homes = [f"127.0.7.{i + 1}" for i in range(count)]
        made = [origins(f"{home}:{port}") for home in homes]
        names = nameserver({"app.test": homes if known is None else homes[:known]})
        proxy = weir(one_upstream(f"app.test:{port}", resolver=names.config, **options))
        return names, proxy, made, homes
    return start


def addresses(proxy):
    return {peer["address"].rpartition(":")[0] for peer in proxy.pools()["services"][0]["peers"]}


def idle_at(proxy, home):
    return sum(peer["idle"] for peer in proxy.pools()["services"][0]["peers"]
               if peer["address"].startswith(home + ":"))


def test_each_address_of_a_name_is_a_server(named, connect):
    _, proxy, made, homes = named(3)
    client = connect(proxy)
    assert [client.get().status for _ in range(9)] == [200] * 9
    assert [len(origin.exchanges) for origin in made] == [3, 3, 3]
    assert addresses(proxy) == set(homes)
    assert proxy.metric("weir_upstream_servers") == 3


def test_an_address_removed_under_load_costs_no_request(named):
    """Its idle connections go at once, the busy ones when they are released."""
    names, proxy, (stays, goes), homes = named(2, threads=2)
    let_go, over = threading.Event(), threading.Event()
    for origin in (stays, goes):
        origin.paths["/hold"] = lambda exchange: (exchange.hold(let_go), exchange.respond())
    statuses = []

    def load():
        client = Client(proxy)
        while not over.is_set():
            statuses.append(client.request("POST", "/load", body=b"x").status)
        client.close()
    # Two held requests, one at each server; then many short ones.
    held = [Client(proxy) for _ in range(4)]
    for client in held:
        client.send(request(target="/hold"))
    wait_until(lambda: all("/hold" in origin.targets for origin in (stays, goes)))
    loaders = [threading.Thread(target=load) for _ in range(4)]
    for loader in loaders:
        loader.start()
    wait_until(lambda: goes.targets.count("/load") > 20)
    names.change({"app.test": homes[:1]})
    wait_until(lambda: proxy.metric("weir_upstream_servers") == 1)
    # Every worker knows when this one is answered by each; no new request goes there.
    wait_until(lambda: idle_at(proxy, homes[1]) == 0)
    wait_until(lambda: all(connection.ended for connection in goes.connections
                           if connection.exchanges[-1:] and
                           connection.exchanges[-1].target != "/hold"))
    before = goes.targets.count("/load")
    count = len(statuses)
    wait_until(lambda: len(statuses) > count + 100)
    assert goes.targets.count("/load") == before
    busy = [c for c in goes.connections if not c.ended]
    assert busy, "requests are still under way there"
    let_go.set()
    assert [client.receive().status for client in held] == [200] * 4
    wait_until(lambda: all(connection.ended for connection in goes.connections))
    over.set()
    for loader in loaders:
        loader.join(30)
    for client in held:
        client.close()
    assert set(statuses) == {200}
    assert proxy.closed()["drained"] >= len(busy)
    assert proxy.not_kept()["peer_drained"] >= 1
    wait_until(lambda: addresses(proxy) == {homes[0]})


def waiting_at(proxy, home):
    return sum(peer["waiting"] for peer in proxy.pools()["services"][0]["peers"]
               if peer["address"].startswith(home + ":"))


def test_who_waits_for_a_removed_server_goes_elsewhere(named, crowd):
    """Requests in the queue of a server that is removed are served by another one."""
    names, proxy, origins, homes = named(
        2, threads=2, upstream={"max_connections": 1, "queue": {"timeout": "60s"}})
    stays, goes = origins
    let_go = {origin: threading.Event() for origin in origins}
    for origin in origins:
        origin.paths["/hold"] = lambda exchange, event=let_go[origin]: (
            exchange.hold(event), exchange.respond())
    clients = crowd(proxy)
    for number in (1, 2):
        clients.come()
        wait_until(lambda number=number: len(stays.targets + goes.targets) == number)
    assert stays.targets == goes.targets == ["/hold"]
    for number in range(6):
        clients.come("/queued")
        proxy.wait_metric(number + 1, "weir_pool_waiting_requests")
    queued = waiting_at(proxy, homes[1])
    assert queued > 0, "each worker's turns alternate"
    let_go[stays].set()
    wait_until(lambda: len(stays.targets) == 7 - queued)
    assert waiting_at(proxy, homes[1]) == queued
    names.change({"app.test": homes[:1]})
    wait_until(lambda: len(stays.targets) == 7)
    assert goes.targets == ["/hold"]
    let_go[goes].set()
    assert [client.receive().status for client in clients.clients] == [200] * 8
    assert proxy.metric("weir_pool_waits_total", result="drained") == queued


def test_a_new_address_gets_requests(named, connect):
    names, proxy, (first, second), homes = named(2, known=1)
    client = connect(proxy)
    assert client.get().status == 200
    names.change({"app.test": homes})
    wait_until(lambda: client.get().status == 200 and second.exchanges)
    assert first.connections[0].ended is None, "what stays keeps its connections"
    assert len(first.connections) == 1


def test_a_failing_resolver_keeps_the_last_answer(named, connect):
    names, proxy, (origin,), _ = named(1)
    client = connect(proxy)
    assert client.get().status == 200
    names.stop()
    wait_until(lambda: "cannot resolve app.test" in proxy.stderr, 15)
    assert client.get().status == 200
    assert len(origin.connections) == 1


def test_a_name_that_is_not_known_yet(weir, nameserver, origin, connect):
    """A request that comes before the first answer waits for it; without one it is told."""
    port = origin.address.rpartition(":")[2]
    names = nameserver({})
    proxy = weir(one_upstream(f"late.test:{port}", resolver=names.config))
    wait_until(lambda: "cannot resolve late.test" in proxy.stderr)
    response = connect(proxy).get()
    assert (response.status, response.error) == (502, "dns_error")
    assert proxy.logged(1)[0]["error"] == "dns_error"
    names.change({"late.test": ["127.0.0.1"]})
    wait_until(lambda: get_once(proxy, "/").status == 200, 10)


def test_requests_wait_for_the_first_answer(weir, nameserver, origin, connect):
    port = origin.address.rpartition(":")[2]
    names = nameserver({"app.test": ["127.0.0.1"]})
    names.pause()
    config = {**names.config, "timeout": "5s"}
    proxy = weir(one_upstream(f"app.test:{port}", resolver=config, threads=2))
    clients = [connect(proxy) for _ in range(8)]
    for client in clients:
        client.send(request())
    wait_until(lambda: proxy.metric("weir_downstream_connections") == 8)
    names.go_on()
    assert [client.receive().status for client in clients] == [200] * 8


def test_no_answer_at_all_is_504(weir, connect):
    """A name server that says nothing; the request's own time is over first."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        config = one_upstream("app.test:80", upstream={"total_connection_timeout": "300ms"},
                              resolver={"nameservers": ["127.0.0.1:%d" % silent.getsockname()[1]]})
        response = connect(weir(config)).get()
    assert (response.status, response.error) == (504, "dns_timeout")


def test_localhost_needs_no_name_server(weir, origin, connect):
    port = origin.address.rpartition(":")[2]
    proxy = weir(arguments=["--listen", (here := sockets.free_address()),
                            "--to", f"http://localhost:{port}"], ready=here)
    client = connect(proxy)
    assert [client.get().status for _ in range(4)] == [200] * 4


# --- Several addresses: whichever connects first (RFC 8305) ---


@pytest.mark.parametrize("balance", ["round_robin", "least_connections"])
def test_an_address_that_swallows_dials_costs_a_quarter_of_a_second(
        weir, nameserver, origins, connect, balance):
    hole = sockets.BlackHole("127.0.7.1")
    port = hole.address.rpartition(":")[2]
    origin = origins(f"127.0.7.2:{port}")
    names = nameserver({"app.test": ["127.0.7.1", "127.0.7.2"]})
    proxy = weir(one_upstream(f"app.test:{port}", resolver=names.config,
                              upstream={"balance": balance, "fail_timeout": "60s",
                                        "retry": {"attempts": 0}}))
    client = connect(proxy)
    began = time.monotonic()
    assert [client.get().status for _ in range(8)] == [200] * 8
    assert time.monotonic() - began < 2.5 * PATIENCE, "not the whole connection_timeout"
    assert len(origin.exchanges) == 8
    assert {line["peer"] for line in proxy.logged(8)} == {origin.address}
    hole.close()


def test_an_address_that_refuses_costs_nothing(weir, nameserver, origins, connect):
    """As with localhost, where a server listens on one of its two addresses only."""
    origin = origins("127.0.7.2:0")
    port = origin.address.rpartition(":")[2]
    names = nameserver({"app.test": ["127.0.7.1", "127.0.7.2", "127.0.7.3"]})
    proxy = weir(one_upstream(f"app.test:{port}", resolver=names.config,
                              upstream={"fail_timeout": "0", "retry": {"attempts": 0}}))
    client = connect(proxy)
    answers = [client.request("POST", body=b"x").status for _ in range(9)]
    assert answers == [200] * 9
    assert proxy.metric("weir_retries_total") == 0
    origin.close()
    wait_until(lambda: proxy.metric("weir_pool_idle_connections") == 0)
    response = client.get()
    assert (response.status, response.error) == (502, "connection_refused")
