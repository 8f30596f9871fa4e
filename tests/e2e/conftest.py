# SPDX-License-Identifier: MIT
"""The fixtures. They end in the order client, weir, origin: weir stops with nothing running.

    client -> weir -> origin       and the test holds all three ends

`connect` opens clients, `weir` starts the program, `origins` scripted servers, `proxy` is the usual
weir in front of the one `origin`. Every weir must end with status 0 and without a report of a
sanitizer or a broken invariant; every origin must have seen nothing but well-formed HTTP.
"""

import contextlib
import threading

import pytest

import authority as certificates
import h2_upstream
import servers
import tls
from client import Client
from connect_proxy import ConnectProxy
from crowd import Crowd
from h2_client import H2Client
from h2_frames import Wire
from h2_origin import H2Origin
from h2_relay import Relay
from nameserver import NameServer
from origin import Origin
from weir import Weir, one_upstream


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """Whom everybody trusts."""
    return certificates.Authority(tmp_path_factory.mktemp("authority"), "good")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    """An authority that nobody trusts."""
    return certificates.Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="session")
def edge_certificate(authority):
    """What weir shows where nothing else is asked for."""
    return authority.issue(tls.EDGE, "127.0.0.1")


@pytest.fixture(scope="session")
def origin_certificate(authority):
    return authority.issue(tls.ORIGIN, "second.test", "127.0.0.1")


@pytest.fixture
def tls_origins(origins, origin_certificate):
    """As origins, over TLS: tls_origins(version="TLSv1.2")."""
    def make(version=None, client_ca=None, certificate=origin_certificate, **options):
        return origins(tls=tls.server_context(certificate, version, client_ca), **options)
    return make


@pytest.fixture
def tls_origin(tls_origins):
    return tls_origins()


@pytest.fixture
def origins():
    made = []

    def make(*arguments, kind=Origin, **options):
        made.append(kind(*arguments, **options))
        return made[-1]

    yield make
    for origin in made:
        origin.close()
    assert [error for origin in made for error in origin.errors] == []


@pytest.fixture
def h2_origins(origins):
    """As origins, over HTTP/2: h2_origins(settings={"MAX_CONCURRENT_STREAMS": 3})."""
    return lambda *arguments, **options: origins(*arguments, kind=H2Origin, **options)


@pytest.fixture
def h2_origin(h2_origins):
    return h2_origins()


@pytest.fixture
def h2_tls_origins(h2_origins, origin_certificate):
    """As h2_origins, over TLS: h2_tls_origins(protocols=["h2"])."""
    def make(protocols=("h2", "http/1.1"), **options):
        context = tls.server_context(origin_certificate)
        context.set_alpn_protocols(protocols)
        return h2_origins(tls=context, **options)
    return make


@pytest.fixture
def h2_proxy(weir, h2_origin):
    """The usual weir before the one h2_origin, which it speaks HTTP/2 with."""
    return weir(h2_upstream.over_h2(h2_origin.address))


@pytest.fixture
def relay():
    """Start a relay before a server that can stop forwarding: relay(h2_origin)."""
    made = []

    def make(server):
        made.append(Relay(server))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def forward_proxies():
    """Start a proxy that takes CONNECT."""
    made = []

    def make(*arguments):
        made.append(ConnectProxy(*arguments))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


@pytest.fixture
def forward_proxy(forward_proxies):
    return forward_proxies()


@pytest.fixture
def origin(origins):
    return origins()


@pytest.fixture
def weir(origins, tmp_path):
    """Start weir: weir(config) or weir(arguments=[...], ready=address)."""
    with contextlib.ExitStack() as running:
        count = 0

        def start(config=None, **options):
            nonlocal count
            count += 1
            directory = tmp_path / f"weir{count}"
            directory.mkdir()
            started = Weir(directory, config, **options)
            running.callback(kill_if_running, started)
            running.callback(started.stop)
            return started

        yield start


def kill_if_running(started):
    if started.process.poll() is None:
        started.kill()


@pytest.fixture
def proxy(weir, origin):
    return weir(one_upstream(origin.address))


@pytest.fixture
def connect(weir):
    """Open a client to a weir, an origin or an address."""
    made = []

    def make(server, **options):
        made.append(Client(server, **options))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def connect_tls(connect, authority):
    """Open a client over TLS: connect_tls(proxy, version="TLSv1.2", certificate=alice)."""
    def make(server, version=None, certificate=None, protocols=(), **options):
        context = tls.client_context(authority, version, certificate, protocols)
        return connect(server, tls=context, **options)
    return make


@pytest.fixture
def connect_h2(weir):
    """Open an HTTP/2 client to a weir or an address, with prior knowledge or over `tls`."""
    made = []

    def make(server, kind=H2Client, **options):
        made.append(kind(server, **options))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def connect_h2_tls(connect_h2, authority):
    """As connect_h2, over TLS with ALPN: connect_h2_tls(proxy, certificate=alice)."""
    def make(server, version=None, certificate=None, protocols=("h2",), **options):
        context = tls.client_context(authority, version, certificate, protocols)
        return connect_h2(server, tls=context, **options)
    return make


@pytest.fixture
def wire(connect_h2):
    """A connection of frames made by hand."""
    return lambda server, **options: connect_h2(server, kind=Wire, **options)


@pytest.fixture
def behind(weir, authority):
    """weir in front of servers that speak TLS: behind(tls_origin, tls={"sni": "a.test"})."""
    return lambda *servers, **options: weir(
        tls.to_tls(authority, *(each.address for each in servers), **options))


@pytest.fixture
def edge(weir, origin, edge_certificate):
    """weir with TLS towards clients, in front of the plain origin: edge(tls={...})."""
    return lambda **options: weir(tls.from_tls(edge_certificate, origin.address, **options))


@pytest.fixture
def gated(origin):
    """An event; the origin answers /hold only when it is set."""
    go = threading.Event()
    origin.paths["/hold"] = lambda exchange: (exchange.hold(go), exchange.respond())
    yield go
    go.set()


@pytest.fixture
def crowd():
    """Many clients at once: crowd(proxy).come()."""
    crowds = []

    def gather(proxy):
        crowds.append(Crowd(proxy))
        return crowds[-1]

    yield gather
    for each in crowds:
        each.close()


@pytest.fixture
def server(tmp_path):
    """Start a real server: server("nginx")."""
    made = []

    def start(name, **options):
        directory = tmp_path / f"{name}{len(made)}"
        directory.mkdir()
        made.append(servers.REAL[name](directory, **options))
        return made[-1]

    yield start
    for running in made:
        running.stop()


@pytest.fixture
def nameserver(tmp_path):
    """Start a name server: nameserver({"app.test": ["127.0.0.1"]})."""
    made = []

    def start(names):
        made.append(NameServer(tmp_path, names))
        return made[-1]

    yield start
    for running in made:
        running.stop()
