# SPDX-License-Identifier: MIT
"""The tools of the TLS tests face to face, without weir."""

import socket
import ssl

import pytest

import libssl
import preface
import s_client
import sockets
import tls
from client import request
from framing import Reader
from hello import ClientHello
from origin import answer
from servers import HELLO
from waiting import wait_until

versions = pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])


@pytest.fixture
def context(authority):
    return tls.client_context(authority)


def over(context, **options):
    return {"tls": context, "name": tls.ORIGIN, **options}


@versions
def test_origin_tells_what_it_saw_of_tls(tls_origin, connect, authority, version):
    client = connect(tls_origin, **over(tls.client_context(authority, version)))
    assert [client.get().ordinal for _ in range(3)] == [1, 2, 3]
    seen = tls_origin.connections[0]
    assert (seen.tls_version, seen.told_name, seen.resumed) == (version, tls.ORIGIN, False)
    assert seen.client_name is None and len(tls_origin.handshakes) == 1


@versions
def test_a_session_is_resumed(tls_origin, connect, authority, version):
    context = tls.client_context(authority, version)
    first = connect(tls_origin, **over(context))
    first.get()
    connect(tls_origin, **over(context, session=first.sock.session)).get()
    assert [c.resumed for c in tls_origin.connections] == [False, True]


@versions
def test_client_certificates_are_asked_for_and_told(tls_origins, connect, authority, version):
    origin = tls_origins(version, client_ca=authority.ca)
    alice = tls.client_context(authority, certificate=authority.client("alice"))
    assert connect(origin, **over(alice)).get().status == 200
    assert origin.connections[0].client_name == "alice"
    nobody = over(tls.client_context(authority))
    assert "ALERT" in tls.refusal(lambda: connect(origin, **nobody))
    wait_until(lambda: origin.connections[1].ended == "refused")


@pytest.mark.parametrize("make", ["expired", "not_yet_valid", "self_signed"])
def test_bad_certificates_are_bad(tls_origins, connect, context, authority, make):
    origin = tls_origins(certificate=getattr(authority, make)(tls.ORIGIN))
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(origin, **over(context))
    wait_until(lambda: origin.connections and origin.connections[0].ended == "refused")
    assert origin.received == b""


def test_names_are_told_apart(tls_origins, connect, context, authority, stranger):
    origin = tls_origins()
    for name in (tls.ORIGIN, "second.test", "127.0.0.1"):
        assert connect(origin, **over(context, name=name)).get().status == 200
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        connect(origin, **over(context, name="third.test"))
    for bad in (stranger.issue(tls.ORIGIN), authority.issue(tls.ORIGIN, chain=False)):
        with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
            connect(tls_origins(certificate=bad), **over(context))


# --- Ends ---


@pytest.mark.parametrize("how, end", [("fin", "fin"), ("truncate", "truncated"),
                                      ("reset", "reset")])
def test_client_sees_how_the_origin_ended(tls_origin, connect, context, how, end):
    tls_origin.at[1, 1] = lambda exchange: getattr(exchange, how)()
    client = connect(tls_origin, **over(context))
    client.send(request())
    assert client.ended() == end


@pytest.mark.parametrize("how, end", [("close", "fin"), ("truncate", "truncated"),
                                      ("half_close", "fin"), ("reset", "reset")])
def test_origin_sees_how_the_client_ended(tls_origin, connect, context, how, end):
    client = connect(tls_origin, **over(context))
    client.get()
    getattr(client, how)()
    wait_until(lambda: tls_origin.connections[0].ended)
    assert tls_origin.connections[0].ended == end


@pytest.mark.parametrize("then, whole", [("fin", True), ("truncate", False)])
def test_a_body_that_ends_with_the_connection(tls_origin, connect, context, then, whole):
    tls_origin.at[1, 1] = answer(b"HTTP/1.1 200 OK\r\n\r\nhello", then)
    response = connect(tls_origin, **over(context)).get()
    assert (response.body, response.complete) == (b"hello", whole)


# --- What libssl itself does ---


def test_key_updates_and_late_tickets_are_sent(origins, connect, context, origin_certificate):
    origin = origins(tls=libssl.Context(origin_certificate, tickets=0))

    def behave(exchange):
        sock = exchange.connection.sock
        sock.key_update(answer=False)
        exchange.respond(bytes(100_000))
        sock.key_update(answer=True)
        sock.new_ticket()

    origin.default = behave
    client = connect(origin, **over(context))
    assert client.get().body == bytes(100_000)
    assert not client.sock.session.has_ticket, "it comes behind the response"
    assert client.get().ordinal == 2
    resumed = connect(origin, **over(context, session=client.sock.session))
    assert resumed.get().status == 200
    assert [c.resumed for c in origin.connections] == [False, True]


@pytest.mark.parametrize("how, end", [("fin", "fin"), ("truncate", "truncated")])
def test_libssl_ends_as_it_is_told(origins, connect, context, origin_certificate, how, end):
    origin = origins(tls=libssl.Context(origin_certificate))
    origin.at[1, 1] = lambda exchange: (exchange.respond(), getattr(exchange, how)())
    client = connect(origin, **over(context))
    client.get()
    assert client.ended() == end


# --- PROXY prefaces ---


