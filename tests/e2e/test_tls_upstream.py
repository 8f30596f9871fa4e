# SPDX-License-Identifier: MIT
"""TLS towards servers: handshakes, resumption, what is told of them, and how they fail."""

import threading

import pytest

import sockets
import tls
import websocket
from client import Client
from servers import HELLO, LARGE
from waiting import wait_until
from weir import one_upstream

versions = pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])


def handshakes(proxy):
    return proxy.metrics().by("weir_upstream_tls_handshakes_total", "result")


# --- A handshake, and what is told of it ---


@versions
def test_one_handshake_serves_many_requests_and_everything_says_so(behind, tls_origin, connect,
                                                                   version):
    proxy = behind(tls_origin, tls=tls.only(version))
    client = connect(proxy)
    assert [(r.connection, r.ordinal) for r in (client.get() for _ in range(5))] == [
        (1, ordinal) for ordinal in range(1, 6)]
    seen = tls_origin.connections[0]
    assert (seen.tls_version, seen.told_name, seen.resumed) == (version, tls.ORIGIN, False)
    assert handshakes(proxy) == {"full": 1}
    assert proxy.metric("weir_upstream_tls_duration_seconds_count") == 1
    lines = proxy.logged(5)
    assert [line["tls_version"] for line in lines] == [version] * 5
    assert [line["tls_resumed"] for line in lines] == [False] * 5
    assert [line["tls_us"] > 0 for line in lines] == [True] + [False] * 4
    assert [line["client_tls"] for line in lines] == [None] * 5
    peer = proxy.pools()["services"][0]["peers"][0]
    assert (peer["tls"], peer["sni"]) == (True, tls.ORIGIN)
    assert [(c["tls_version"], c["tls_resumed"]) for c in peer["connections"]] == [(version, False)]


def test_a_plain_upstream_tells_of_no_tls(proxy, connect):
    connect(proxy).get()
    line = proxy.logged(1)[0]
    assert (line["tls_us"], line["tls_version"], line["tls_resumed"]) == (0, None, None)
    assert (line["client_tls"], line["client_tls_resumed"], line["client_sni"]) == (None,) * 3
    assert proxy.pools()["services"][0]["peers"][0]["tls"] is False
    assert handshakes(proxy) == {}


