# SPDX-License-Identifier: MIT
"""GOAWAY and REFUSED_STREAM: what the server says it has not processed is sent once more, whatever
its method, and nothing else is."""

import collections
import threading

import pytest

from h2_upstream import (Holding, accepted, begin_post, check_quiet, goaways, last_error, opened,
                         over_h2, retries)
from waiting import wait_equal, wait_until

COUNT = 100
KIB64 = 64 * 1024


class Ledger:
    """An origin that echoes bodies when it is told to, and the proof of what it has processed."""

    def __init__(self, origin):
        self.origin = origin
        self.go = threading.Event()
        origin.default = self.serve

    def serve(self, stream):
        stream.body()
        stream.hold(self.go)
        stream.respond(stream.body())

    def processed(self):
        """Every body that was answered, and how often."""
        return collections.Counter(bytes(s.content) for s in self.origin.streams if s.answered)

    def check(self, bodies):
        assert self.processed() == collections.Counter(bodies), "one was lost or done twice"


@pytest.fixture
def ledger(h2_origin):
    made = Ledger(h2_origin)
    yield made
    made.go.set()


def body_of(number):
    return b"number %d;" % number


def come(clients, numbers):
    return [clients.come(f"/{number}", "POST", body_of(number)) for number in numbers]


def whole(origin, count):
    """Wait until so many requests have come whole; the connection of the first."""
    accepted(origin, count)
    wait_until(lambda: all(stream.complete for stream in origin.streams), 5, "whole requests")
    return origin.connections[0]


def check_answers(clients, numbers):
    for client, number in zip(clients, numbers):
        response = client.receive()
        assert (response.status, response.body) == (200, body_of(number))


# --- GOAWAY ---


