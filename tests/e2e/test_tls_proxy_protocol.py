# SPDX-License-Identifier: MIT
"""The PROXY protocol: what is told by whom stands before weir, and what weir tells its servers."""

import re

import pytest

import preface
import sockets
import tls
from client import request
from waiting import wait_until
from weir import one_upstream

WRITERS = {"v1": preface.v1, "v2": preface.v2}
SOURCES = {"ipv4": "192.0.2.7", "ipv6": "2001:db8::7"}
both_versions = pytest.mark.parametrize("version", WRITERS)


@pytest.fixture
def front(weir, origin, edge_certificate):
    """weir whose one listener wants a preface, before TLS if tls; upstream options."""
    def start(over_tls=False, service=None, **options):
        listen = {"proxy_protocol": True, **(tls.listener(edge_certificate) if over_tls else {})}
        return weir(one_upstream(origin.address, service={"listen": [listen], **(service or {})},
                                 **options))
    return start


@pytest.fixture
def come(connect, connect_tls):
    """A client with a preface, over TLS behind it if so."""
    def start(proxy, first, over_tls=False):
        return (connect_tls if over_tls else connect)(proxy, preface=first)
    return start


# --- From who stands before weir ---


@both_versions
@pytest.mark.parametrize("family", SOURCES)
@pytest.mark.parametrize("over_tls", [False, True])
def test_the_told_address_is_the_clients(front, come, origin, version, family, over_tls):
    proxy = front(over_tls)
    client = come(proxy, WRITERS[version](SOURCES[family]), over_tls)
    assert [client.get().status for _ in range(2)] == [200, 200]
    for exchange in origin.exchanges:
        assert exchange.get("x-forwarded-for") == SOURCES[family]
        assert exchange.get("x-forwarded-proto") == ("https" if over_tls else "http")
    for line in proxy.logged(2):
        assert line["client"] == SOURCES[family]


TELLS_NOTHING = {
    "v1_unknown": b"PROXY UNKNOWN\r\n",
    "v1_unknown_with_more": b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
    "v2_local": preface.v2_raw(preface.LOCAL, preface.UNSPEC),
    "v2_local_with_addresses": preface.v2("192.0.2.7", command=preface.LOCAL),
    "v2_unspecified": preface.v2_raw(preface.PROXY, preface.UNSPEC),
    "v2_unspecified_with_more": preface.v2_raw(preface.PROXY, preface.UNSPEC, b"hello"),
    "v2_unix": preface.v2_raw(preface.PROXY, preface.UNIX, bytes(216)),
}


@pytest.mark.parametrize("name", TELLS_NOTHING)
def test_a_preface_that_tells_nothing_leaves_the_clients_own_address(front, come, origin, name):
    proxy = front()
    assert come(proxy, TELLS_NOTHING[name]).get().status == 200
    assert origin.exchanges[0].get("x-forwarded-for") == "127.0.0.1"
    assert proxy.logged(1)[0]["client"] == "127.0.0.1"


def test_further_fields_of_a_preface_are_passed_over(front, come, origin):
    fields = b"\x04\x00\x03abc" + b"\x01\x00\x08http/1.1" + b"\xe0\x01\x00" + bytes(256)
    assert come(front(), preface.v2("192.0.2.7", extra=fields)).get().status == 200
    assert origin.exchanges[0].get("x-forwarded-for") == "192.0.2.7"


@both_versions
def test_a_preface_may_come_byte_by_byte_and_with_the_request(front, connect, origin, version):
    first = WRITERS[version]("192.0.2.7")
    proxy = front()
    slow, quick = connect(proxy), connect(proxy)
    slow.send(*[bytes([byte]) for byte in first + request()])
    assert slow.receive().status == 200
    quick.send(first + request() + request())
    assert [quick.receive().status for _ in range(2)] == [200, 200]
    assert [e.get("x-forwarded-for") for e in origin.exchanges] == ["192.0.2.7"] * 3


def test_what_a_client_says_itself_is_continued(front, come, origin):
    come(front(), preface.v1("192.0.2.7")).get("/", "X-Forwarded-For: 203.0.113.1")
    assert origin.exchanges[0].get("x-forwarded-for") == "203.0.113.1, 192.0.2.7"


def test_a_preface_is_for_listeners_that_want_one(weir, origin, connect):
    client = connect(weir(one_upstream(origin.address)), preface=preface.v1("192.0.2.7"))
    client.send(request())
    assert client.receive().status == 400
    assert origin.exchanges == []


# --- Malformed ones ---


V2 = preface.v2("192.0.2.7")
MALFORMED = {
    "missing": b"",
    "missing_tls": b"\x16\x03\x01\x00\x05hello",
    "v1_no_family": b"PROXY\r\n",
    "v1_unknown_family": b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "v1_address_is_none": b"PROXY TCP4 192.0.2.777 198.51.100.1 1 2\r\n",
    "v1_address_of_the_other_family": b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
    "v1_port_out_of_range": b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n",
    "v1_port_is_none": b"PROXY TCP4 192.0.2.7 198.51.100.1 x 2\r\n",
    "v1_too_few": b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n",
    "v1_too_many": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n",
    "v1_two_blanks": b"PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n",
    "v1_bare_line_feed": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n",
    "v1_too_long": b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n",
    "v1_small_letters": b"proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "v2_wrong_signature": V2[:11] + b"\r" + V2[12:],
    "v2_wrong_version": V2[:12] + b"\x11" + V2[13:],
    "v2_unknown_command": V2[:12] + b"\x2f" + V2[13:],
    "v2_too_short_for_its_family": preface.v2_raw(preface.PROXY, preface.TCP4, bytes(8)),
}


