# SPDX-License-Identifier: MIT
"""Two upstreams of one service with the same address share connections if all is equal that makes a
connection what it is, and only then."""

import pytest

import authority as certificates
import tls
from weir import one_upstream


@pytest.fixture
def share(weir, tls_origins, connect, authority):
    """Requests to /a, /b and /twin by turns; which connection of the origin each one used.

    /a and /twin go to upstreams with the first options, /b to one with the second.
    """
    def run(first, second):
        origin = tls_origins(preface=True)
        names = {"a": first, "b": second, "twin": first}
        config = one_upstream(origin.address)
        config["services"][0]["upstreams"] = {
            name: upstream(authority, origin, **options) for name, options in names.items()}
        config["services"][0]["routes"] = [
            {"path": f"/{name}", "upstream": name} for name in names]
        proxy = weir(config)
        client = connect(proxy)
        used = {name: set() for name in names}
        for _ in range(3):
            for name in names:
                used[name].add(client.get(f"/{name}").connection)
                proxy.wait_metric(0, "weir_pool_in_use_connections")
        return used
    return run


def upstream(authority, origin, tls_options=None, **options):
    return {"servers": [origin.address],
            "tls": tls.upstream_tls(authority, **(tls_options or {})), **options}


def over_tls(**options):
    return {"tls_options": options}


CIPHERS = "ECDHE-ECDSA-AES128-GCM-SHA256"
# What the first and the second upstream have. A function gets the authority and its other things.
DIFFERENT = {
    "verify_cert": (over_tls(), over_tls(verify_cert=False)),
    "verify_hostname": (over_tls(), over_tls(verify_hostname=False)),
    "alternative_cn": (over_tls(), over_tls(alternative_cn="second.test")),
    "alternative_cn_other": (over_tls(alternative_cn="third.test"),
                             over_tls(alternative_cn="second.test")),
    "sni": (over_tls(), over_tls(sni="second.test")),
    "min_version": (over_tls(), over_tls(min_version=1.3)),
    "max_version": (over_tls(), over_tls(max_version=1.2)),
    "ciphers": (over_tls(max_version=1.2), over_tls(max_version=1.2, ciphers=CIPHERS)),
    "ciphersuites": (over_tls(), over_tls(ciphersuites="TLS_AES_128_GCM_SHA256")),
    "groups": (over_tls(), over_tls(groups="P-384")),
    "proxy_protocol": (over_tls(), {"proxy_protocol": "v2"}),
    "proxy_protocol_version": ({"proxy_protocol": "v1"}, {"proxy_protocol": "v2"}),
    "group_key": (over_tls(), {"group_key": 7}),
}


def check_apart(used):
    assert used["a"] == used["twin"] and len(used["a"]) == len(used["b"]) == 1, used
    assert used["a"] != used["b"], used


@pytest.mark.parametrize("name", DIFFERENT)
def test_upstreams_that_differ_share_nothing(share, name):
    check_apart(share(*DIFFERENT[name]))


def test_upstreams_with_other_client_certificates_share_nothing(share, authority):
    alice, bob = authority.client("alice"), authority.client("bob")
    check_apart(share(over_tls(**alice.files), over_tls(**bob.files)))
    check_apart(share(over_tls(), over_tls(**bob.files)))


def test_upstreams_that_trust_others_share_nothing(share, authority, stranger, tmp_path):
    """Even if both would trust this server."""
    both = certificates.join(tmp_path, "both.pem", authority.ca, stranger.ca)
    check_apart(share(over_tls(), over_tls(ca=both)))


def test_upstreams_that_are_equal_share(share):
    used = share(over_tls(), over_tls())
    assert used["a"] == used["b"] == used["twin"] == {1}


def test_upstreams_that_are_equal_in_everything_share(share, authority):
    options = over_tls(**authority.client("alice").files, alternative_cn="second.test",
                       verify_hostname=True, verify_cert=True, min_version=1.2, max_version=1.3,
                       ciphers=CIPHERS, session_resumption=True)
    used = share({**options, "group_key": 7}, {**options, "group_key": 7})
    assert used["a"] == used["b"] == used["twin"] == {1}


def test_what_does_not_make_a_connection_another_one_does_not_part_them(share):
    """Times and limits are each upstream's own; the connection is the same."""
    used = share({**over_tls(), "read_timeout": "7s"}, {**over_tls(), "read_timeout": "8s"})
    assert used["a"] == used["b"] == {1}


def test_services_never_share(weir, tls_origins, connect, authority):
    origin = tls_origins()
    config = tls.to_tls(authority, origin.address)
    config["services"].append({**config["services"][0], "name": "second"})
    proxy = weir(config)
    assert [connect(address).get().connection for address in proxy.addresses] == [1, 2]
