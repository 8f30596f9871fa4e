# SPDX-License-Identifier: MIT
"""Whose certificates weir believes, and what it says of those that it does not."""

import re

import pytest

import authority as certificates
import tls
from waiting import wait_until
from weir import one_upstream

UNKNOWN = "unable to get local issuer certificate|unable to verify the first certificate"
MISMATCH = "[Hh]ostname mismatch"

# What the certificate is like, and what the log says of it.
BAD = {
    "expired": (lambda good, bad: good.expired(tls.ORIGIN), "certificate has expired"),
    "not_yet_valid": (lambda good, bad: good.not_yet_valid(tls.ORIGIN),
                      "certificate is not yet valid"),
    "self_signed": (lambda good, bad: good.self_signed(tls.ORIGIN), "self.signed certificate"),
    "unknown_authority": (lambda good, bad: bad.issue(tls.ORIGIN), UNKNOWN),
    "missing_intermediate": (lambda good, bad: good.issue(tls.ORIGIN, chain=False), UNKNOWN),
    "wrong_purpose": (lambda good, bad: good.client(tls.ORIGIN),
                      "(unsuitable|unsupported) certificate purpose"),
}
# With a name that is not the server's: of the certificate, and what it is asked for by.
WRONG_NAMES = {
    "other_name": (["other.test"], tls.ORIGIN),
    "parent_of_the_name": (["test"], tls.ORIGIN),
    "wildcard_two_levels_up": (["*.test"], "a.origin.test"),
    "wildcard_of_the_name_itself": (["*.origin.test"], tls.ORIGIN),
    "name_that_begins_alike": (["origin.test.other.test"], tls.ORIGIN),
}


@pytest.fixture
def try_it(tls_origins, behind, connect):
    """weir in front of an origin with that certificate, and one response: (origin, proxy, it)."""
    def run(certificate, **options):
        origin = tls_origins(certificate=certificate)
        proxy = behind(origin, tls=options)
        return origin, proxy, connect(proxy).get()
    return run


def check_refused(origin, proxy, response, reason):
    assert (response.status, response.error) == (502, "tls_certificate_error")
    line = proxy.logged(1)[0]
    assert (line["status"], line["error"]) == (502, "tls_certificate_error")
    said = re.compile(rf"upstream web: {re.escape(origin.address)}: .*({reason})")
    wait_until(lambda: said.search(proxy.stderr), 5, f"{said.pattern} in {proxy.stderr}")
    wait_until(lambda: all(connection.ended for connection in origin.connections))
    assert origin.connections and origin.received == b"", "it was sent a part of the request"
    failed = proxy.metric("weir_upstream_tls_handshakes_total", result="failed")
    assert failed == len(origin.connections)
    proxy.wait_metric(0, "weir_pool_idle_connections")


def check_taken(origin, response):
    assert (response.status, response.connection) == (200, 1)
    assert origin.handshakes


@pytest.mark.parametrize("name", BAD)
def test_bad_certificates_are_refused(try_it, authority, stranger, name):
    make, reason = BAD[name]
    check_refused(*try_it(make(authority, stranger)), reason)


@pytest.mark.parametrize("name", BAD)
def test_bad_certificates_are_taken_unverified(try_it, authority, stranger, name):
    make, _ = BAD[name]
    origin, _, response = try_it(make(authority, stranger), verify_cert=False)
    check_taken(origin, response)


@pytest.mark.parametrize("name", BAD)
def test_bad_certificates_are_refused_whatever_their_name(try_it, authority, stranger, name):
    make, reason = BAD[name]
    check_refused(*try_it(make(authority, stranger), verify_hostname=False), reason)


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_wrong_names_are_refused(try_it, authority, name):
    names, sni = WRONG_NAMES[name]
    check_refused(*try_it(authority.issue(*names), sni=sni), MISMATCH)


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_wrong_names_are_taken_unverified(try_it, authority, name):
    names, sni = WRONG_NAMES[name]
    origin, _, response = try_it(authority.issue(*names), sni=sni, verify_hostname=False)
    check_taken(origin, response)


@pytest.mark.parametrize("names, sni", [
    ([tls.ORIGIN], "ORIGIN.test"), (["*.origin.test"], "a.origin.test"),
    (["first.test", "second.test", tls.ORIGIN], tls.ORIGIN)])
def test_right_names_are_taken(try_it, authority, names, sni):
    origin, _, response = try_it(authority.issue(*names), sni=sni)
    check_taken(origin, response)


def test_an_rsa_certificate_is_taken(try_it, authority):
    origin, _, response = try_it(authority.issue(tls.ORIGIN, key=certificates.RSA))
    check_taken(origin, response)


# --- The other name ---


def test_an_alternative_name_is_taken(try_it, authority):
    origin, _, response = try_it(authority.issue("other.test"), alternative_cn="other.test")
    check_taken(origin, response)
    assert origin.connections[0].told_name == tls.ORIGIN, "the name that is asked for stays"


def test_the_name_itself_stays_good_beside_an_alternative(try_it, origin_certificate):
    origin, _, response = try_it(origin_certificate, alternative_cn="other.test")
    check_taken(origin, response)


def test_neither_name_is_refused(try_it, authority):
    check_refused(*try_it(authority.issue("third.test"), alternative_cn="other.test"), MISMATCH)


# --- Addresses ---


@pytest.fixture
def by_address(weir, tls_origins, connect, authority):
    """As try_it, with no name told: the server's address is what the certificate must have."""
    def run(*names):
        origin = tls_origins(certificate=authority.issue(*names))
        proxy = weir(one_upstream(origin.address, upstream={"tls": {"ca": authority.ca}}))
        return origin, proxy, connect(proxy).get()
    return run


def test_the_right_address_is_taken(by_address):
    origin, _, response = by_address("192.0.2.1", "127.0.0.1")
    check_taken(origin, response)


@pytest.mark.parametrize("names", [["127.0.0.2"], [tls.ORIGIN]])
def test_the_wrong_address_is_refused(by_address, names):
    check_refused(*by_address(*names), "IP address mismatch|[Hh]ostname mismatch")


# --- What follows ---


def test_the_client_goes_on_and_each_try_is_a_new_dial(tls_origins, behind, connect, authority):
    origin = tls_origins(certificate=authority.expired(tls.ORIGIN))
    client = connect(behind(origin, upstream={"fail_timeout": "0"}))
    assert [client.get().status for _ in range(3)] == [502] * 3
    assert len(origin.connections) >= 3 and origin.received == b""


def test_a_server_that_is_given_a_good_certificate_is_taken_again(tls_origins, behind, connect,
                                                                  authority, origin_certificate):
    origin = tls_origins(certificate=authority.expired(tls.ORIGIN))
    client = connect(behind(origin, upstream={"fail_timeout": "0"}))
    assert client.get().status == 502
    origin.tls = tls.server_context(origin_certificate)
    assert client.get().status == 200
