# SPDX-License-Identifier: MIT
"""The origin behind every proxy, and what it counts."""

import http.client

from lib.children import Child, free_ports


class Origin:
    def __init__(self, program, directory):
        self.port, = free_ports(1)
        self.child = Child("origin", [program, "--listen", f"127.0.0.1:{self.port}"], directory)
        # Kept open, so that asking adds nothing to the count of connections.
        self._asking = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)

    def wait_ready(self):
        self.child.wait_ready(self.port)

    def connections_accepted(self):
        self._asking.request("GET", "/served")
        words = self._asking.getresponse().read().split()
        return int(words[3])

    def stop(self):
        self.child.stop()


def fetch_body(port, size):
    """The body of `GET /size`; None if there is no answer, or none with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", f"/{size}")
        response = connection.getresponse()
        body = response.read()
        return body if response.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
