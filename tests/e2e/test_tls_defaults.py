# SPDX-License-Identifier: MIT
"""What weir agrees to with clients, by default and as it is told: versions, ciphers, protocols.

After testssl: whatever is refused here is known to be weak. The hellos are made by hand, since
no library of today would offer most of it; test_tls_harness.py shows that they are understood.
"""

import pytest

import authority as certificates
import s_client
import tls
from hello import ClientHello
from weir import one_upstream

REFUSALS = ("handshake_failure", "insufficient_security", "protocol_version")

WEAK = {
    "null": [0x0001, 0x0002, 0x003B, 0xC006, 0xC010],
    "export": [0x0003, 0x0006, 0x0008, 0x000B, 0x000E, 0x0011, 0x0014],
    "rc4": [0x0004, 0x0005, 0xC007, 0xC011],
    "des": [0x0009, 0x0015],
    "triple_des": [0x000A, 0x0016, 0xC008, 0xC012],
    "anonymous": [0x0018, 0x001B, 0x0034, 0x003A, 0x006C, 0x006D, 0x00A6, 0x00A7, 0xC015, 0xC016,
                  0xC017, 0xC018, 0xC019],
    "idea_and_seed": [0x0007, 0x0096, 0x009A],
    "pre_shared": [0x008C, 0x008D, 0x00A8, 0x00A9, 0xC035, 0xC036],
    "no_forward_secrecy": [0x002F, 0x0035, 0x003C, 0x003D, 0x009C, 0x009D, 0x0041, 0x0084, 0xC09C],
    "cbc": [0xC009, 0xC00A, 0xC013, 0xC014, 0xC023, 0xC024, 0xC027, 0xC028, 0x0033, 0x0039, 0x0067,
            0x006B],
}
GOOD = {
    "ecdsa_aes128_gcm": 0xC02B, "ecdsa_aes256_gcm": 0xC02C, "ecdsa_chacha20": 0xCCA9,
    "rsa_aes128_gcm": 0xC02F, "rsa_aes256_gcm": 0xC030, "rsa_chacha20": 0xCCA8,
}


@pytest.fixture(scope="module")
def certificates_of_both(authority):
    return [authority.issue(tls.EDGE), authority.issue(tls.EDGE, key=certificates.RSA)]


@pytest.fixture
def both(weir, origin, certificates_of_both):
    """The addresses of a weir whose listeners have an ECDSA and an RSA certificate."""
    listen = [tls.listener(certificate) for certificate in certificates_of_both]
    return weir(one_upstream(origin.address, service={"listen": listen})).listeners[0]


# --- By default ---


@pytest.mark.parametrize("name", WEAK)
def test_weak_ciphers_are_refused(both, name):
    for address in both:
        answer = ClientHello(ciphers=WEAK[name]).ask(address)
        assert answer.cipher is None and answer.alert in REFUSALS, answer


@pytest.mark.parametrize("name", GOOD)
def test_good_ciphers_are_taken(both, name):
    address = both[0 if name.startswith("ecdsa") else 1]
    assert ClientHello(ciphers=[GOOD[name]]).ask(address).cipher == GOOD[name]


@pytest.mark.parametrize("name", WEAK)
def test_weak_ciphers_that_are_liked_best_lose(both, name):
    answer = ClientHello(ciphers=[*WEAK[name], 0xC02B]).ask(both[0])
    assert answer.cipher == 0xC02B


@pytest.mark.parametrize("version", [0x0300, 0x0301, 0x0302])
def test_old_versions_are_refused(both, version):
    ciphers = [0xC009, 0xC00A, 0xC013, 0xC014, 0x002F, 0x0035]
    for address in both:
        answer = ClientHello(version=version, ciphers=ciphers).ask(address)
        assert (answer.version, answer.cipher) == (None, None)
        assert answer.alert in (*REFUSALS, None), answer


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused_to_s_client(edge, version):
    done = s_client.s_client(edge(), version, "-cipher", "ALL:@SECLEVEL=0")
    assert done.cipher is None
    assert "alert protocol version" in done.text, done.text


def test_a_fallback_that_is_not_needed_is_refused(edge):
    """TLS_FALLBACK_SCSV (RFC 7507): both sides could do TLS 1.3."""
    assert ClientHello(fallback=True).ask(edge()).alert == "inappropriate_fallback"


def test_nothing_is_compressed(edge):
    proxy = edge()
    assert ClientHello(compressions=b"\x01\x00").ask(proxy).compression == 0
    assert "Compression: NONE" in s_client.s_client(proxy, "-tls1_2").text