def is_told(proxy):
    """Whether it was counted or logged."""
    counted = [value for (name, _), value in proxy.metrics().samples.items()
               if re.search("preface|proxy_protocol", name) and value]
    return counted or re.search("(?i)proxy (preface|protocol)", proxy.stderr)


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_preface_is_closed_without_an_answer(front, connect, come, origin, name):
    proxy = front()
    client = connect(proxy, preface=MALFORMED[name])
    client.send_unless_refused(request())
    assert client.ended() in ("fin", "reset")
    wait_until(lambda: is_told(proxy), 5, "a counter or a line of the log")
    assert origin.connections == []
    assert come(proxy, preface.v1("192.0.2.7")).get().status == 200


def test_a_second_preface_is_no_request(front, connect, origin):
    client = connect(front(), preface=preface.v1("192.0.2.7") + preface.v1("192.0.2.8"))
    client.send_unless_refused(request())
    assert client.receive().status == 400
    assert origin.exchanges == []


@pytest.mark.parametrize("first", [b"", b"PROXY TCP4 192", V2[:9], V2[:20]])
def test_a_preface_that_does_not_come_is_not_waited_for(front, connect, first):
    proxy = front(service={"client_header_timeout": "300ms", "keepalive_timeout": "300ms"})
    client = connect(proxy, preface=first)
    assert client.ended() in ("fin", "reset")
    proxy.wait_metric(0, "weir_downstream_connections")


# --- To servers ---


@pytest.fixture
def told(origins, tls_origins, weir, authority):
    """weir that tells an origin of its clients: (origin, proxy)."""
    def start(version, over_tls=False, service=None, **options):
        origin = (tls_origins if over_tls else origins)(preface=True)
        upstream = {"proxy_protocol": version,
                    **({"tls": tls.upstream_tls(authority)} if over_tls else {})}
        return origin, weir(one_upstream(origin.address, upstream=upstream, service=service,
                                         **options))
    return start


def test_another_address_of_the_name_is_tried(weir, nameserver, origins, connect):
    """Each client's connections are its own, and their servers' addresses are not."""
    port = sockets.free_port()
    origins(f"127.0.7.2:{port}", preface=True)
    names = nameserver({"app.test": ["127.0.7.1", "127.0.7.2"]})
    proxy = weir(one_upstream(f"app.test:{port}", resolver=names.config,
                              upstream={"proxy_protocol": "v2", "fail_timeout": 0}))
    assert [connect(proxy).get().status for _ in range(6)] == [200] * 6


@both_versions
@pytest.mark.parametrize("over_tls", [False, True])
def test_servers_are_told_the_clients_address(told, connect, version, over_tls):
    origin, proxy = told(version, over_tls)
    client = connect(proxy)
    mine = client.sock.getsockname()
    assert [client.get().connection for _ in range(3)] == [1, 1, 1], "one client, one connection"
    seen = origin.connections[0]
    assert seen.preface.version == int(version[1:])
    assert seen.preface.source[0] == mine[0]
    assert seen.preface.source[1] in (mine[1], 0)
    assert bool(seen.tls_version) == over_tls


@both_versions
def test_different_clients_share_no_connection(told, connect, version):
    origin, proxy = told(version, service={"listen": [{"proxy_protocol": True}]})
    clients = {source: connect(proxy, preface=preface.v1(source, 99))
               for source in (*SOURCES.values(), "192.0.2.8")}
    for _ in range(3):
        for client in clients.values():
            assert client.get().status == 200
            proxy.wait_metric(0, "weir_pool_in_use_connections")
    assert [c.preface.source[0] for c in origin.connections] == list(clients)
    assert [len(c.exchanges) for c in origin.connections] == [3, 3, 3]


@both_versions
def test_a_listener_on_every_address_knows_which_one_it_was(told, connect, version):
    """And that a client of IPv4 is one, though the socket is IPv6's."""
    port = sockets.free_port()
    origin, _ = told(version, service={"listen": [f":{port}"]})
    client = connect(f"127.0.0.1:{port}")
    assert client.get().status == 200
    seen = origin.connections[0].preface
    assert seen.source[0] == "127.0.0.1" and seen.target == ("127.0.0.1", port)


@both_versions
def test_a_client_that_comes_again_gets_another_connection(told, connect, version):
    """The same address and port, told by who stands before weir: that may be somebody else now."""
    origin, proxy = told(version, service={"listen": [{"proxy_protocol": True}]})
    for ordinal in (1, 2, 3):
        client = connect(proxy, preface=preface.v1("192.0.2.7", 99))
        assert client.get().connection == ordinal
        client.close()
        proxy.wait_metric(0, "weir_pool_in_use_connections")
    assert {each.preface.source[0] for each in origin.connections} == {"192.0.2.7"}


@both_versions
def test_no_client_is_told_another_clients_connection_by_another_worker(told, connect, version):
    origin, proxy = told(version, service={"listen": [{"proxy_protocol": True}]}, threads=4)
    for number in range(40):
        source = f"192.0.2.{1 + number % 4}"
        assert connect(proxy, preface=preface.v1(source, 99)).get().status == 200
        proxy.wait_metric(0, "weir_pool_in_use_connections")
    for connection in origin.connections:
        sources = {exchange.get("x-forwarded-for") for exchange in connection.exchanges}
        assert sources == {connection.preface.source[0]}


@both_versions
def test_a_client_without_an_address_is_told_as_such(told, connect, version, tmp_path):
    origin, proxy = told(version, service={"listen": [f"unix:{tmp_path}/weir.sock"]})
    assert connect(proxy).get().status == 200
    assert (origin.connections[0].preface.version, origin.connections[0].preface.source) == (
        int(version[1:]), None)


def test_none_tells_nothing(told, connect):
    origin, proxy = told("none")
    assert connect(proxy).get().status == 200
    assert origin.connections[0].preface is None
