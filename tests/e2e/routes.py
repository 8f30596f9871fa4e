# SPDX-License-Identifier: MIT
"""One service whose routes want more than an upstream, and tests that hold for HTTP/1 and HTTP/2.

The upstreams are called "web", "auth" and "shadow", and spoken with in the protocol of their
servers, which are origins of either kind.
"""

import client
from h2_origin import H2Origin
from weir import one_upstream


def upstream_of(origin, **settings):
    """The upstream of one origin, or of an address."""
    told = {"servers": [getattr(origin, "address", origin)], **settings}
    return {**told, "protocol": "http2"} if isinstance(origin, H2Origin) else told


def guarded(web, auth, copy=(), path="/verify", upstreams=None, **top):
    """weir that asks `auth` before it asks `web`."""
    asks = {"upstream": "auth", "path": path, **({"copy_headers": list(copy)} if copy else {})}
    return one_upstream(service={
        "routes": [{"upstream": "web", "auth_request": asks}],
        "upstreams": upstreams or {"web": upstream_of(web), "auth": upstream_of(auth)}}, **top)


def mirrored(web, shadow, upstreams=None, **options):
    """weir that sends copies of what `web` gets to `shadow`; `options` are the mirror's."""
    return one_upstream(service={
        "routes": [{"upstream": "web", "mirror": {"upstream": "shadow", **options}}],
        "upstreams": upstreams or {"web": upstream_of(web), "shadow": upstream_of(shadow)}})


class Asker:
    """A client of either protocol, whose fields are pairs."""

    def __init__(self, connect, connect_h2, proxy, protocol):
        self.protocol = protocol
        self.is_h2 = protocol == "h2"
        self.client = connect_h2(proxy) if self.is_h2 else connect(proxy)

    def request(self, method="GET", target="/", fields=(), body=None):
        if self.is_h2:
            lower = [(name.lower(), value) for name, value in fields]
            return self.client.request(method, target, lower, body)
        return self.client.request(method, target, [f"{name}: {value}" for name, value in fields],
                                   body)

    def get(self, target="/", *fields):
        return self.request("GET", target, fields)

    def start(self, method="GET", target="/", body=None):
        """Send it and do not wait."""
        if self.is_h2:
            return self.client.start(method, target, body=body)
        self.client.send(client.request(method, target, body=body))
        return None


def respond(exchange, status=200, body=b"", fields=()):
    """The same on both kinds of origins; the fields are pairs."""
    if isinstance(exchange.connection.origin, H2Origin) and not hasattr(exchange, "head_of"):
        exchange.respond(body, status, [(name.lower(), value) for name, value in fields])
    else:
        exchange.respond(body, f"{status} Word", [f"{name}: {value}" for name, value in fields])


def answers(status=200, body=b"", fields=()):
    """A behaviour of either kind of origin."""
    return lambda exchange: respond(exchange, status, body, fields)
