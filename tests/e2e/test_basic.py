# SPDX-License-Identifier: MIT
"""One request through weir and the next one on the same upstream connection."""

import signal

import pytest

import sockets
from client import request
from framing import LAST_CHUNK, chunk
from origin import answer
from waiting import wait_until
from weir import one_upstream


def test_get_reaches_the_origin_and_its_answer_the_client(origin, proxy, connect):
    response = connect(proxy).get("/path?query=1")
    assert (response.status, response.body) == (200, b"GET /path?query=1\n")
    assert origin.targets == ["/path?query=1"]


def test_second_request_is_reused_and_everything_says_so(proxy, connect):
    client = connect(proxy)
    assert [(r.connection, r.ordinal) for r in (client.get(), client.get())] == [(1, 1), (1, 2)]
    proxy.wait_idle(1)
    metrics = proxy.metrics()
    assert metrics.by("weir_upstream_requests_total", "connection") == {"new": 1, "reused": 1}
    assert metrics.value("weir_upstream_connections_opened_total") == 1
    first, second = proxy.logged(2)
    assert (first["connection"], second["connection"]) == ("new", "reused")
    assert first["connection_id"] == second["connection_id"]
    assert (first["connection_requests"], second["connection_requests"]) == (1, 2)
    service = proxy.pools()["services"][0]
    peer = service["peers"][0]
    assert (peer["opened"], peer["reused"], peer["idle"], peer["in_use"]) == (1, 1, 1, 0)
    assert (service["pool"]["idle"], service["pool"]["in_use"]) == (1, 0)
    assert [c["requests"] for c in peer["connections"]] == [2]


def test_access_log_line_tells_the_exchange(origin, proxy, connect):
    connect(proxy).request("POST", "/a?b", body=b"12345", host="Example.test:80")
    line = proxy.logged(1)[0]
    expected = {"service": "edge", "method": "POST", "status": 200, "upstream": "web",
                "peer": origin.address, "attempts": 1, "protocol": "HTTP/1.1",
                "upstream_protocol": "http/1.1"}
    assert {key: line.get(key) for key in expected} == expected
    assert line["path"].startswith("/a") and line["host"].lower().startswith("example.test")
    assert line["client"].startswith("127.0.0.1")
    for name in ("request_bytes", "response_bytes", "duration_us"):
        assert line[name] > 0, name
    assert line["time"][10] == "T"


@pytest.mark.parametrize("awkward", ['/"quoted"', "/back\\slash"])
def test_access_log_escapes_what_clients_send(proxy, connect, awkward):
    connect(proxy).send(request(target=awkward))
    assert proxy.logged(1)[0]["path"] in (awkward, None)  # None: the target was refused


def test_head_has_no_body_and_the_connection_goes_on(proxy, connect):
    client = connect(proxy)
    response = client.request("HEAD", "/")
    assert (response.status, response.get("content-length")) == (200, "7")
    assert client.get().ordinal == 2


def test_post_bodies_arrive_whole_in_both_framings(origin, proxy, connect):
    client = connect(proxy)
    client.request("POST", "/length", body=b"hello")
    client.send(b"POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                chunk(b"hel"), chunk(b"lo"), LAST_CHUNK)
    assert client.receive().ordinal == 2
    assert [e.content for e in origin.exchanges] == [b"hello", b"hello"]


def test_empty_post_stays_empty(origin, proxy, connect):
    client = connect(proxy)
    client.request("POST", body=b"")
    assert origin.exchanges[0].get("content-length") == "0"


def test_trailers_pass_both_ways(origin, proxy, connect):
    origin.default = answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n"
                            b"\r\n" + chunk(b"hello") + b"0\r\nX-Sum: 42\r\n\r\n")
    client = connect(proxy)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"hi") + b"0\r\nX-Check: 1\r\n\r\n")
    response = client.receive()
    assert (response.body, response.trailers) == (b"hello", [("X-Sum", "42")])
    assert [(n.lower(), v) for n, v in origin.exchanges[0].trailers] == [("x-check", "1")]


