# SPDX-License-Identifier: MIT
"""Many clients at once before a weir that limits its connections, and what must be true after."""

from client import Client, request
from waiting import wait_until
from weir import one_upstream


def limited(origin, threads, maximum=4, size=1024, timeout="20s", **upstream):
    return one_upstream(origin.address, threads=threads, upstream={
        "max_connections": maximum, "queue": {"size": size, "timeout": timeout}, **upstream})


def waiting(proxy):
    return proxy.metric("weir_pool_waiting_requests")


def dialling(proxy):
    return proxy.metric("weir_pool_dialling_connections")


def waits(proxy):
    """How the waits of requests ended: result -> count."""
    return proxy.metrics().by("weir_pool_waits_total", "result")


class Crowd:
    """Clients that have sent a request and wait for its response."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.clients = []

    def come(self, target="/hold", method="GET", body=None):
        client = Client(self.proxy)
        client.send(request(method, target, body=body))
        self.clients.append(client)
        return client

    def close(self):
        for client in self.clients:
            client.close()


def check_books(proxy):
    """Nobody waits, nothing is in use, and what was opened was closed or is idle."""
    wait_until(lambda: proxy.metric("weir_pool_in_use_connections") == 0)
    assert waiting(proxy) == 0
    opened = proxy.metric("weir_upstream_connections_opened_total")
    closed = proxy.metric("weir_upstream_connections_closed_total")
    assert opened - closed == proxy.metric("weir_pool_idle_connections")
