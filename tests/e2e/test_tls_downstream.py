# SPDX-License-Identifier: MIT
"""TLS towards clients: versions, names, sessions, certificates of clients, ends."""

import base64
import signal
import ssl
import subprocess

import pytest

import authority as certificates
import s_client
import tls
from client import request
from servers import find
from waiting import PATIENCE, wait_until

versions = pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])


def handshakes(proxy):
    return proxy.metrics().by("weir_downstream_tls_handshakes_total", "result")


def flag(version):
    return {"TLSv1.2": "-tls1_2", "TLSv1.3": "-tls1_3"}[version]


# --- Requests ---


def curl(proxy, authority, *options):
    port = proxy.address.rpartition(":")[2]
    done = subprocess.run(
        [find("curl"), "--silent", "--show-error", "--max-time", str(10 * PATIENCE), "--cacert",
         authority.ca, "--resolve", f"{tls.EDGE}:{port}:127.0.0.1", *options,
         f"https://{tls.EDGE}:{port}/"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("version, options", [
    ("TLSv1.2", ["--tlsv1.2", "--tls-max", "1.2"]), ("TLSv1.3", ["--tlsv1.3"])])
def test_curl_verifies_and_gets(edge, authority, origin, version, options):
    proxy = edge()
    out = curl(proxy, authority, "--write-out", "%{http_version} %{ssl_verify_result}", *options)
    assert out == b"GET /\n2 0"
    line = proxy.logged(1)[0]
    assert (line["client_tls"], line["client_sni"]) == (version, tls.EDGE)
    assert (line["tls_version"], line["client_tls_resumed"]) == (None, False)
    assert handshakes(proxy) == {"full": 1}
    assert origin.exchanges[0].get("x-forwarded-proto") == "https"


@versions
def test_many_requests_on_one_connection(edge, connect_tls, version):
    proxy = edge()
    client = connect_tls(proxy, version)
    for ordinal in range(1, 101):
        assert client.get().ordinal == ordinal
    client.send(request(target="/pipelined") * 10)
    assert [client.receive().body for _ in range(10)] == [b"GET /pipelined\n"] * 10
    assert handshakes(proxy) == {"full": 1}


@versions
def test_bodies_pass_whole_both_ways(edge, connect_tls, origin, version):
    origin.paths["/echo"] = lambda exchange: exchange.respond(exchange.body())
    client = connect_tls(edge(), version)
    for size in (1, 16384, 16385, 3_000_000):
        body = (bytes(range(251)) * (1 + size // 251))[:size]
        assert client.request("POST", "/echo", body=body).body == body


def test_a_request_may_come_byte_by_byte(edge, connect_tls):
    """Each in a record of its own."""
    client = connect_tls(edge())
    client.send(*[bytes([byte]) for byte in request("POST", body=b"hello")])
    assert client.receive().status == 200


def test_the_origin_hears_which_scheme_it_was(edge, connect_tls, connect, origin,
                                              edge_certificate):
    proxy = edge(service={"listen": [tls.listener(edge_certificate), {}]})
    connect_tls(proxy).get("/tls")
    connect(proxy.listeners[0][1]).get("/plain")
    told = [exchange.get("x-forwarded-proto") for exchange in origin.exchanges]
    assert told == ["https", "http"]


def test_over_a_unix_socket(edge, connect_tls, edge_certificate, tmp_path):
    listen = {"address": f"unix:{tmp_path}/edge.sock", **tls.listener(edge_certificate)}
    client = connect_tls(edge(service={"listen": [listen]}))
    assert [client.get().status for _ in range(3)] == [200] * 3


def test_four_workers_serve_many_clients(edge, connect_tls, origin):
    proxy = edge(threads=4)
    for _ in range(40):
        client = connect_tls(proxy)
        assert client.get().status == 200
        client.close()
    assert handshakes(proxy) == {"full": 40} and len(origin.connections) == 1
    turns = proxy.metrics().by("weir_loop_longest_turn_seconds", "worker")
    assert 0 < max(turns.values()) < 10


# --- Names ---


@pytest.fixture
def named(edge, authority):
    """weir with certificates for many names, and what each of them looks like to a client."""
    more = {"a.test": authority.issue("a.test"),
            "b.test": authority.issue("b.test", "c.test"),
            "*.wild.test": authority.issue("*.wild.test")}
    proxy = edge(tls={"certificates": [each.files for each in more.values()]})
    return proxy, {name: tls.leaf(certificate) for name, certificate in more.items()}


@pytest.mark.parametrize("name, expected", [
    ("a.test", "a.test"), ("A.Test", "a.test"), ("b.test", "b.test"), ("c.test", "b.test"),
    ("x.wild.test", "*.wild.test"), ("x.y.wild.test", None), ("wild.test", None),
    ("unknown.test", None), (tls.EDGE, None), (None, None)])
def test_the_name_chooses_the_certificate(named, connect, edge_certificate, name, expected):
    proxy, leaves = named
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = connect(proxy, tls=context, name=name)
    assert client.get().status == 200
    shown = client.sock.getpeercert(binary_form=True)
    assert shown == (leaves[expected] if expected else tls.leaf(edge_certificate))
    told = proxy.logged(1)[0]["client_sni"]
    assert (told or "").lower() == (name or "").lower()


def test_the_chain_is_sent(edge, authority):
    done = s_client.s_client(edge(), "-CAfile", authority.ca, "-servername", tls.EDGE,
                             "-verify_return_error")
    assert "Verify return code: 0 (ok)" in done.text, done.text


def test_an_rsa_certificate_serves_both_versions(weir, origin, connect_tls, authority):
    rsa = authority.issue(tls.EDGE, key=certificates.RSA)
    proxy = weir(tls.from_tls(rsa, origin.address))
    for version in tls.VERSIONS:
        assert connect_tls(proxy, version).get().status == 200


# --- Sessions ---


@versions
def test_a_session_is_resumed(edge, connect, authority, version):
    proxy = edge()
    context = tls.client_context(authority, version)
    first = connect(proxy, tls=context)
    first.get()
    again = connect(proxy, tls=context, session=first.sock.session)
    assert again.sock.session_reused and again.get().status == 200
    assert [line["client_tls_resumed"] for line in proxy.logged(2)] == [False, True]
    assert handshakes(proxy) == {"full": 1, "resumed": 1}


@versions
def test_s_client_resumes(edge, tmp_path, version):
    proxy, session = edge(), tmp_path / "session"
    first = s_client.get(proxy, flag(version), "-sess_out", session)
    assert first.cipher and not first.resumed
    assert s_client.get(proxy, flag(version), "-sess_in", session).resumed


def test_early_data_is_not_offered(edge):
    """It could be replayed by anybody (RFC 8446 section 8)."""
    done = s_client.get(edge(), "-tls1_3")
    assert set(filter(None, [done.find(r"Max Early Data: (\d+)")])) <= {"0"}, done.text


@versions
def test_all_workers_know_the_same_sessions(edge, connect, authority, version):
    proxy = edge(threads=4)
    context = tls.client_context(authority, version)
    first = connect(proxy, tls=context)
    first.get()
    clients = [connect(proxy, tls=context, session=first.sock.session) for _ in range(8)]
    assert [client.sock.session_reused for client in clients] == [True] * 8
    assert [client.get().status for client in clients] == [200] * 8


@versions
def test_sessions_may_be_turned_off(edge, connect, authority, version):
    proxy = edge(tls={"session_tickets": False})
    context = tls.client_context(authority, version)
    first = connect(proxy, tls=context)
    first.get()
    again = connect(proxy, tls=context, session=first.sock.session)
    assert again.get().status == 200 and not again.sock.session_reused


# --- Certificates of clients ---


@pytest.fixture
def guarded(edge, authority):
    return lambda kind: edge(tls={"client_ca": authority.ca, "client_cert": kind})


@versions
@pytest.mark.parametrize("kind", ["required", "optional"])
def test_a_good_client_certificate_is_taken(guarded, connect_tls, authority, version, kind):
    alice = authority.client("alice")
    assert connect_tls(guarded(kind), version, alice).get().status == 200


@versions
def test_the_origin_hears_of_the_clients_certificate(guarded, connect_tls, authority, origin,
                                                     version):
    """RFC 9440; and what clients say of themselves under that name is not passed on."""
    alice = authority.client("alice")
    proxy = guarded("optional")
    claims = ("Client-Cert: :bWFsbG9yeQ==:", "Client-Cert-Chain: :bWFsbG9yeQ==:",
              "Connection: client-cert")
    connect_tls(proxy, version, alice).get("/alice", *claims)
    connect_tls(proxy, version).get("/nobody", *claims)
    told, silent = origin.exchanges
    shown = base64.b64decode(told.get("client-cert").strip(":"))
    assert shown == tls.leaf(alice) and told.get("client-cert-chain") is None
    assert silent.get("client-cert") is None and silent.get("client-cert-chain") is None


def test_a_plain_listener_beside_it_passes_no_claims_on(edge, connect, authority, origin,
                                                        edge_certificate):
    """Servers could not tell which listener a field came from."""
    guarded = tls.listener(edge_certificate, client_ca=authority.ca, client_cert="optional")
    proxy = edge(service={"listen": [guarded, {}]})
    connect(proxy.listeners[0][1]).get("/", "Client-Cert: :bWFsbG9yeQ==:")
    assert origin.exchanges[0].get("client-cert") is None


@versions
def test_no_client_certificate_is_refused_where_one_is_required(guarded, connect_tls, origin,
                                                                version):
    proxy = guarded("required")
    alert = tls.refusal(lambda: connect_tls(proxy, version))
    assert alert in ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_HANDSHAKE_FAILURE")
    proxy.wait_metric(1, "weir_downstream_tls_handshakes_total", result="failed")
    assert origin.connections == []


@versions
@pytest.mark.parametrize("kind", ["optional", "none"])
def test_no_client_certificate_is_needed(guarded, connect_tls, version, kind):
    assert connect_tls(guarded(kind), version).get().status == 200


@versions
@pytest.mark.parametrize("kind", ["required", "optional"])
@pytest.mark.parametrize("who", ["stranger", "expired"])
def test_a_bad_client_certificate_is_refused(guarded, connect_tls, authority, stranger, version,
                                             kind, who):
    bad = (stranger.client("mallory") if who == "stranger"
           else authority.expired("mallory", usage="clientAuth"))
    proxy = guarded(kind)
    assert "ALERT" in tls.refusal(lambda: connect_tls(proxy, version, bad))
    proxy.wait_metric(1, "weir_downstream_tls_handshakes_total", result="failed")


# --- Ends ---


@versions
def test_close_notify_ends_a_connection_that_was_told_to_close(edge, connect_tls, version):
    client = connect_tls(edge(), version)
    assert client.get("/", "Connection: close").status == 200
    assert client.ended() == "fin"


@pytest.mark.parametrize("service", [{"keepalive_timeout": "200ms"}, {"keepalive_timeout": "0"},
                                     {"keepalive_request_limit": 1}])
def test_close_notify_ends_a_connection_at_its_limits(edge, connect_tls, service):
    client = connect_tls(edge(service=service))
    assert client.get().status == 200
    assert client.ended() == "fin"


def test_close_notify_ends_connections_when_weir_stops(edge, connect_tls):
    proxy = edge()
    client = connect_tls(proxy)
    client.get()
    proxy.signal(signal.SIGTERM)
    assert client.ended() == "fin"


def test_a_client_that_half_closes_gets_what_it_asked(edge, connect_tls, origin, gated):
    """In TLS 1.3 close_notify ends one direction (RFC 8446 section 6.1)."""
    client = connect_tls(edge(), "TLSv1.3")
    client.send(request(target="/hold"))
    wait_until(lambda: origin.exchanges)
    client.half_close()
    gated.set()
    assert client.receive().body == b"GET /hold\n"
    assert client.ended() == "fin"


@pytest.mark.parametrize("how", ["close", "truncate", "reset"])
def test_a_client_that_leaves_at_rest_is_let_go(edge, connect_tls, how):
    proxy = edge()
    client = connect_tls(proxy)
    client.get()
    getattr(client, how)()
    proxy.wait_metric(0, "weir_downstream_connections")
    assert connect_tls(proxy).get().status == 200
