# SPDX-License-Identifier: MIT
"""What is wrong with the TLS of a configuration, told like the rest: file, line and column. And the
secrets, which are written down for who asks for that only."""

import re

import pytest

import authority as certificates
import tls
from weir import NotReady, run

MESSAGE = re.compile(r"weir\.yaml:(\d+):(\d+): error: (.+)")

CONFIG = """\
version: 1
services:
  - name: edge
    listen:
      - address: 127.0.0.1:8443
        tls:
          cert: {cert}
          key: {key}
          {listen}
    upstreams:
      web:
        servers: [127.0.0.1:9001]
        tls:
          ca: {ca}
          {upstream}
    routes: [ upstream: web ]
"""
CERT, KEY, LISTEN, CA, UPSTREAM = 7, 8, 9, 14, 15  # the lines that these are on


@pytest.fixture
def check(tmp_path, edge_certificate, authority):
    """`weir -t` on CONFIG with these values: its status, and (line, text) of its messages.

    `without`: the lines that begin so are left out."""
    def run_test(without=None, **values):
        text = CONFIG.format(**{**edge_certificate.files, "ca": authority.ca,
                                "listen": "handshake_timeout: 10s",
                                "upstream": "verify_cert: true", **values})
        lines = [line for line in text.splitlines(keepends=True)
                 if not without or not line.strip().startswith(without)]
        (tmp_path / "weir.yaml").write_text("".join(lines))
        done = run("-t", "-c", "weir.yaml", directory=tmp_path)
        told = [MESSAGE.fullmatch(line) for line in done.stderr.splitlines()
                if ": error: " in line]
        assert all(told), done.stderr
        return done.returncode, [(int(m[1]), m[3]) for m in told]
    return run_test


@pytest.fixture
def junk(tmp_path):
    path = tmp_path / "junk.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n"
                    "-----END CERTIFICATE-----\n")
    return str(path)


def check_told(result, lines, pattern):
    status, told = result
    assert status == 2 and told
    assert any(line in lines and re.search(pattern, text) for line, text in told), told


def test_what_is_right_passes(check):
    assert check() == (0, [])


@pytest.mark.parametrize("name, line", [("cert", CERT), ("key", KEY), ("ca", CA)])
def test_a_missing_file_is_named(check, tmp_path, name, line):
    path = str(tmp_path / "absent.pem")
    check_told(check(**{name: path}), [line], re.escape(path))


@pytest.mark.parametrize("name, line", [("cert", CERT), ("key", KEY), ("ca", CA)])
@pytest.mark.parametrize("kind", ["junk", "empty", "directory"])
def test_a_file_of_something_else_is_told(check, tmp_path, junk, name, line, kind):
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    path = {"junk": junk, "empty": str(empty), "directory": str(tmp_path)}[kind]
    check_told(check(**{name: path}), [line], re.escape(path))


def test_a_key_of_another_certificate_is_told(check, authority):
    check_told(check(key=authority.issue("other.test").key), [CERT, KEY], "match")


def test_a_key_with_a_password_is_told_and_none_is_asked_for(check, tmp_path, edge_certificate):
    locked = str(tmp_path / "locked.key")
    certificates.openssl("ec", "-in", edge_certificate.key, "-aes128", "-passout", "pass:secret",
                         "-out", locked)
    check_told(check(key=locked), [KEY], re.escape(locked))


