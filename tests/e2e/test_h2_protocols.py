# SPDX-License-Identifier: MIT
"""Which protocol is spoken with a client: ALPN, prior knowledge, what a listener allows; and how an
HTTP/2 connection begins."""

import base64
import re
import subprocess

import pytest
import yaml

import h2_frames as frames
import preface as proxy_preface
import tls
import weir as program_of
from client import request
from h2_client import alive
from servers import find
from waiting import PATIENCE
from weir import one_upstream


@pytest.fixture
def listening(weir, origin, edge_certificate):
    """weir with one listener: listening(["h2"], over_tls=True, proxy_protocol=True)."""
    def start(protocols=None, over_tls=False, certificate=edge_certificate, client_ca=None,
              **options):
        listen = dict(options)
        if over_tls:
            asks = {"client_ca": client_ca, "client_cert": "required"} if client_ca else {}
            listen |= tls.listener(certificate, **asks)
        if protocols:
            listen["protocols"] = protocols
        return weir(one_upstream(origin.address, service={"listen": [listen]}))
    return start


def refused_in_http1(client):
    """No answer but one that says that this is not spoken here, and then the end."""
    head = client.http1_answer() if hasattr(client, "http1_answer") else client.reader.head()
    if head is not None:
        assert head.start.startswith(("HTTP/1.1 505 ", "HTTP/1.1 400 ")), head.start
        assert "close" in head.tokens("connection"), head.fields
        client.reader.rest()
    assert client.reader.end in ("fin", "reset")


# --- ALPN ---


CHOICES = {
    "both_prefer_h2": (None, ["h2", "http/1.1"], "h2"),
    "the_order_of_the_client_does_not_matter": (None, ["http/1.1", "h2"], "h2"),
    "h2_alone": (None, ["h2"], "h2"),
    "among_others": (None, ["spdy/3", "h2"], "h2"),
    "http1_alone": (None, ["http/1.1"], "http/1.1"),
    "nothing": (None, [], None),
    "only_h2": (["h2"], ["h2", "http/1.1"], "h2"),
    "only_http1": (["http/1.1"], ["h2", "http/1.1"], "http/1.1"),
    "written_out": (["h2", "http/1.1"], ["h2", "http/1.1"], "h2"),
}


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("name", CHOICES)
def test_alpn_chooses(listening, connect_tls, connect_h2_tls, name, version):
    allowed, offered, chosen = CHOICES[name]
    proxy = listening(allowed, over_tls=True)
    opener = connect_h2_tls if chosen == "h2" else connect_tls
    client = opener(proxy, version, protocols=offered)
    assert client.sock.selected_alpn_protocol() == chosen
    assert [client.get().status for _ in range(2)] == [200, 200]
    told = {line["protocol"] for line in proxy.logged(2)}
    assert told == {"HTTP/2" if chosen == "h2" else "HTTP/1.1"}


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("allowed, offered", [
    (["h2"], ["http/1.1"]), (["http/1.1"], ["h2"]), (None, ["spdy/3"])])
def test_nothing_in_common_is_an_alert(listening, connect_tls, origin, allowed, offered, version):
    """RFC 7301 section 3.2."""
    proxy = listening(allowed, over_tls=True)
    alert = tls.refusal(lambda: connect_tls(proxy, version, protocols=offered))
    assert "no application protocol" in alert.lower().replace("_", " ")
    proxy.wait_metric(1, "weir_downstream_tls_handshakes_total", result="failed")
    assert origin.connections == []


def test_who_offers_nothing_is_no_http2_client(listening, connect_tls, origin):
    client = connect_tls(listening(["h2"], over_tls=True))
    client.send_unless_refused(request())
    refused_in_http1(client)
    assert origin.exchanges == []


def test_sessions_are_resumed_with_h2(listening, connect_h2, authority):
    proxy = listening(over_tls=True)
    context = tls.client_context(authority, protocols=["h2"])
    first = connect_h2(proxy, tls=context)
    alive(first)
    again = connect_h2(proxy, tls=context, session=first.sock.session)
    assert again.sock.session_reused and again.protocol == "h2"
    alive(again)


