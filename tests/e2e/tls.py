# SPDX-License-Identifier: MIT
"""TLS for the tests' own clients and origins (Python's ssl), and what configurations say of it.

The end of a TLS connection has two parts: close_notify within TLS, and TCP's FIN. A connection that
ends without the first may have been cut by anybody. Readers tell "fin" (close_notify came), and
"truncated" (FIN without it).
"""

import ssl

from weir import one_upstream

EDGE = "edge.test"      # what weir's certificates are for
ORIGIN = "origin.test"  # what the origins' are for
NUMBERS = {"TLSv1.2": 1.2, "TLSv1.3": 1.3}  # as configurations call the versions
VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def prepare(context, version):
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # Python's own default takes it for an end
    if version:
        context.minimum_version = context.maximum_version = VERSIONS[version]


def note_name(sock, name, _context):
    sock.told_name = name


def server_context(certificate, version=None, client_ca=None):
    """For an origin. With `client_ca` a client must show a certificate of that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    context.sni_callback = note_name
    prepare(context, version)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(authority, version=None, certificate=None, protocols=()):
    """For a client, which verifies whom it talks to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.ca)
    prepare(context, version)
    if certificate:
        context.load_cert_chain(certificate.cert, certificate.key)
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


def subject(sock):
    """The common name of the peer's certificate, which was verified; None: it showed none."""
    shown = sock.getpeercert()
    return dict(pair for part in shown["subject"] for pair in part)["commonName"] if shown else None


def leaf(certificate):
    """The certificate alone, as the peer gets it."""
    with open(certificate.leaf, encoding="ascii") as pem:
        return ssl.PEM_cert_to_DER_cert(pem.read())


def refusal(open_client):
    """What open_client() is refused with, as OpenSSL calls the alert.

    In TLS 1.3 a client is done with the handshake before the server is, and hears of it by reading.
    """
    try:
        client = open_client()
        client.reader.fill()
    except ssl.SSLError as why:
        return why.reason or str(why)
    raise AssertionError(f"no alert: {client.reader.end}")


# --- Configurations ---


def only(version):
    return {"min_version": NUMBERS[version], "max_version": NUMBERS[version]}


def upstream_tls(authority, **options):
    """The `tls` of an upstream whose origins have certificates for ORIGIN."""
    return {"ca": authority.ca, "sni": ORIGIN, **options}


def to_tls(authority, *servers, tls=None, upstream=None, **options):
    """A configuration with one upstream that is spoken to over TLS."""
    told = {"tls": upstream_tls(authority, **(tls or {})), **(upstream or {})}
    return one_upstream(*servers, upstream=told, **options)


def listener(certificate, **options):
    """A listener with TLS, without its address."""
    return {"tls": {**certificate.files, **options}}


def from_tls(certificate, *servers, tls=None, service=None, **options):
    """A configuration with one listener, which speaks TLS; `tls` are more options of it."""
    told = {"listen": [listener(certificate, **(tls or {}))], **(service or {})}
    return one_upstream(*servers, service=told, **options)
