# SPDX-License-Identifier: MIT
"""The origin behind every proxy, what it counts, and how one response is fetched."""

import http.client
import subprocess

from lib import certificate
from lib.children import Child, Failed, free_ports


class Origin:
    """`tls_files`: the certificate and its key, for a second port that speaks TLS."""

    def __init__(self, program, directory, tls_files=None):
        self.port, self.tls_port, self.h2_port = free_ports(3)
        argv = [program, "--listen", f"127.0.0.1:{self.port}",
                "--h2", f"127.0.0.1:{self.h2_port}"]
        if tls_files:
            argv += ["--tls", f"127.0.0.1:{self.tls_port}", *tls_files]
        self.child = Child("origin", argv, directory)
        # Kept open, so that asking adds nothing to the count of connections.
        self._asking = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)

    def wait_ready(self):
        self.child.wait_ready(self.port)

    def served(self):
        """So far: requests, connections, and TLS handshakes, full and resumed. Since it was asked
        last: connections that had requests (`used`)."""
        self._asking.request("GET", "/served")
        words = self._asking.getresponse().read().decode().split()
        return dict(zip(words[::2], map(int, words[1::2])))

    def connections_accepted(self):
        return self.served()["connections"]

    def stop(self):
        self.child.stop()


def fetch_body(port, size, context=None):
    """The body of `GET /size`, over TLS if there is a context for it; None if there is no answer,
    or none with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.connect()
        if context:
            connection.sock = context.wrap_socket(connection.sock, server_hostname=certificate.NAME)
        connection.request("GET", f"/{size}")
        response = connection.getresponse()
        body = response.read()
        return body if response.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def fetch_body_h2(port, size, ca=None):
    """The same over HTTP/2: with prior knowledge or, if there is an authority for it, over TLS."""
    how = ["--http2", "--cacert", ca] if ca else ["--http2-prior-knowledge"]
    url = f"{'https' if ca else 'http'}://127.0.0.1:{port}/{size}"
    argv = ["curl", "--silent", "--max-time", "5", *how, "--write-out",
            "%{stderr}%{http_version} %{http_code}", url]
    try:
        done = subprocess.run(argv, capture_output=True, check=False, timeout=10)
    except FileNotFoundError as error:
        raise Failed("curl is not installed") from error
    return done.stdout if done.returncode == 0 and done.stderr == b"2 200" else None