# --- Fields ---


def test_forwarding_fields_are_added_and_host_passes(origin, proxy, connect):
    connect(proxy).request(host="www.example.test:8080")
    seen = origin.exchanges[0]
    assert seen.get("host") == "www.example.test:8080"
    assert seen.get("via") == "1.1 weir"
    assert seen.get("x-forwarded-for") == "127.0.0.1"
    assert seen.get("x-forwarded-proto") == "http"
    assert seen.get("x-forwarded-host") == "www.example.test:8080"


def test_forwarding_fields_that_came_are_continued(origin, proxy, connect):
    connect(proxy).get("/", "Via: 1.0 elder", "X-Forwarded-For: 192.0.2.1")
    assert origin.exchanges[0].get("via") == "1.0 elder, 1.1 weir"
    assert origin.exchanges[0].get("x-forwarded-for") == "192.0.2.1, 127.0.0.1"


def test_hop_by_hop_fields_of_a_request_stay_here(origin, proxy, connect):
    connect(proxy).get("/", "Connection: X-One, keep-alive", "X-One: 1", "connection: x-two",
                       "X-Two: 2", "Keep-Alive: timeout=9", "Proxy-Connection: keep-alive",
                       "TE: gzip", "Upgrade: h2c", "X-Stays: 3")
    seen = origin.exchanges[0]
    for name in ("x-one", "x-two", "keep-alive", "proxy-connection", "te", "upgrade"):
        assert seen.get(name) is None, name
    assert seen.get("x-stays") == "3"
    assert set(seen.head.tokens("connection")) <= {"keep-alive"}


def test_connection_cannot_name_away_what_weir_says(origin, proxy, connect):
    connect(proxy).get("/", "Connection: close, X-Forwarded-For, Host, Via")
    for name in ("host", "via", "x-forwarded-for"):
        assert origin.exchanges[0].get(name), name


def test_hop_by_hop_fields_of_a_response_stay_here(origin, proxy, connect):
    origin.default = answer(
        b"HTTP/1.1 200 OK\r\nConnection: X-One, keep-alive\r\nX-One: 1\r\n"
        b"Keep-Alive: timeout=60\r\nProxy-Connection: keep-alive\r\nX-Stays: 3\r\n"
        b"Content-Length: 0\r\n\r\n")
    client = connect(proxy)
    response = client.get()
    for name in ("x-one", "keep-alive", "proxy-connection"):
        assert response.get(name) is None, name
    assert response.get("x-stays") == "3"
    assert client.get().ordinal == 2


def test_end_to_end_fields_pass_untouched_and_in_order(origin, proxy, connect):
    fields = ["Cookie: a=1", "X-Empty:", "X-Twice: b", "x-twice: a",
              "Accept: */*;q=0.5,\ttext/html"]
    connect(proxy).get("/", *fields)
    seen = [(n.lower(), v) for n, v in origin.exchanges[0].head.fields]
    wanted = [("cookie", "a=1"), ("x-empty", ""), ("x-twice", "b"), ("x-twice", "a"),
              ("accept", "*/*;q=0.5,\ttext/html")]
    assert [field for field in seen if field in wanted] == wanted


# --- What the client's side does not do to the upstream's ---


def test_client_close_does_not_end_upstream_reuse(origin, proxy, connect):
    first, second = connect(proxy), connect(proxy)
    response = first.get("/", "Connection: close")
    assert "close" in response.head.tokens("connection")
    assert first.ended() == "fin"
    assert origin.exchanges[0].head.tokens("connection") != ["close"]
    assert (second.get().connection, second.get().ordinal) == (1, 3)