@pytest.mark.parametrize("source", ["192.0.2.7", "2001:db8::7"])
@pytest.mark.parametrize("write", [preface.v1, preface.v2])
def test_origin_reads_prefaces_before_tls(tls_origins, connect, context, write, source):
    origin = tls_origins(preface=True)
    assert connect(origin, **over(context, preface=write(source, 99))).get().status == 200
    told = origin.connections[0].preface
    assert (told.version, told.source) == (1 if write is preface.v1 else 2, (source, 99))


def test_origin_reads_prefaces_that_tell_nothing_and_does_without(origins, connect):
    origin = origins(preface=True)
    for first in (b"PROXY UNKNOWN\r\n", preface.v2_raw(preface.LOCAL, 0), b""):
        assert connect(origin, preface=first).get().status == 200
    told = [c.preface and (c.preface.version, c.preface.source) for c in origin.connections]
    assert told == [(1, None), (2, None), None]


# --- The CONNECT proxy ---


@pytest.fixture
def through(forward_proxy, connect):
    """A client whose tunnel the proxy was asked for."""
    def ask(origin):
        client = connect(forward_proxy)
        client.send(f"CONNECT {origin.address} HTTP/1.1\r\nHost: {origin.address}\r\n"
                    "X-Told: 1\r\n\r\n".encode())
        return client
    return ask


def test_connect_proxy_carries_what_it_is_given(through, forward_proxy, origin):
    client = through(origin)
    assert client.receive_head().start == "HTTP/1.1 200 Connection established"
    assert [client.get().ordinal for _ in range(2)] == [1, 2]
    client.close()
    wait_until(lambda: origin.connections[0].ended == "fin")
    assert (forward_proxy.tunnels, forward_proxy.heads[0].get("x-told")) == (1, "1")


def test_connect_proxy_refuses_as_it_is_told(through, forward_proxy, origin):
    forward_proxy.answer = b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"
    client = through(origin)
    assert client.receive().status == 407
    assert client.ended() == "fin" and not origin.connections


# --- Real servers, s_client and hellos made by hand ---


@versions
@pytest.mark.parametrize("name, reused", [("nginx", {"r": True, ".": False}),
                                          ("caddy", {"true": True, "false": False})])
def test_real_servers_tell_of_tls(server, connect, authority, origin_certificate, version, name,
                                  reused):
    address = server(name, certificate=origin_certificate).address
    context = tls.client_context(authority, version)
    first = connect(address, **over(context))
    told = first.get("/hello.txt")
    assert told.body == HELLO
    was_resumed, _, asked_for = told.get("x-tls").split(" ")
    assert (reused[was_resumed], asked_for) == (False, tls.ORIGIN)
    again = connect(address, **over(context, session=first.sock.session)).get("/hello.txt")
    assert reused[again.get("x-tls").split(" ")[0]] is True


@versions
def test_s_client_resumes(tls_origin, tmp_path, version):
    flag = "-" + version.lower().replace(".", "_").replace("v", "")
    session = tmp_path / "session"
    tls_origin.default = lambda exchange: (exchange.respond(), exchange.fin())
    first = s_client.get(tls_origin, flag, "-sess_out", session)
    assert first.cipher and not first.resumed
    again = s_client.get(tls_origin, flag, "-sess_in", session)
    assert again.resumed


old_versions = pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")


def lax(certificate):
    """A server that takes what weir must not."""
    context = tls.server_context(certificate)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ALL:eNULL:@SECLEVEL=0")
    context.options |= 1 << 8  # SSL_OP_ALLOW_CLIENT_RENEGOTIATION
    return context


@old_versions
def test_s_client_can_what_it_must_not_be_allowed(origins, origin_certificate):
    origin = origins(tls=lax(origin_certificate))
    old = s_client.s_client(origin, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert old.cipher, old.text
    bare = s_client.s_client(origin, "-tls1_2", "-cipher", "eNULL:@SECLEVEL=0")
    assert "NULL" in bare.cipher, bare.text
    again = s_client.s_client(origin, "-tls1_2", send=b"R\n",
                              until="(?s)RENEGOTIATING.*verify return")
    assert "verify return" in again.text.partition("RENEGOTIATING")[2], again.text


@old_versions
def test_hellos_made_by_hand_are_understood(tls_origin, origins, origin_certificate):
    chosen = ClientHello(ciphers=[0xC02B, 0xC02F], name=tls.ORIGIN).ask(tls_origin)
    assert (chosen.version, chosen.cipher, chosen.compression) == (0x0303, 0xC02B, 0)
    refused = ClientHello(ciphers=[0x0005]).ask(tls_origin)
    assert (refused.cipher, refused.alert) == (None, "handshake_failure")
    lenient = origins(tls=lax(origin_certificate))
    old = ClientHello(version=0x0302, ciphers=[0xC009]).ask(lenient)
    assert (old.version, old.cipher) == (0x0302, 0xC009)


def test_half_a_hello_is_half(tls_origin):
    sock = sockets.connect(tls_origin.address)
    sock.sendall(ClientHello().half())
    wait_until(lambda: tls_origin.connections)
    sock.shutdown(socket.SHUT_WR)
    assert Reader(sock).rest()[:1] in (b"", b"\x15"), "an alert at most"
    wait_until(lambda: tls_origin.connections[0].ended == "refused")
    sock.close()
