# SPDX-License-Identifier: MIT
"""weir learns when a server closes idle connections, and is earlier."""

import time

from waiting import wait_until
from weir import one_upstream

IDLE_S = 0.5


def peer_of(proxy):
    return proxy.pools()["services"][0]["peers"][0]


def closed(proxy, reason):
    return proxy.metric("weir_upstream_connections_closed_total", reason=reason)


def teach(proxy, connect):
    """Let the server close an idle connection so often that weir knows when it does."""
    before = 0
    while not peer_of(proxy)["learned_idle_timeout_ms"]:
        assert connect(proxy).get().status == 200
        wait_until(lambda: closed(proxy, "peer_closed") > before
                   or peer_of(proxy)["learned_idle_timeout_ms"])
        before = closed(proxy, "peer_closed")
        assert before < 10, "nothing was learned"


def test_the_idle_timeout_of_a_server_is_learned(weir, origin, connect):
    origin.idle_limit = lambda: IDLE_S
    proxy = weir(one_upstream(origin.address))
    teach(proxy, connect)
    learned = peer_of(proxy)["learned_idle_timeout_ms"]
    assert 0.7 * IDLE_S * 1000 < learned < 1.5 * IDLE_S * 1000
    before = closed(proxy, "peer_closed")
    assert connect(proxy).get().status == 200
    wait_until(lambda: closed(proxy, "learned_idle_timeout") == 1)
    assert closed(proxy, "peer_closed") == before


def test_what_was_learned_spares_requests_the_race(weir, origin, connect):
    """Requests at the very interval after which the server closes: GET and POST, no error."""
    origin.idle_limit = lambda: IDLE_S
    proxy = weir(one_upstream(origin.address))
    teach(proxy, connect)
    for i in range(8):
        time.sleep(IDLE_S + (i % 3 - 1) * 0.01)  # the interval under test
        method = "POST" if i % 2 else "GET"
        response = connect(proxy).request(method, body=b"x" if i % 2 else None)
        assert response.status == 200
    assert proxy.metric("weir_retries_total") == 0


def test_a_worker_that_sleeps_meanwhile_learns_too(weir, origin, connect):
    """Nothing turns its loop between the release and the server's end."""
    origin.idle_limit = lambda: IDLE_S
    proxy = weir(one_upstream(origin.address))
    for number in range(6):
        assert connect(proxy).get().status == 200
        wait_until(lambda: origin.connections[number].ended)
    assert peer_of(proxy)["learned_idle_timeout_ms"] > 0.7 * IDLE_S * 1000


def test_learning_can_be_turned_off(weir, origin, connect):
    origin.idle_limit = lambda: IDLE_S / 4
    proxy = weir(one_upstream(origin.address, upstream={"learn": False}))
    for i in range(5):
        assert connect(proxy).get().status == 200
        wait_until(lambda: closed(proxy, "peer_closed") == i + 1)
    assert peer_of(proxy)["learned_idle_timeout_ms"] is None
    assert closed(proxy, "learned_idle_timeout") == 0


def test_what_a_server_says_itself_needs_no_learning(weir, origin, connect):
    """`Keep-Alive: timeout=`: /pools tells it, and connections are retired before."""
    origin.default = lambda exchange: exchange.respond(fields=["Keep-Alive: timeout=5"])
    proxy = weir(one_upstream(origin.address))
    assert connect(proxy).get().status == 200
    wait_until(lambda: peer_of(proxy)["learned_idle_timeout_ms"] == 5000)