def test_a_clients_certificate_is_told_over_h2(listening, connect_h2_tls, authority, origin):
    alice = authority.client("alice")
    proxy = listening(over_tls=True, client_ca=authority.ca)
    client = connect_h2_tls(proxy, certificate=alice)
    alive(client, "/alice")
    assert client.get("/claims", ("client-cert", ":bWFsbG9yeQ==:")).status == 200
    for exchange in origin.exchanges:
        shown = base64.b64decode(exchange.get("client-cert").strip(":"))
        assert shown == tls.leaf(alice)


# --- Without TLS ---


def test_one_port_takes_both(origin, proxy, connect, connect_h2):
    new, old = connect_h2(proxy), connect(proxy)
    for _ in range(3):
        assert (alive(new).body, old.get().body) == (b"GET /\n", b"GET /\n")
    assert [line["protocol"] for line in proxy.logged(6)] == ["HTTP/2", "HTTP/1.1"] * 3
    assert [exchange.get("via") for exchange in origin.exchanges] == ["2 weir", "1.1 weir"] * 3


FIRST = frames.PREFACE + frames.settings() + frames.headers(1)


@pytest.mark.parametrize("cuts", [range(1, len(FIRST)), [3], [14, 18], [20], [24], [30], []],
                         ids=["bytes", "in_the_word", "lines", "before_sm", "behind_it", "in_frame",
                              "at_once"])
def test_the_beginning_may_come_in_pieces(proxy, wire, cuts):
    client = wire(proxy, greet=False)
    marks = [0, *cuts, len(FIRST)]
    client.send(*(FIRST[begin:end] for begin, end in zip(marks, marks[1:])))
    client.wait_for(frames.DATA, 1)
    client.barrier()


@pytest.mark.parametrize("method", ["P", "PRI", "PRIM", "PROPFIND", "POST"])
def test_methods_that_begin_like_it_are_http1(proxy, connect, origin, method):
    client = connect(proxy)
    raw = request(method, body=b"")
    client.send(*(raw[at:at + 1] for at in range(20)), raw[20:])
    response = client.receive()
    assert response.status in (200, 400, 501) and response.version == "HTTP/1.1"
    assert [exchange.method for exchange in origin.exchanges] in ([method], [])


@pytest.mark.parametrize("raw", [
    b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"PRI * HTTP/2.0\r\nHost: a\r\n\r\n",
    b"PRI / HTTP/2.0\r\n\r\nSM\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX"])
def test_a_beginning_that_is_none_ends_the_connection(proxy, wire, connect_h2, origin, raw):
    client = wire(proxy, greet=False)
    client.send_unless_refused(raw + frames.settings() + frames.headers(1))
    assert client.cut_short() in ("fin", "reset")
    assert origin.exchanges == []
    alive(connect_h2(proxy))


def test_http2_where_only_http1_is_spoken(listening, wire, connect, origin):
    proxy = listening(["http/1.1"])
    client = wire(proxy, greet=False)
    client.send_unless_refused(FIRST)
    refused_in_http1(client)
    assert origin.exchanges == []
    assert connect(proxy).get().status == 200


def test_http1_where_only_http2_is_spoken(listening, connect, connect_h2, origin):
    proxy = listening(["h2"])
    client = connect(proxy)
    client.send_unless_refused(request())
    refused_in_http1(client)
    assert origin.exchanges == []
    alive(connect_h2(proxy))


def test_upgrade_to_h2c_stays_http1(proxy, connect, origin):
    client = connect(proxy)
    response = client.get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
                          "HTTP2-Settings: AAMAAABkAAQAAP__")
    assert (response.status, response.version) == (200, "HTTP/1.1")
    assert response.get("upgrade") is None and response.interim == []
    assert origin.exchanges[0].get("upgrade") is None
    assert client.get().status == 200


def test_over_a_unix_socket(listening, connect_h2, tmp_path):
    proxy = listening(address=f"unix:{tmp_path}/edge.sock")
    alive(connect_h2(proxy))