def test_a_client_that_only_compresses_is_refused(edge):
    answer = ClientHello(compressions=b"\x01").ask(edge())
    assert answer.cipher is None and answer.alert


def test_renegotiation_is_secure_and_refused(edge):
    proxy = edge()
    done = s_client.s_client(proxy, "-tls1_2", send=b"R\n",
                             until="(?s)RENEGOTIATING.*(verify return|error)")
    assert "Secure Renegotiation IS supported" in done.text
    assert "verify return" not in done.text.partition("RENEGOTIATING")[2], done.text
    assert proxy.metric("weir_downstream_tls_handshakes_total", result="full") == 1


@pytest.mark.parametrize("version", tls.VERSIONS)
def test_what_is_agreed_on_is_the_best_of_both(edge, connect_tls, version):
    client = connect_tls(edge(), version)
    name, _, bits = client.sock.cipher()
    assert ("GCM" in name or "CHACHA20" in name) and bits >= 128
    assert client.sock.compression() is None


def test_a_good_group_is_agreed_on(edge):
    done = s_client.s_client(edge(), "-tls1_3", "-groups", "P-256:X25519:P-384")
    assert done.find(r"Server Temp Key: (X25519|ECDH, prime256v1|ECDH, P-256)"), done.text


# --- Protocols (ALPN) ---


@pytest.mark.parametrize("offered, chosen", [
    (["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"),
    (["h2"], "h2"), (["nonsense", "http/1.1"], "http/1.1"), ([], None)])
@pytest.mark.parametrize("version", tls.VERSIONS)
def test_http2_is_chosen_before_http1(edge, connect_tls, version, offered, chosen):
    client = connect_tls(edge(), version, protocols=offered)
    assert client.sock.selected_alpn_protocol() == chosen
    if chosen != "h2":
        assert client.get().status == 200


@pytest.mark.parametrize("offered", [["nonsense"], ["h2c"], ["http/1.0", "spdy/3"]])
@pytest.mark.parametrize("flag", ["-tls1_2", "-tls1_3"])
def test_nothing_in_common_is_refused_with_the_alert(edge, flag, offered):
    """RFC 7301 section 3.2. Python's ssl has no name for it."""
    proxy = edge()
    done = s_client.s_client(proxy, flag, "-alpn", ",".join(offered))
    assert done.cipher is None and "alert no application protocol" in done.text, done.text
    proxy.wait_metric(1, "weir_downstream_tls_handshakes_total", result="failed")


def test_s_client_tells_the_same(edge):
    proxy = edge()
    assert s_client.s_client(proxy, "-alpn", "h2,http/1.1").protocol == "h2"
    assert s_client.s_client(proxy, "-alpn", "http/1.1").protocol == "http/1.1"
    assert "No ALPN negotiated" in s_client.s_client(proxy).text


# --- As it is told ---


def test_min_version(edge, connect_tls):
    proxy = edge(tls={"min_version": 1.3})
    assert connect_tls(proxy, "TLSv1.3").get().status == 200
    assert "PROTOCOL_VERSION" in tls.refusal(lambda: connect_tls(proxy, "TLSv1.2"))


def test_max_version(edge, connect_tls):
    proxy = edge(tls={"max_version": 1.2})
    assert connect_tls(proxy, "TLSv1.2").get().status == 200
    assert "PROTOCOL_VERSION" in tls.refusal(lambda: connect_tls(proxy, "TLSv1.3"))


@pytest.mark.parametrize("options, version, cipher", [
    ({"ciphers": "ECDHE-ECDSA-CHACHA20-POLY1305"}, "TLSv1.2", "ECDHE-ECDSA-CHACHA20-POLY1305"),
    ({"ciphersuites": "TLS_CHACHA20_POLY1305_SHA256"}, "TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256"),
])
def test_ciphers(edge, connect_tls, options, version, cipher):
    client = connect_tls(edge(tls=options), version)
    assert client.sock.cipher()[0] == cipher and client.get().status == 200


def test_groups(edge):
    proxy = edge(tls={"groups": "P-384"})
    done = s_client.s_client(proxy, "-tls1_3")
    assert done.find(r"Server Temp Key: ECDH, (secp384r1|P-384)"), done.text
    assert s_client.s_client(proxy, "-tls1_3", "-groups", "X25519").cipher is None


def test_each_listener_has_its_own(weir, origin, connect_tls, edge_certificate):
    listen = [tls.listener(edge_certificate, **tls.only(version)) for version in tls.VERSIONS]
    proxy = weir(one_upstream(origin.address, service={"listen": listen}))
    for address, version in zip(proxy.listeners[0], tls.VERSIONS):
        client = connect_tls(address)
        assert client.sock.version() == version and client.get().status == 200