def test_bodies_pass_whole_both_ways(behind, tls_origin, connect):
    tls_origin.paths["/echo"] = lambda exchange: exchange.respond(exchange.body())
    client = connect(behind(tls_origin))
    for size in (1, 16384, 16385, 3_000_000):
        body = (LARGE * (1 + size // len(LARGE)))[:size]
        response = client.request("POST", "/echo", body=body)
        assert response.body == body and response.complete
    assert len(tls_origin.connections) == 1


def test_websocket_through_tls_on_both_sides(behind, tls_origin, connect_tls, edge_certificate):
    tls_origin.default = websocket.echo
    client = connect_tls(behind(tls_origin, service={"listen": [tls.listener(edge_certificate)]}))
    client.send(websocket.UPGRADE)
    assert client.receive().status == 101
    for word in (b"hello", b"again"):
        client.send(websocket.frame(word, masked=True))
        assert websocket.read_frame(client.reader) == (websocket.TEXT, word)
    client.send(websocket.frame(b"", websocket.CLOSE, masked=True))
    assert websocket.read_frame(client.reader) == (websocket.CLOSE, b"")
    assert client.ended() == "fin"


def test_over_a_unix_socket(behind, tls_origins, connect, tmp_path):
    origin = tls_origins(address=f"unix:{tmp_path}/origin.sock")
    client = connect(behind(origin))
    assert [client.get().connection for _ in range(3)] == [1, 1, 1]
    assert origin.connections[0].told_name == tls.ORIGIN


def test_connections_kept_ready_have_done_their_handshake(behind, tls_origin, connect):
    proxy = behind(tls_origin, upstream={"min_idle": 2})
    proxy.wait_idle(2)
    assert len(tls_origin.handshakes) == 2
    assert connect(proxy).get().status == 200
    line = proxy.logged(1)[0]
    assert line["connection"] in ("reused", "taken_over") and line["tls_us"] == 0


def test_health_checks_speak_tls(behind, tls_origin):
    proxy = behind(tls_origin, upstream={"health": {"path": "/health", "interval": "50ms"}})
    wait_until(lambda: proxy.metric("weir_health_checks_total", result="passed") >= 2, 5,
               "checks that passed")
    assert proxy.metric("weir_health_checks_total", result="failed") == 0
    assert set(tls_origin.targets) == {"/health"}


def test_one_connection_serves_all_workers(behind, tls_origin):
    proxy = behind(tls_origin, threads=4)
    clients = []
    for _ in range(300):
        clients.append(Client(proxy))
        assert clients[-1].get().status == 200
        if len(clients) == 4:  # those that stay open send the next one to another worker
            clients.pop(0).close()
    for client in clients:
        client.close()
    more = proxy.dialled_besides(300)
    assert len(tls_origin.connections) <= 1 + more
    assert more or handshakes(proxy) == {"full": 1}
    by = proxy.metrics().by("weir_upstream_requests_total", "connection")
    assert 1 <= by["new"] <= 1 + more and sum(by.values()) == 300
    assert by["taken_over"] > 0, "the requests came to several workers"


# --- Which name is asked for ---


def test_without_sni_the_servers_name_is_asked_for(weir, nameserver, tls_origin, connect,
                                                   authority):
    names = nameserver({tls.ORIGIN: ["127.0.0.1"]})
    server = f"{tls.ORIGIN}:{tls_origin.address.rpartition(':')[2]}"
    proxy = weir(one_upstream(server, upstream={"tls": {"ca": authority.ca}},
                              resolver=names.config))
    assert connect(proxy).get().status == 200
    assert tls_origin.connections[0].told_name == tls.ORIGIN


def test_an_address_is_no_name_to_ask_for(weir, tls_origin, connect, authority):
    """RFC 6066 section 3; the certificate has the address, too."""
    proxy = weir(one_upstream(tls_origin.address, upstream={"tls": {"ca": authority.ca}}))
    assert connect(proxy).get().status == 200
    assert tls_origin.connections[0].told_name is None


@pytest.mark.parametrize("how", ["short", "empty"])
def test_short_forms_verify_by_the_ca_file_of_all(weir, tls_origin, connect, authority, how):
    config = one_upstream(tls_origin.address, upstream={"tls": {}}, ca_file=authority.ca)
    if how == "short":
        config["services"] = [{"name": "edge", "upstream": f"https://{tls_origin.address}"}]
    assert connect(weir(config)).get().status == 200
    assert tls_origin.connections[0].tls_version == "TLSv1.3"


def test_the_command_line_takes_https_and_verifies(weir, tls_origin, connect):
    """The system's authorities do not know the tests'."""
    address = sockets.free_address()
    weir(arguments=["--listen", address, "--to", f"https://{tls_origin.address}"], ready=address)
    response = connect(address).get()
    assert (response.status, response.error) == (502, "tls_certificate_error")


# --- Real servers ---


@versions
@pytest.mark.parametrize("name", ["nginx", "caddy"])
def test_a_thousand_requests_and_one_handshake(behind, server, connect, origin_certificate, name,
                                               version):
    proxy = behind(server(name, certificate=origin_certificate), tls=tls.only(version))
    client = connect(proxy)
    labels = set()
    for _ in range(1000):
        response = client.get("/hello.txt")
        assert response.body == HELLO
        labels.add(response.get("x-connection") or response.get("x-remote"))
    assert len(labels) == 1 and handshakes(proxy) == {"full": 1}
    assert client.get("/large.txt").body == LARGE


def check_resumed(proxy, response, name):
    resumed, _, asked_for = response.get("x-tls").split(" ")
    assert (resumed, asked_for) == ({"nginx": "r", "caddy": "true"}[name], tls.ORIGIN)
    first, second = proxy.logged(2)
    assert (first["tls_resumed"], second["tls_resumed"]) == (False, True)
    assert second["connection"] == "new" and second["tls_us"] > 0
    assert handshakes(proxy) == {"full": 1, "resumed": 1}


@versions
@pytest.mark.parametrize("name", ["nginx", "caddy"])
def test_the_dial_after_an_idle_timeout_resumes(behind, server, connect, origin_certificate, name,
                                                version):
    proxy = behind(server(name, certificate=origin_certificate), tls=tls.only(version),
                   upstream={"idle_timeout": "200ms"})
    client = connect(proxy)
    assert client.get("/hello.txt").body == HELLO
    wait_until(proxy.closed, 5, "the idle connection closed")
    assert proxy.closed() == {"idle_timeout": 1}
    check_resumed(proxy, client.get("/hello.txt"), name)


@pytest.mark.parametrize("name, option", [("nginx", "keepalive_timeout"), ("caddy", "idle")])
def test_the_dial_after_the_server_closed_resumes(behind, server, connect, origin_certificate,
                                                  name, option):
    proxy = behind(server(name, certificate=origin_certificate, **{option: "1s"}))
    client = connect(proxy)
    assert client.get("/hello.txt").body == HELLO
    wait_until(proxy.closed, 5, "the server closed its idle connection")
    assert proxy.closed() == {"peer_closed": 1}
    check_resumed(proxy, client.get("/hello.txt"), name)


# --- Resumption ---


def dial_often(proxy, connect, origin, count=3):
    """So many dials: the origin ends each connection behind its response."""
    origin.default = lambda exchange: (exchange.respond(), exchange.fin())
    for number in range(count):
        assert connect(proxy).get().connection == number + 1
        wait_until(lambda number=number: sum(proxy.closed().values()) == number + 1)
    return [connection.resumed for connection in origin.connections]


@versions
def test_each_dial_resumes_and_gets_a_session_for_the_next(behind, tls_origin, connect, version):
    """TLS 1.3 tickets are for one use (RFC 8446 appendix C.4)."""
    proxy = behind(tls_origin, tls=tls.only(version))
    assert dial_often(proxy, connect, tls_origin) == [False, True, True]
    assert handshakes(proxy) == {"full": 1, "resumed": 2}


def test_resumption_may_be_turned_off(behind, tls_origin, connect):
    proxy = behind(tls_origin, tls={"session_resumption": False})
    assert dial_often(proxy, connect, tls_origin) == [False, False, False]


def test_a_session_that_the_server_forgot_costs_a_full_handshake_only(behind, tls_origins, connect,
                                                                      origin_certificate):
    origin = tls_origins()
    proxy = behind(origin)
    assert dial_often(proxy, connect, origin, 1) == [False]
    origin.tls = tls.server_context(origin_certificate)  # other keys for its tickets
    assert connect(proxy).get().status == 200
    assert [connection.resumed for connection in origin.connections] == [False, False]


# --- Client certificates ---


@versions
def test_a_client_certificate_is_shown(behind, tls_origins, connect, authority, version):
    origin = tls_origins(client_ca=authority.ca)
    alice = authority.client("alice")
    proxy = behind(origin, tls={**tls.only(version), **alice.files})
    assert connect(proxy).get().status == 200
    assert origin.connections[0].client_name == "alice"


@versions
def test_a_server_that_wants_a_client_certificate_says_so(behind, tls_origins, connect, authority,
                                                          version):
    """In TLS 1.3 the alert comes when weir is done with the handshake."""
    origin = tls_origins(client_ca=authority.ca)
    response = connect(behind(origin, tls=tls.only(version))).get()
    assert (response.status, response.error) == (502, "tls_alert_received")
    assert origin.exchanges == []


# --- Handshakes that fail ---


@pytest.fixture
def speaker():
    """A server that says the same to everybody: speaker(b"hello"); its address."""
    made = []

    def start(words):
        listener, address = sockets.listen()
        made.append(listener)

        def serve():
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                sock.recv(1 << 16)
                sock.sendall(words)
                sock.close()

        threading.Thread(target=serve, daemon=True).start()
        return address

    yield start
    for listener in made:
        listener.shutdown(2)
        listener.close()


def get_failed(weir, connect, authority, address, **upstream):
    """The response, and the line of the log."""
    proxy = weir(tls.to_tls(authority, address, upstream=upstream))
    response = connect(proxy).get()
    line = proxy.logged(1)[0]
    assert handshakes(proxy)["failed"] >= 1
    assert line["error"] and line["tls_version"] is None
    return response


def test_a_server_that_does_not_speak_tls(weir, connect, authority, speaker):
    address = speaker(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    response = get_failed(weir, connect, authority, address)
    assert (response.status, response.error) == (502, "tls_protocol_error")


def test_a_server_that_ends_within_the_handshake(weir, connect, authority, speaker):
    response = get_failed(weir, connect, authority, speaker(b""))
    assert response.status == 502 and response.error


def test_a_server_that_says_nothing(weir, connect, authority):
    listener, address = sockets.listen()
    response = get_failed(weir, connect, authority, address, connection_timeout="300ms",
                          total_connection_timeout="300ms")
    assert (response.status, response.error) == (504, "connection_timeout")
    listener.close()


def test_no_version_in_common(behind, tls_origins, connect):
    origin = tls_origins("TLSv1.2")
    response = connect(behind(origin, tls={"min_version": 1.3})).get()
    assert response.status == 502
    assert response.error in ("tls_alert_received", "tls_protocol_error")
    wait_until(lambda: origin.connections[0].ended == "refused")


def test_another_server_is_tried_when_a_handshake_fails(behind, tls_origins, connect, stranger):
    bad, good = tls_origins(certificate=stranger.issue(tls.ORIGIN)), tls_origins()
    client = connect(behind(bad, good))
    assert [client.request("POST", body=b"x").status for _ in range(6)] == [200] * 6
    assert len(good.exchanges) == 6 and bad.received == b""


def test_another_address_of_the_name_is_tried_when_one_hangs_in_tls(weir, nameserver, tls_origins,
                                                                    connect, authority):
    port = sockets.free_port()
    silent, _ = sockets.listen(f"127.0.7.1:{port}")
    tls_origins(address=f"127.0.7.2:{port}")
    names = nameserver({tls.ORIGIN: ["127.0.7.1", "127.0.7.2"]})
    proxy = weir(one_upstream(f"{tls.ORIGIN}:{port}", resolver=names.config,
                              upstream={"tls": {"ca": authority.ca}}))
    assert [connect(proxy).get().status for _ in range(4)] == [200] * 4
    silent.close()
