# SPDX-License-Identifier: MIT
"""HTTP/1 messages off a socket, strictly by their framing (RFC 9112): no guessing, no repair.

The client reads responses with it and the scripted origin reads requests with it, so that what weir
writes on either side is checked byte by byte.
"""

import re
import ssl

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


class Cut(Exception):
    """The peer ended in the middle of something; `partial` is what had come of it."""

    def __init__(self, partial=b""):
        super().__init__(f"cut after {len(partial)} bytes")
        self.partial = partial


def parse_field(line):
    name, colon, value = line.decode("latin-1").partition(":")
    assert colon and TOKEN.match(name), f"malformed field line {line!r}"
    assert not re.search(r"[\r\n\0]", value), f"control character in {line!r}"
    return name, value.strip(" \t")


class Message:
    """A head: its start line and its fields in order."""

    def __init__(self, raw):
        assert raw.endswith(b"\r\n\r\n"), raw
        self.raw = bytes(raw)
        start, *lines = self.raw[:-4].split(b"\r\n")
        self.start = start.decode("latin-1")
        self.fields = [parse_field(line) for line in lines]

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name):
        """The field's combined value, or None."""
        values = self.all(name)
        return ", ".join(values) if values else None

    def tokens(self, name):
        """The field's list members in lower case."""
        return [part.strip().lower() for part in (self.get(name) or "").split(",") if part.strip()]


def tls_end(why):
    """Which end a TLS socket's error is; an alert is none, and is raised again."""
    if why.reason == "UNEXPECTED_EOF_WHILE_READING":
        return "truncated"
    if isinstance(why, ssl.SSLZeroReturnError):
        return "fin"  # close_notify, when it was said from here too
    if isinstance(why, ssl.SSLEOFError):
        return "reset"  # before Python 3.12 there is no other word for one
    raise why


class Reader:
    """Reads messages off a socket; `end` becomes "fin" or "reset" when the peer ended, and over TLS
    "truncated" when it did so without close_notify."""

    def __init__(self, sock, on_bytes=None):
        self.sock = sock
        self.on_bytes = on_bytes
        self.buffer = bytearray()
        self.end = None

    def fill(self):
        """One receive into the buffer; False at the end."""
        if self.end:
            return False
        try:
            piece = self.sock.recv(1 << 18)
        except ConnectionError:
            self.end = "reset"
            return False
        except ssl.SSLError as why:
            self.end = tls_end(why)
            return False
        if not piece:
            self.end = "fin"
            return False
        if self.on_bytes:
            self.on_bytes(piece)
        self.buffer += piece
        return True

    def take(self, count):
        piece = bytes(self.buffer[:count])
        del self.buffer[:count]
        return piece

    def exactly(self, count):
        while len(self.buffer) < count:
            if not self.fill():
                raise Cut(self.take(count))
        return self.take(count)

    def up_to(self, mark):
        """Bytes up to and with the mark."""
        searched = 0
        while (at := self.buffer.find(mark, searched)) < 0:
            searched = max(0, len(self.buffer) - len(mark))
            if not self.fill():
                raise Cut(self.take(len(self.buffer)))
        return self.take(at + len(mark))

    def head(self):
        """The next head, or None if the peer ended cleanly before it."""
        while not self.buffer:
            if not self.fill():
                return None
        return Message(self.up_to(b"\r\n\r\n"))

    def rest(self):
        """Everything until the peer ends."""
        while self.fill():
            pass
        return self.take(len(self.buffer))

    def chunked(self):
        """A chunked body: its content and its trailer fields. A Cut carries the content so far."""
        body = bytearray()
        try:
            while size := self.chunk_size():
                body += self.exactly(size)
                assert self.exactly(2) == b"\r\n", "chunk without its CRLF"
            trailers = []
            while (line := self.up_to(b"\r\n")) != b"\r\n":
                trailers.append(parse_field(line[:-2]))
        except Cut as cut:
            raise Cut(bytes(body) + cut.partial) from None
        return bytes(body), trailers

    def chunk_size(self):
        try:
            line = self.up_to(b"\r\n")[:-2]
        except Cut:
            raise Cut() from None
        digits = line.partition(b";")[0]
        assert re.fullmatch(rb"[0-9A-Fa-f]{1,16}", digits), f"bad chunk size line {line!r}"
        return int(digits, 16)


def chunk(content):
    """The content as one chunk."""
    return b"%x\r\n%s\r\n" % (len(content), content)


LAST_CHUNK = b"0\r\n\r\n"