LISTENER_MISTAKES = {
    "unknown_cipher": "ciphers: NO-SUCH-CIPHER",
    "no_cipher": 'ciphers: ""',
    "unknown_ciphersuite": "ciphersuites: TLS_NO_SUCH",
    "unknown_group": "groups: NO-SUCH-GROUP",
    "version_too_old": "min_version: 1.1",
    "version_unknown": "max_version: 1.4",
    "client_cert_unknown": "client_cert: sometimes",
    "client_cert_without_ca": "client_cert: required",
    "client_ca_missing": "client_ca: absent.pem",
    "timeout_without_unit": "handshake_timeout: 10",
    "unknown_key": "sni: edge.test",
    "more_without_key": "certificates: [ { cert: absent.pem } ]",
}
UPSTREAM_MISTAKES = {
    "unknown_cipher": "ciphers: NO-SUCH-CIPHER",
    "unknown_ciphersuite": "ciphersuites: TLS_NO_SUCH",
    "unknown_group": "groups: NO-SUCH-GROUP",
    "version_too_old": "min_version: 1.0",
    "verify_cert": "verify_cert: perhaps",
    "missing_cert": "cert: absent.pem",
    "unknown_key": "handshake_timeout: 5s",
}


@pytest.mark.parametrize("name", LISTENER_MISTAKES)
def test_mistakes_of_a_listener_are_told_where_they_stand(check, name):
    check_told(check(listen=LISTENER_MISTAKES[name]), [LISTEN], ".")


@pytest.mark.parametrize("name", UPSTREAM_MISTAKES)
def test_mistakes_of_an_upstream_are_told_where_they_stand(check, name):
    check_told(check(upstream=UPSTREAM_MISTAKES[name]), [UPSTREAM], ".")


@pytest.mark.parametrize("what", ["cert", "key"])
def test_a_listener_needs_a_certificate_and_its_key(check, what):
    check_told(check(without=f"{what}:"), [CERT - 1, CERT], rf"\b{what}\b")


def test_versions_that_exclude_each_other_are_told(check):
    result = check(listen="min_version: 1.3\n          max_version: 1.2")
    check_told(result, [LISTEN, LISTEN + 1], "version")


def test_a_certificate_of_a_client_needs_its_key(check, edge_certificate):
    check_told(check(upstream=f"cert: {edge_certificate.cert}"), [CA - 1, CA, UPSTREAM],
               r"\bkey\b(?! 'tls')")


def test_all_mistakes_are_told_in_one_run(check, tmp_path):
    status, told = check(cert=str(tmp_path / "a.pem"), ca=str(tmp_path / "b.pem"),
                         listen="ciphers: NO-SUCH-CIPHER", upstream="groups: NO-SUCH-GROUP")
    assert status == 2
    assert {CERT, LISTEN, CA, UPSTREAM} <= {line for line, _ in told}, told


def test_a_missing_ca_file_is_told(weir, tls_origin, tmp_path):
    config = {"version": 1, "ca_file": str(tmp_path / "absent.pem"), "services": [
        {"name": "edge", "upstream": f"https://{tls_origin.address}"}]}
    with pytest.raises(NotReady, match=r"weir.yaml:\d+:\d+: error: .*absent\.pem"):
        weir(config)


# --- Secrets ---


@pytest.fixture
def world(weir, tls_origin, edge_certificate, authority, monkeypatch):
    """weir with TLS on both sides."""
    monkeypatch.delenv("SSLKEYLOGFILE", raising=False)
    config = tls.to_tls(authority, tls_origin.address,
                        service={"listen": [tls.listener(edge_certificate)]})
    return lambda **options: weir(config, **options)


def test_secrets_are_written_where_the_environment_says(world, connect_tls, tmp_path):
    path = tmp_path / "secrets"
    proxy = world(environment={"SSLKEYLOGFILE": str(path)})
    assert connect_tls(proxy).get().status == 200
    proxy.stop()
    lines = [line.split(" ") for line in path.read_text().splitlines() if line[0] != "#"]
    assert all(len(line) == 3 for line in lines)
    both_sides = {random for label, random, _ in lines if label == "CLIENT_TRAFFIC_SECRET_0"}
    assert len(both_sides) == 2, "one connection to each side"


def test_secrets_are_written_nowhere_else(world, connect_tls, tmp_path):
    proxy = world()
    assert connect_tls(proxy).get().status == 200
    proxy.stop()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert b"TRAFFIC_SECRET" not in path.read_bytes(), path