@pytest.mark.parametrize("over_tls", [False, True])
@pytest.mark.parametrize("write", [proxy_preface.v1, proxy_preface.v2])
def test_behind_a_proxy_preface(listening, connect_h2, connect_h2_tls, origin, write, over_tls):
    proxy = listening(over_tls=over_tls, proxy_protocol=True)
    client = (connect_h2_tls if over_tls else connect_h2)(proxy, preface=write("192.0.2.7"))
    alive(client), alive(client)
    assert [e.get("x-forwarded-for") for e in origin.exchanges] == ["192.0.2.7"] * 2
    assert {line["client"] for line in proxy.logged(2)} == {"192.0.2.7"}


# --- Other clients ---


def test_curl_asks_to_upgrade_and_is_content(proxy):
    assert curl("--http2", f"http://{proxy.address}/") == "GET /\n1.1"


def test_curl_with_prior_knowledge(proxy):
    assert curl("--http2-prior-knowledge", f"http://{proxy.address}/") == "GET /\n2"


@pytest.mark.parametrize("option, version", [("--http2", "2"), ("--http1.1", "1.1")])
def test_curl_over_tls(listening, authority, option, version):
    port = listening(over_tls=True).address.rpartition(":")[2]
    out = curl(option, "--cacert", authority.ca, "--resolve", f"{tls.EDGE}:{port}:127.0.0.1",
               f"https://{tls.EDGE}:{port}/")
    assert out == f"GET /\n{version}"


def curl(*options):
    done = subprocess.run([find("curl"), "--silent", "--show-error", "--write-out",
                           "%{http_version}", "--max-time", str(10 * PATIENCE), *options],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- How it begins ---


def test_settings_say_what_is_meant(proxy, wire):
    client = wire(proxy)
    client.barrier()
    assert client.frames[0].kind == frames.SETTINGS and not client.frames[0].flags
    told = client.settings
    assert told[frames.MAX_CONCURRENT_STREAMS] == 128
    assert told.get(frames.INITIAL_WINDOW_SIZE, 65535) == 65535
    assert told[frames.MAX_HEADER_LIST_SIZE] == 32768
    assert told[frames.NO_RFC7540_PRIORITIES] == 1  # RFC 9218 section 2.1
    assert told.get(frames.MAX_FRAME_SIZE, 16384) == 16384
    assert told.get(frames.ENABLE_PUSH, 0) == 0
    assert [each for each in client.of(frames.SETTINGS) if each.flags & frames.ACK], "ours too"
    opened = sum(int.from_bytes(each.payload, "big")
                 for each in client.of(frames.WINDOW_UPDATE, 0))
    assert 65535 + opened == 1 << 20


def test_settings_are_acknowledged_in_turn(proxy, wire):
    client = wire(proxy)
    client.send(frames.settings({0xff: 1, frames.INITIAL_WINDOW_SIZE: 1}) * 3)
    client.barrier()
    assert sum(each.flags & frames.ACK for each in client.of(frames.SETTINGS)) == 4


@pytest.mark.parametrize("protocols, word", [
    ([], "protocols"), (["h3"], "h3"), (["h2", "http/2"], "http/2"), ("spdy", "spdy")])
def test_protocols_that_are_none_are_a_mistake(tmp_path, protocols, word):
    config = one_upstream("127.0.0.1:1", service={
        "listen": [{"address": "127.0.0.1:0", "protocols": protocols}]})
    (tmp_path / "weir.yaml").write_text(yaml.safe_dump(config))
    done = program_of.run("-t", "-c", "weir.yaml", directory=tmp_path)
    assert done.returncode == 2
    assert re.search(rf"weir.yaml:\d+:\d+: error: .*{word}", done.stderr), done.stderr


def test_a_request_that_begins_like_the_preface_loses_nothing(origin, proxy, connect):
    """Its first byte comes alone, and more than a buffer holds comes behind it."""
    body = bytes(range(256)) * 400
    whole = (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)) + body
    client = connect(proxy)
    client.send(whole[:1])
    assert connect(proxy).get().status == 200  # in the meantime the byte was received
    client.send(whole[1:])
    assert client.receive().status == 200
    assert origin.exchanges[-1].content == body
