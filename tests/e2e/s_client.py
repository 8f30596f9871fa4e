# SPDX-License-Identifier: MIT
"""`openssl s_client`: a TLS client that tells everything of its session, and can misbehave."""

import re
import subprocess
import tempfile

import servers
from waiting import wait_until

REQUEST = b"GET / HTTP/1.1\r\nHost: edge.test\r\nConnection: close\r\n\r\n"


class Done:
    """What it wrote, and its exit status (None: it had not ended)."""

    def __init__(self, text, status):
        self.text = text
        self.status = status

    @property
    def resumed(self):
        return "Reused, TLS" in self.text

    def find(self, pattern):
        """The first group of what matches, or None."""
        match = re.search(pattern, self.text)
        return match and match[1]

    @property
    def cipher(self):
        """What was agreed on; None: nothing, there was no handshake."""
        found = self.find(r"(?:New|Reused), TLSv[\d.]+, Cipher is (\S+)")
        return None if found == "(NONE)" else found

    @property
    def protocol(self):
        return self.find(r"ALPN protocol: (\S+)")


def target(address):
    if address.startswith("unix:"):
        return ["-unix", address.removeprefix("unix:")]
    return ["-connect", address]


def s_client(server, *arguments, send=b"", until=None):
    """Connect and tell. Its input stays open until it ends or has written what `until` matches;
    without `until` and with nothing to send it ends after the handshake."""
    address = server if isinstance(server, str) else server.address
    command = [servers.find("openssl"), "s_client", *target(address), *map(str, arguments)]
    with tempfile.TemporaryFile() as out:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out,
                              stderr=subprocess.STDOUT) as process:
            if send:
                process.stdin.write(send)
                process.stdin.flush()
            if not send and not until:
                process.stdin.close()

            def text():
                out.seek(0)
                return out.read().decode(errors="backslashreplace")

            try:
                wait_until(lambda: process.poll() is not None
                           or (until and re.search(until, text())), 10, "s_client at its end")
            finally:
                status = process.poll()
                process.kill()
            return Done(text(), status)


def get(server, *arguments):
    """One request; the session is told with the response (TLS 1.3 sends its tickets by then)."""
    return s_client(server, "-ign_eof", *arguments, send=REQUEST)