def test_http10_client_does_not_end_upstream_reuse(origin, proxy, connect):
    origin.default = answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                            + chunk(b"hello") + LAST_CHUNK)
    old = connect(proxy)
    old.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    response = old.receive()
    assert (response.body, response.framing, response.complete) == (b"hello", "close", True)
    assert origin.exchanges[0].version == "HTTP/1.1"
    assert connect(proxy).get().connection == 1


def test_http10_client_without_host_is_served(proxy, connect):
    client = connect(proxy)
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    assert client.receive().status == 200


def test_client_that_shuts_its_sending_side_gets_its_answer(proxy, connect):
    client = connect(proxy)
    client.send(request(target="/last"))
    client.half_close()
    assert client.receive().body == b"GET /last\n"
    assert client.ended() == "fin"


# --- Forms of the target ---


def test_absolute_form_becomes_origin_form_and_sets_host(origin, proxy, connect):
    client = connect(proxy)
    client.send(b"GET http://other.test/path?q HTTP/1.1\r\nHost: ignored.test\r\n\r\n")
    assert client.receive().status == 200
    assert (origin.exchanges[0].target, origin.exchanges[0].get("host")) == (
        "/path?q", "other.test")


def test_absolute_form_without_path_asks_for_the_root(origin, proxy, connect):
    client = connect(proxy)
    client.send(b"GET http://other.test HTTP/1.1\r\nHost: other.test\r\n\r\n")
    assert client.receive().status == 200
    assert origin.targets == ["/"]


def test_asterisk_form_passes_with_options(origin, proxy, connect):
    assert connect(proxy).request("OPTIONS", "*").status == 200
    assert origin.targets == ["*"]


# --- Ways to run it ---


def test_unix_sockets_on_both_sides(origins, weir, connect, tmp_path):
    origin = origins(f"unix:{tmp_path}/origin.sock")
    listen = f"unix:{tmp_path}/weir.sock"
    weir(one_upstream(origin.address, service={"listen": [listen]}))
    client = connect(listen)
    assert [client.get().ordinal, client.get().ordinal] == [1, 2]


def test_short_form_of_an_upstream(origin, weir, connect):
    config = one_upstream(service={"upstream": origin.url})
    del config["services"][0]["routes"], config["services"][0]["upstreams"]
    assert connect(weir(config)).get().status == 200


def test_one_liner_proxies_and_reuses(origins, weir, connect):
    one, two = origins(), origins()
    listen = sockets.free_address()
    proxy = weir(arguments=["--listen", listen, "--to", one.url, "--to", two.url, "--threads", "1"],
                 ready=listen)
    client = connect(proxy)
    assert [client.get().ordinal for _ in range(4)] == [1, 1, 2, 2]
    assert [len(one.exchanges), len(two.exchanges)] == [2, 2]
    assert [line["connection"] for line in proxy.logged(4)] == ["new", "new", "reused", "reused"]


DEMO = {"origin": "127.0.0.1:9001", "proxy": "127.0.0.1:8080", "admin": "127.0.0.1:6190"}


def test_demo_runs_an_origin_a_proxy_and_the_admin_page(weir, connect):
    wait_until(lambda: not any(map(sockets.accepts, DEMO.values())), 20,
               f"the demo's fixed addresses to be free: {DEMO}")
    demo = weir(arguments=["--demo", "--threads", "1"], ready=DEMO["proxy"])
    demo.admin = DEMO["admin"]
    wait_until(lambda: all(map(sockets.accepts, DEMO.values())), 5, "all three listening")
    client = connect(demo)
    assert (client.get().status, client.get().status) == (200, 200)
    assert demo.metric("weir_upstream_requests_total", connection="reused") == 1
    peers = [peer for service in demo.pools()["services"] for peer in service["peers"]]
    assert [(p["opened"], p["reused"]) for p in peers if p["opened"]] == [(1, 1)]
    wait_until(lambda: '"reused"' in demo.stdout, 5, "the access log on standard output")


def test_sigterm_right_after_the_start_is_clean(origin, weir):
    proxy = weir(one_upstream(origin.address))
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0
