# SPDX-License-Identifier: MIT
"""Configurations with upstreams over HTTP/2, and what weir tells of them."""

import threading

import tls
from client import Client, request
from waiting import wait_equal, wait_until
from weir import one_upstream


def over_h2(*servers, h2=None, upstream=None, **options):
    """One upstream of these servers, spoken with over HTTP/2 without TLS; `h2` are its settings."""
    told = {"protocol": "http2", **({"h2": h2} if h2 else {}), **(upstream or {})}
    return one_upstream(*servers, upstream=told, **options)


def over_tls(authority, *servers, protocol="auto", upstream=None, **options):
    """The same over TLS."""
    return tls.to_tls(authority, *(each.address for each in servers),
                      upstream={"protocol": protocol, **(upstream or {})}, **options)


def get_alone(proxy, target="/"):
    """A request on a client connection of its own, which any worker may get."""
    client = Client(proxy)
    try:
        return client.get(target)
    finally:
        client.close()


def opened(proxy):
    return proxy.metric("weir_upstream_connections_opened_total")


def streams_now(proxy):
    return proxy.metric("weir_pool_streams")


def retries(proxy, result="replayed"):
    return proxy.metric("weir_retries_total", result=result)


def goaways(proxy):
    return proxy.metric("weir_upstream_goaways_total")


def pings(proxy):
    return proxy.metrics().by("weir_upstream_h2_pings_total", "result")


def floods(proxy):
    return proxy.metrics().by("weir_upstream_h2_floods_total", "kind")


def connections(proxy):
    """What the pages tell of each connection of the one peer."""
    (peer,) = proxy.pools()["services"][0]["peers"]
    return peer["connections"]


def last_error(proxy, count):
    """Of the last of so many lines in the access log: what weir calls the error."""
    return proxy.logged(count)[count - 1]["error"]


def accepted(origin, count):
    """Wait until so many requests have come to the origin."""
    wait_until(lambda: len(origin.exchanges) >= count, 10, f"{count} requests at the origin")
    assert len(origin.exchanges) == count
    return origin.exchanges


class Holding:
    """Requests that the origin keeps waiting until the test releases them, all at /hold..."""

    def __init__(self, origin, crowd, proxy):
        self.origin, self.proxy = origin, proxy
        self.clients = crowd(proxy)
        self.go = threading.Event()
        origin.default = self.serve

    def serve(self, exchange):
        if exchange.target.startswith("/hold"):
            exchange.hold(self.go)
        exchange.respond()

    def come(self, count, together=False):
        """So many more requests, which are at the origin when this returns."""
        if together:
            with self.proxy.standing_still():
                for _ in range(count):
                    self.clients.come()
        else:
            for _ in range(count):
                self.clients.come()
        expected = len(self.clients.clients)
        wait_until(lambda: self.held() >= expected, 10, f"{expected} held requests at the origin")
        assert self.held() == expected

    def held(self):
        """How many have come to the origin."""
        return sum(exchange.target.startswith("/hold") for exchange in self.origin.exchanges)

    def finish(self):
        """Let all of them go; their responses."""
        self.go.set()
        responses = [client.receive() for client in self.clients.clients]
        assert [response.status for response in responses] == [200] * len(responses)
        return responses


def begin_post(client, target, length, part):
    """The head of a POST and a part of its body."""
    raw = request("POST", target, [f"Content-Length: {length}"])
    client.send(raw + part)


def check_quiet(proxy):
    """Nothing is in use, no stream is open, and the books balance."""
    wait_equal(lambda: (proxy.metric("weir_pool_in_use_connections"), streams_now(proxy)), (0, 0),
               what="connections in use and streams")
    metrics = proxy.metrics()
    assert metrics.value("weir_upstream_connections_opened_total") - metrics.value(
        "weir_upstream_connections_closed_total") == metrics.value("weir_pool_idle_connections")
