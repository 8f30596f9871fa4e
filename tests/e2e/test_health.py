# SPDX-License-Identifier: MIT
"""Active health checks: servers that fail them get no requests until they pass again."""

import threading

import pytest

from client import Client
from waiting import wait_until
from weir import one_upstream

CHECKS = {"path": "/health?deep=1", "interval": "50ms", "timeout": "500ms", "rise": 2, "fall": 3}


class Ward:
    """An origin whose answer to the checks the test sets."""

    def __init__(self, origin):
        self.origin = origin
        self.answer = lambda exchange: exchange.respond()
        origin.paths["/health"] = lambda exchange: self.answer(exchange)

    def say(self, status):
        self.answer = lambda exchange: exchange.respond(status=status)

    def checks(self):
        return [e for e in self.origin.exchanges if e.target == "/health?deep=1"]

    def requests(self):
        return [e for e in self.origin.exchanges if e.target != "/health?deep=1"]


@pytest.fixture
def wards(weir, origins):
    def start(count, threads=2, **health):
        made = [Ward(origins()) for _ in range(count)]
        proxy = weir(one_upstream(*(ward.origin.address for ward in made), threads=threads,
                                  upstream={"health": {**CHECKS, **health}}))
        return proxy, made
    return start


def unwell(proxy):
    return proxy.metric("weir_upstream_unwell_servers")


def get_alone(proxy):
    client = Client(proxy)
    try:
        return client.get("/")
    finally:
        client.close()


def test_who_fails_is_left_out_until_he_passes(wards):
    proxy, (good, ill) = wards(2)
    wait_until(lambda: good.checks() and ill.checks())
    assert unwell(proxy) == 0
    ill.say("500 Internal Server Error")
    wait_until(lambda: unwell(proxy) == 1)
    # The other worker may be told a moment later.
    wait_until(lambda: get_alone(proxy).status == 200 and get_alone(proxy).status == 200)
    pools = {p["address"]: p["healthy"] for p in proxy.pools()["services"][0]["peers"]}
    assert pools == {good.origin.address: True, ill.origin.address: False}
    before = len(ill.requests())
    assert [get_alone(proxy).status for _ in range(20)] == [200] * 20
    assert len(ill.requests()) == before
    assert f"{ill.origin.address} fails its health checks: status 500" in proxy.stderr
    ill.say("204 No Content")
    wait_until(lambda: unwell(proxy) == 0)
    wait_until(lambda: get_alone(proxy).status == 200 and len(ill.requests()) > before)
    assert f"{ill.origin.address} is well again" in proxy.stderr
    passed = proxy.metric("weir_health_checks_total", result="passed")
    assert passed >= 3 and proxy.metric("weir_health_checks_total", result="failed") >= 3


def test_when_all_fail_requests_are_told_at_once(wards):
    proxy, (ill,) = wards(1, threads=1)
    ill.say("503 Service Unavailable")
    wait_until(lambda: unwell(proxy) == 1)
    response = get_alone(proxy)
    assert (response.status, response.error) == (503, "destination_unavailable")
    assert proxy.logged(1)[0]["error"] == "destination_unavailable"
    ill.say("200 OK")
    wait_until(lambda: get_alone(proxy).status == 200)


def test_so_many_in_a_row_and_no_fewer(wards):
    """Two that fail and one that passes, again and again: never three in a row."""
    proxy, (moody,) = wards(1, threads=1, interval="10ms")
    moody.answer = lambda exchange: exchange.respond(
        status="200 OK" if len(moody.checks()) % 3 == 0 else "500 Internal Server Error")
    wait_until(lambda: len(moody.checks()) > 30)
    assert unwell(proxy) == 0 and "fails its health checks" not in proxy.stderr


@pytest.mark.parametrize("how", ["silent", "refusing", "cut", "slow body", "nonsense"])
def test_each_way_to_fail(wards, how):
    proxy, (good, ill) = wards(2, threads=1, timeout="100ms", fall=2)
    over = threading.Event()

    def begin(exchange):
        exchange.send(exchange.head_of(1000), b"the beginning")
        exchange.hold(over)
    ill.answer = {
        "silent": lambda exchange: exchange.hold(over),
        "refusing": lambda exchange: exchange.respond(),
        "cut": lambda exchange: exchange.fin(),
        "slow body": begin,
        "nonsense": lambda exchange: (exchange.send(b"nonsense\r\n\r\n"), exchange.fin()),
    }[how]
    if how == "refusing":
        wait_until(ill.checks)
        ill.origin.close()
    wait_until(lambda: unwell(proxy) == 1)
    assert [get_alone(proxy).status for _ in range(4)] == [200] * 4
    assert len(good.requests()) == 4
    over.set()


def test_checks_have_connections_of_their_own(wards):
    """They are seen in no counter of requests, and no request ever meets one."""
    proxy, (ward,) = wards(1, threads=1, interval="10ms")
    assert [get_alone(proxy).status for _ in range(5)] == [200] * 5
    wait_until(lambda: len(ward.checks()) > 10)
    assert proxy.metric("weir_upstream_connections_opened_total") == 1
    assert proxy.metric("weir_upstream_requests_total") == 5
    used = {e.connection.number for e in ward.requests()}
    assert len(used) == 1
    for check in ward.checks():
        assert check.connection.number not in used and check.ordinal == 1
        assert check.get("connection") == "close" and check.get("user-agent") == "weir-health"
        assert check.get("host") == ward.origin.address


def test_weir_stops_while_checks_are_under_way(wards):
    proxy, (ward,) = wards(1, timeout="60s")
    over = threading.Event()
    ward.answer = lambda exchange: exchange.hold(over)
    wait_until(ward.checks)
    proxy.stop()
    over.set()