def test_goaway_in_the_middle_of_100_posts(h2_origin, h2_proxy, crowd, ledger):
    """Exactly the unprocessed half is sent again, none is lost and none is done twice."""
    clients = come(crowd(h2_proxy), range(COUNT))
    first = whole(h2_origin, COUNT)
    last = first.streams[COUNT // 2 - 1].id
    above = {bytes(s.content) for s in first.streams if s.id > last}
    first.say_goaway(last)
    accepted(h2_origin, COUNT + COUNT // 2)
    ledger.go.set()
    check_answers(clients, range(COUNT))
    ledger.check(map(body_of, range(COUNT)))
    assert {bytes(s.content) for s in h2_origin.connections[1].streams} == above
    assert (retries(h2_proxy), retries(h2_proxy, "refused")) == (COUNT // 2, 0)
    wait_equal(h2_proxy.closed, {"goaway": 1})
    assert goaways(h2_proxy) == 1 and opened(h2_proxy) == 2
    wait_until(lambda: first.ended == "fin")
    lines = h2_proxy.logged(COUNT)
    assert sorted(line["attempts"] for line in lines) == [1] * 50 + [2] * 50
    assert {line["retried"] for line in lines} == {None, "stream_refused"}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("at", [1, 37])
def test_goaway_while_they_are_still_coming(weir, h2_origin, crowd, ledger, at, threads):
    """Those that came are answered; some come when it is known, and some were on their way."""
    proxy = weir(over_h2(h2_origin.address, threads=threads))

    def say(stream):
        stream.body()
        stream.connection.say_goaway()
        ledger.serve(stream)

    h2_origin.at[1, at] = say
    ledger.go.set()
    clients = come(crowd(proxy), range(COUNT))
    check_answers(clients, range(COUNT))
    ledger.check(map(body_of, range(COUNT)))
    assert proxy.metric("weir_retries_total", result="refused") == 0
    check_quiet(proxy)


def test_goaway_again_and_again(weir, h2_origin, crowd, ledger):
    """Each of the first connections ends after seven more: a request may be refused only so often,
    and what is refused at last was not processed."""
    proxy = weir(over_h2(h2_origin.address, upstream={"retry": {"budget": "100%"}}))

    def maybe(stream):
        stream.body()
        if stream.ordinal == 7 and stream.connection.number <= 5:
            stream.connection.say_goaway()
        ledger.serve(stream)

    h2_origin.default = maybe
    ledger.go.set()
    clients = come(crowd(proxy), range(60))
    done = []
    for number, client in enumerate(clients):
        response = client.receive()
        assert response.status in (200, 502)
        if response.status == 200:
            assert response.body == body_of(number)
            done.append(body_of(number))
    ledger.check(done)
    assert len(done) >= 35


def test_bodies_that_are_still_coming_go_on_at_another_connection(h2_origin, h2_proxy, connect,
                                                                  ledger):
    clients = [connect(h2_proxy) for _ in range(20)]
    for number, client in enumerate(clients):
        body = body_of(number)
        begin_post(client, f"/{number}", len(body), body[:5])
        accepted(h2_origin, number + 1)
    first = h2_origin.connections[0]
    first.say_goaway(first.streams[9].id)
    accepted(h2_origin, 30)
    ledger.go.set()
    for number, client in enumerate(clients):
        client.send(body_of(number)[5:])
    check_answers(clients, range(20))
    ledger.check(map(body_of, range(20)))


def test_goaway_in_two_steps(h2_origin, h2_proxy, connect, crowd):
    """The first says only: no more from now on. Nothing is sent again for it."""
    held = Holding(h2_origin, crowd, h2_proxy)
    held.come(5)
    first = h2_origin.connections[0]
    first.say_goaway(2**31 - 1)
    first.ping()
    assert connect(h2_proxy).get().connection == 2
    first.say_goaway(first.streams[-1].id)
    first.ping()
    assert connect(h2_proxy).get().connection == 2
    assert [response.connection for response in held.finish()] == [1] * 5
    wait_equal(h2_proxy.closed, {"goaway": 1})
    assert (goaways(h2_proxy), retries(h2_proxy)) == (1, 0)


def test_goaway_on_an_idle_connection_costs_no_request(h2_origin, h2_proxy, connect):
    client = connect(h2_proxy)
    for number in range(1, 4):
        assert client.request("POST", body=b"x").connection == number
        h2_origin.connections[-1].say_goaway()
        wait_equal(h2_proxy.closed, {"goaway": number})
        wait_until(lambda: h2_origin.connections[-1].ended == "fin")
    assert retries(h2_proxy) == 0


@pytest.mark.parametrize("error", ["NO_ERROR", "ENHANCE_YOUR_CALM", "INTERNAL_ERROR"])
def test_goaway_with_a_code_leaves_the_rest_to_the_last_id(h2_origin, h2_proxy, crowd, ledger,
                                                           error):
    clients = come(crowd(h2_proxy), range(4))
    first = whole(h2_origin, 4)
    first.say_goaway(first.streams[1].id, error)
    accepted(h2_origin, 6)
    ledger.go.set()
    check_answers(clients, range(4))
    ledger.check(map(body_of, range(4)))


def test_goaway_and_the_end_at_once(h2_origin, h2_proxy, crowd, ledger):
    """What was above the last id is sent again; a POST below it may have been done: 502."""
    clients = come(crowd(h2_proxy), range(6))
    first = whole(h2_origin, 6)
    last = first.streams[2].id
    below = [bytes(s.content) for s in first.streams if s.id <= last]
    first.say_goaway(last)
    first.close()
    ledger.go.set()
    statuses = {body_of(number): client.receive().status for number, client in enumerate(clients)}
    assert statuses == {body_of(at): 502 if body_of(at) in below else 200 for at in range(6)}
    ledger.check(body for body, status in statuses.items() if status == 200)


def test_a_server_that_never_takes_anything_is_not_asked_for_ever(h2_origin, h2_proxy, connect):
    h2_origin.default = lambda stream: stream.connection.say_goaway(0)
    response = connect(h2_proxy).request("POST", body=b"x")
    assert (response.status, response.error) == (502, "connection_terminated")
    assert last_error(h2_proxy, 1) == "stream_refused"
    assert 2 <= len(h2_origin.streams) <= 10
    check_quiet(h2_proxy)


# --- REFUSED_STREAM ---


@pytest.mark.parametrize("method", ["GET", "POST", "BREW"])
@pytest.mark.parametrize("ordinal", [1, 2], ids=["fresh", "reused"])
def test_a_refused_stream_is_sent_again(h2_origin, h2_proxy, connect, method, ordinal):
    client = connect(h2_proxy)
    if ordinal == 2:
        client.get()
    h2_origin.at[1, ordinal] = lambda stream: (stream.body(), stream.reset("REFUSED_STREAM"))
    response = client.request(method, "/again", body=b"hello" if method == "POST" else None)
    assert response.status == 200
    first, second = [s for s in h2_origin.streams if s.target == "/again"]
    assert first.fields == second.fields and first.content == second.content
    assert (first.over, second.answered) == (True, True)
    assert (retries(h2_proxy), retries(h2_proxy, "refused")) == (1, 0)
    line = h2_proxy.logged(ordinal)[-1]
    assert (line["attempts"], line["retried"]) == (2, "stream_refused")


def test_one_refused_stream_disturbs_no_other(h2_origin, h2_proxy, crowd, ledger):
    h2_origin.at[1, 3] = lambda stream: (stream.body(), stream.reset("REFUSED_STREAM"))
    clients = come(crowd(h2_proxy), range(6))
    accepted(h2_origin, 7)
    ledger.go.set()
    check_answers(clients, range(6))
    ledger.check(map(body_of, range(6)))


def test_refusing_always_is_502_before_long(h2_origin, h2_proxy, connect):
    h2_origin.default = lambda stream: (stream.body(), stream.reset("REFUSED_STREAM"))
    response = connect(h2_proxy).request("POST", body=b"x")
    assert (response.status, response.error) == (502, "connection_terminated")
    assert last_error(h2_proxy, 1) == "stream_refused"
    assert 2 <= len(h2_origin.streams) <= 10
    assert retries(h2_proxy, "refused") == 1
    check_quiet(h2_proxy)


@pytest.mark.parametrize("how", ["refused", "goaway"])
@pytest.mark.parametrize("size, again", [(KIB64, True), (KIB64 + 1, False), (1 << 20, False)])
def test_body_is_sent_again_only_if_it_fits_the_buffer(h2_origin, h2_proxy, connect, size, again,
                                                       how):
    def refuse(stream):
        stream.body()
        if how == "goaway":
            stream.connection.say_goaway(0)
        else:
            stream.reset("REFUSED_STREAM")
    h2_origin.at[1, 1] = refuse
    body = bytes(range(256)) * 4097
    response = connect(h2_proxy).request("POST", body=body[:size])
    if again:
        assert response.status == 200 and h2_origin.streams[1].content == body[:size]
    else:
        assert (response.status, response.error) == (502, "connection_terminated")
        assert len(h2_origin.streams) == 1
        assert retries(h2_proxy, "refused") == 1


def test_refused_while_its_body_comes(h2_origin, h2_proxy, connect):
    """What came goes to the next try, and the rest follows it there."""
    h2_origin.at[1, 1] = lambda stream: (stream.some(5), stream.reset("REFUSED_STREAM"))
    client = connect(h2_proxy)
    begin_post(client, "/", 11, b"hello")
    accepted(h2_origin, 2)
    client.send(b" world")
    assert client.receive().status == 200
    assert h2_origin.streams[1].content == b"hello world"


def test_another_server_may_take_what_one_refused(weir, h2_origins, connect):
    sulky, kind = h2_origins(), h2_origins()
    sulky.default = lambda stream: (stream.body(), stream.reset("REFUSED_STREAM"))
    client = connect(weir(over_h2(sulky.address, kind.address,
                                  upstream={"retry": {"budget": "100%"}})))
    statuses = [client.request("POST", f"/{at}", body=b"x").status for at in range(6)]
    answered = [s.target for s in kind.streams]
    assert len(set(answered)) == len(answered), "twice"
    assert statuses.count(200) == len(answered) >= 3
