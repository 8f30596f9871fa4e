# SPDX-License-Identifier: MIT
"""A raw HTTP/1 client: sends exactly the bytes it is told, reads responses strictly by framing."""

import re
import socket
import ssl
import threading

import sockets
from framing import Cut, Reader


class Response:
    """One response; `complete` says whether all of it came, `interim` holds the 1xx before it."""

    def __init__(self, head, body, trailers, framing, complete, interim):
        self.head = head
        self.body = body
        self.trailers = trailers
        self.framing = framing  # none | length | chunked | close
        self.complete = complete
        self.interim = interim

    @property
    def status(self):
        return int(self.head.start.split(" ")[1])

    @property
    def version(self):
        return self.head.start.split(" ")[0]

    def get(self, name):
        return self.head.get(name)

    @property
    def connection(self):
        """The number of the origin's connection that answered."""
        return self.label("x-connection")

    @property
    def ordinal(self):
        """Which request on the origin's connection this one was."""
        return self.label("x-request")

    def label(self, name):
        assert self.get(name), f"not a response of the origin: {self}"
        return int(self.get(name))

    @property
    def error(self):
        """The error that weir tells in Proxy-Status (RFC 9209), None if it tells none."""
        match = re.match(r"weir; error=([a-z_]+)", self.get("proxy-status") or "")
        return match and match.group(1)

    def __repr__(self):
        return f"<{self.head.start!r} {self.head.fields} {self.body[:80]!r}>"


class Client:
    """One connection. `server` is an address or anything that has one.

    `preface` goes first. With `tls`, an ssl.SSLContext, the handshake is done then, with `name` as
    the server's name and `session` as the one to resume.
    """

    def __init__(self, server, receive_buffer=None, preface=b"", tls=None, name="edge.test",
                 session=None):
        address = server if isinstance(server, str) else server.address
        self.sock = sockets.connect(address, receive_buffer)
        self.sock.sendall(preface)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=name, session=session,
                                        suppress_ragged_eofs=False)
        self.reader = Reader(self.sock)

    def send(self, *pieces):
        """Send the pieces, each by a call of its own."""
        for piece in pieces:
            self.sock.sendall(piece)

    def send_unless_refused(self, *pieces):
        """As send, for a server that may answer and close before it has read everything."""
        try:
            self.send(*pieces)
        except ConnectionError:
            pass

    def upload(self, raw):
        """Send from a thread of its own, as long as the connection bears it; the thread."""
        def send():
            try:
                self.send(raw)
            except OSError:
                pass  # the response tells what became of it
        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        return thread

    def request(self, method="GET", target="/", fields=(), body=None, host="example.test"):
        """Send one request and return its response. A body gets its Content-Length."""
        self.send(request(method, target, fields, body, host))
        return self.receive(method)

    def get(self, target="/", *fields):
        return self.request("GET", target, fields)

    def receive(self, method="GET"):
        """The next final response, with the interim ones before it. 101 is final."""
        interim = []
        while True:
            head = self.receive_head()
            response = self._body(head, method, interim)
            if response.status >= 200 or response.status == 101:
                return response
            interim.append(response)

    def receive_interim(self):
        """The next head, which must be a 1xx."""
        head = self.receive_head()
        assert head.start.startswith("HTTP/1.1 1"), head.start
        return head

    def receive_head(self):
        try:
            head = self.reader.head()
        except Cut as cut:
            raise AssertionError(f"a head cut short: {cut.partial!r}") from None
        assert head is not None, f"the connection ended ({self.reader.end}), no response"
        return head

    def _body(self, head, method, interim):
        version, _, rest = head.start.partition(" ")
        assert version in ("HTTP/1.1", "HTTP/1.0") and rest[:3].isdigit(), head.start
        status = int(rest[:3])
        lengths, codings = head.all("content-length"), head.tokens("transfer-encoding")
        assert not (lengths and codings), f"both framings: {head.raw!r}"
        framing, body, trailers, complete = "none", b"", [], True
        try:
            if method == "HEAD" or status < 200 or status in (204, 304):
                pass
            elif codings:
                assert codings == ["chunked"], codings
                framing = "chunked"
                body, trailers = self.reader.chunked()
            elif lengths:
                assert len(lengths) == 1 and lengths[0].isdigit(), lengths
                framing = "length"
                body = self.reader.exactly(int(lengths[0]))
            else:
                framing = "close"
                body = self.reader.rest()
                complete = self.reader.end == "fin"
        except Cut as cut:
            body, complete = cut.partial, False
        return Response(head, body, trailers, framing, complete, interim)

    def ended(self):
        """Wait for the server to end the connection; how (see Reader). Nothing may come before."""
        rest = self.reader.rest()
        assert rest == b"", f"bytes before the end: {rest[:200]!r}"
        return self.reader.end

    def leftover(self):
        """What came beyond the last response, without waiting."""
        self.sock.setblocking(False)
        try:
            while self.reader.fill():
                pass
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        self.sock.settimeout(sockets.SOCKET_TIMEOUT)
        return bytes(self.reader.buffer)

    def half_close(self):
        sockets.say_close(self.sock)
        sockets.shut(self.sock, socket.SHUT_WR)

    def reset(self):
        sockets.close_with_reset(self.sock)

    def close(self):
        sockets.say_close(self.sock)
        self.sock.close()

    def truncate(self):
        """Close without close_notify, as a cut connection looks."""
        self.sock.close()


def request(method="GET", target="/", fields=(), body=None, host="example.test"):
    """A request's bytes. Fields are whole lines without CRLF."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def get_once(address, target="/", *fields):
    """One GET on a connection of its own."""
    client = Client(address)
    try:
        return client.get(target, "Connection: close", *fields)
    finally:
        client.close()
